"""Owners and their plates: binding and mandate, paying debts, looking."""

from msgspec.structs import replace

from zhihui.plugin import Context, InvalidState, NotFound, Notice, Pack, Plan, operation

from .collection import settle_plan
from .messages import (
    ArrearsSettled,
    BindVehicle,
    GetVehicle,
    PassHeld,
    SettleArrears,
    Stay,
    UnbindVehicle,
    VehicleBound,
    VehicleUnbound,
    VehicleView,
)
from .state import Session, Vehicle

__all__ = ("bind", "get", "known_vehicle", "settle", "unbind")


@operation(
    "bind",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=VehicleBound,
    events=("parking.vehicle_bound",),
)
async def bind(pack: Pack, context: Context, message: BindVehicle, vehicle: Vehicle | None) -> Plan:
    """Name the account that pays for a plate from now on."""
    known = vehicle or Vehicle(plate=message.plate)
    result = VehicleBound(
        plate=message.plate,
        account_id=message.account_id,
        arrears_minor=known.arrears_minor,
    )
    return Plan(
        state=replace(known, account_id=message.account_id, mandate=message.mandate, spent=None),
        result=result,
        notices=(Notice(type="parking.vehicle_bound", subject=message.plate, data=result),),
    )


@operation(
    "unbind",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=VehicleUnbound,
    errors=("not_found", "invalid_state"),
    events=("parking.vehicle_unbound",),
)
async def unbind(
    pack: Pack, context: Context, message: UnbindVehicle, vehicle: Vehicle | None
) -> Plan:
    """Revoke a binding and its mandate: nothing is deducted any more."""
    known = known_vehicle(vehicle, message.plate)
    if known.account_id is None:
        raise InvalidState(f"no account is bound to {message.plate}", field="plate")
    result = VehicleUnbound(
        plate=known.plate, account_id=known.account_id, arrears_minor=known.arrears_minor
    )
    return Plan(
        state=replace(known, account_id=None, mandate=None, spent=None),
        result=result,
        notices=(Notice(type="parking.vehicle_unbound", subject=known.plate, data=result),),
    )


@operation(
    "settle",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=ArrearsSettled,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("parking.arrears_collected",),
)
async def settle(
    pack: Pack, context: Context, message: SettleArrears, vehicle: Vehicle | None
) -> Plan:
    """Pay what a plate owes at once (补缴欠费)."""
    return settle_plan(known_vehicle(vehicle, message.plate), message)


@operation(
    "get",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=VehicleView,
    mutates=False,
    errors=("not_found",),
)
async def get(
    pack: Pack, context: Context, message: GetVehicle, vehicle: Vehicle | None
) -> VehicleView:
    """Read what is known of a plate: its stay, its binding, its arrears."""
    known = known_vehicle(vehicle, message.plate)
    session, waiting = known.session, known.waiting
    return VehicleView(
        plate=known.plate,
        status="outside" if session is None else "inside",
        account_id=known.account_id,
        arrears_minor=known.arrears_minor,
        stay=None if session is None else _stay(session),
        last=known.last,
        mandate=known.mandate,
        passes=tuple(
            PassHeld(
                pass_id=ref.pass_id,
                lot_id=ref.lot_id,
                valid_from=ref.valid_from,
                valid_until=ref.valid_until,
            )
            for ref in known.passes
            if ref.valid_from < ref.valid_until
        ),
        disputes=tuple(dispute.dispute_id for dispute in known.disputes),
        waiting_exit=None if waiting is None else waiting.left_at,
    )


def known_vehicle(vehicle: Vehicle | None, plate: str) -> Vehicle:
    """Return the document of a plate; raise :class:`NotFound` when there is none."""
    if vehicle is None:
        raise NotFound(
            f"plate {plate} is not known: it never entered and is not bound", field="plate"
        )
    return vehicle


def _stay(session: Session) -> Stay:
    cover = session.cover
    return Stay(
        lot_id=session.lot_id,
        entered_at=session.entered_at,
        pass_id="" if cover is None else cover.pass_id,
        pass_state="" if cover is None else cover.state,
        prepaid_minor=session.prepaid_minor,
        stamped_minutes=sum(stamp.minutes for stamp in session.stamps),
    )
