"""Dormitory power: prepaid by anybody for any room, used as the meter says.

Readings come from concentrators that lose their network for days: late, twice and out of order. A
reading counts if it is newer than the last one. One that is older is left alone; one that is newer
and shows less is refused, because meters do not run backwards: they are replaced.
"""

from typing import Literal

from msgspec.structs import replace

from schemas.effects import Pay
from zhihui.plugin import (
    Context,
    InvalidField,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Plan,
    operation,
)

from .lookups import active_student, guardian_account, read_school, wallet_of
from .moments import check_past, day_in
from .power_messages import (
    GetRoom,
    MeterReplaced,
    OpenRoom,
    PowerBought,
    PowerLow,
    ReadingTaken,
    ReadMeter,
    ReplaceMeter,
    RoomOpened,
    RoomView,
    TopUpPower,
)
from .power_tariff import buy_units, check_steps
from .room import Room
from .student import Student

__all__ = ("get_room", "open_room", "read_meter", "replace_meter", "top_up_power")


@operation(
    "open_room",
    collection="room",
    key="room_id",
    state=Room,
    result=RoomOpened,
    errors=("not_found", "invalid_state"),
    events=("campus.room_opened",),
)
async def open_room(pack: Pack, context: Context, message: OpenRoom, room: Room | None) -> Plan:
    """Open a room, or give an open one another tariff or threshold."""
    try:
        check_steps(message.steps)
    except ValueError as error:
        raise InvalidField(f"{error}", field="steps") from error
    await read_school(context, message.school_id)
    if room is not None and room.school_id != message.school_id:
        raise InvalidState(
            f"room {room.room_id!r} is of school {room.school_id!r}", field="school_id"
        )
    known = room or Room(
        room_id=message.room_id,
        school_id=message.school_id,
        steps=message.steps,
        low_units=message.low_units,
        meter_units=message.meter_units,
    )
    # An open room keeps its meter: readings and replacements are what changes it.
    after = replace(known, steps=message.steps, low_units=message.low_units)
    result = RoomOpened(
        room_id=after.room_id,
        steps=after.steps,
        low_units=after.low_units,
        left_units=after.left_units,
        status="opened" if room is None else "unchanged" if room == after else "updated",
    )
    notice = Notice(type="campus.room_opened", subject=after.room_id, data=result)
    return Plan(
        state=after, result=result, notices=() if result.status == "unchanged" else (notice,)
    )


@operation(
    "top_up_power",
    collection="room",
    key="room_id",
    state=Room,
    result=PowerBought,
    errors=("not_found", "invalid_state", "insufficient_funds", "limit_exceeded"),
    events=("campus.power_bought",),
)
async def top_up_power(
    pack: Pack, context: Context, message: TopUpPower, room: Room | None
) -> Plan:
    """Buy power for a room."""
    known = _known(room, message.room_id)
    student = await context.read("student", message.student_id, Student)
    buyer = active_student(student, message.student_id)
    if message.guardian_id is None:
        payer = wallet_of(buyer)
    else:
        payer = await guardian_account(context, buyer, message.guardian_id)
    school = await read_school(context, known.school_id)
    month = day_in(school.zone, context.clock.now()).strftime("%Y-%m")
    in_month = known.month_units if known.month == month else 0
    bought = buy_units(known.steps, in_month, known.kept, message.amount_minor)
    after = replace(
        known,
        month=month,
        month_units=in_month + bought.units,
        bought_units=known.bought_units + bought.units,
        paid_minor=known.paid_minor + message.amount_minor,
        kept=bought.change,
    )
    result = PowerBought(
        room_id=known.room_id,
        student_id=buyer.student_id,
        payer=payer,
        amount_minor=message.amount_minor,
        bought_units=bought.units,
        kept=bought.change,
        left_units=after.left_units,
    )
    payment = Pay(
        payer=payer,
        payee=school.accounts.power,
        amount_minor=message.amount_minor,
        reference=f"campus power {known.room_id} {buyer.student_id}",
    )
    return Plan(
        state=replace(after, told=after.standing),
        effects=(payment,),
        result=result,
        notices=(Notice(type="campus.power_bought", subject=known.room_id, data=result),),
    )


@operation(
    "read_meter",
    collection="room",
    key="room_id",
    state=Room,
    result=ReadingTaken,
    errors=("not_found",),
    events=("campus.power_low",),
)
async def read_meter(pack: Pack, context: Context, message: ReadMeter, room: Room | None) -> Plan:
    """Report what the meter of a room shows."""
    known = _known(room, message.room_id)
    check_past(context, "read_at", message.read_at)
    if known.read_at is not None and message.read_at <= known.read_at:
        return Plan(result=_taken(known, "stale"))
    _check_forwards("meter_units", message.meter_units, known)
    after = replace(
        known,
        meter_units=message.meter_units,
        read_at=message.read_at,
        used_units=known.used_units + message.meter_units - known.meter_units,
    )
    result = _taken(after, "taken")
    if after.standing in (known.told, "normal"):
        return Plan(state=after, result=result)
    low = PowerLow(
        room_id=after.room_id,
        left_units=after.left_units,
        status="used_up" if after.standing == "used_up" else "low",
    )
    return Plan(
        state=replace(after, told=after.standing),
        result=result,
        notices=(Notice(type="campus.power_low", subject=after.room_id, data=low),),
    )


@operation(
    "replace_meter",
    collection="room",
    key="room_id",
    state=Room,
    result=MeterReplaced,
    errors=("not_found",),
    events=("campus.meter_replaced",),
)
async def replace_meter(
    pack: Pack, context: Context, message: ReplaceMeter, room: Room | None
) -> Plan:
    """Put another meter in."""
    known = _known(room, message.room_id)
    check_past(context, "replaced_at", message.replaced_at)
    # At the moment of the last reading as well: the second press of a button is no second meter.
    if known.read_at is not None and message.replaced_at <= known.read_at:
        raise InvalidField(
            f"replaced_at is {message.replaced_at.isoformat()}; expected a time after the last "
            f"reading at {known.read_at.isoformat()}",
            field="replaced_at",
        )
    _check_forwards("old_meter_units", message.old_meter_units, known)
    after = replace(
        known,
        meter_units=message.new_meter_units,
        read_at=message.replaced_at,
        used_units=known.used_units + message.old_meter_units - known.meter_units,
    )
    result = MeterReplaced(
        room_id=after.room_id,
        meter_units=after.meter_units,
        used_units=after.used_units,
        left_units=after.left_units,
    )
    return Plan(
        state=after,
        result=result,
        notices=(Notice(type="campus.meter_replaced", subject=after.room_id, data=result),),
    )


@operation(
    "get_room",
    collection="room",
    key="room_id",
    state=Room,
    result=RoomView,
    mutates=False,
    errors=("not_found",),
)
async def get_room(pack: Pack, context: Context, message: GetRoom, room: Room | None) -> RoomView:
    """Read a room: what is left, what was used, what was paid."""
    known = _known(room, message.room_id)
    return RoomView(
        room_id=known.room_id,
        school_id=known.school_id,
        steps=known.steps,
        low_units=known.low_units,
        meter_units=known.meter_units,
        read_at=known.read_at,
        bought_units=known.bought_units,
        used_units=known.used_units,
        left_units=known.left_units,
        paid_minor=known.paid_minor,
        kept=known.kept,
        status=known.standing,
    )


def _known(room: Room | None, room_id: str) -> Room:
    if room is None:
        raise NotFound(f"no room {room_id!r}; open it first", field="room_id")
    return room


def _check_forwards(field: str, meter_units: int, room: Room) -> None:
    if meter_units < room.meter_units:
        raise InvalidField(
            f"{field} is {meter_units}; the meter of {room.room_id!r} showed {room.meter_units} "
            "before and does not run backwards",
            field=field,
        )


def _taken(room: Room, status: Literal["taken", "stale"]) -> ReadingTaken:
    return ReadingTaken(
        room_id=room.room_id,
        meter_units=room.meter_units,
        used_units=room.used_units,
        left_units=room.left_units,
        status=status,
    )
