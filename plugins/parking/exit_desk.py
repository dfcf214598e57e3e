"""Cars that drive out, and exits that never come.

- An exit always succeeds for the car that is inside.
- An exit without an entry is rejected, unless its lot says what it means: it may wait for an entry
  that is late, and then, or at once, a lost ticket has its price. The second report of an exit, and
  a car with a pass for the lot, pay nothing for that.
- A stay that goes on for too long is closed, and what it costs is in review until the operator has
  looked at the pictures.
"""

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from zhihui.plugin import (
    Cancel,
    Context,
    InvalidField,
    InvalidState,
    Notice,
    Pack,
    Plan,
    Schedule,
    on_timer,
    operation,
)

from .collection import (
    Leaving,
    arrear_for,
    close_lost,
    exit_plans,
    leaving_plans,
)
from .dispute_desk import opened_review
from .gate_clock import CLOCK_SKEW_MAX, check_time
from .messages import Exited, ExitLot
from .state import Lot, Session, Vehicle, WaitingExit
from .stay import fixed_bill
from .stay_messages import ExitUnmatched, StayOverdue
from .vehicle_desk import known_vehicle

__all__ = ("WAIT_TIMER", "EntryOverdue", "StayOver", "close_overdue", "exit_lot", "miss_entry")

# The timer of an exit that waits for its entry; a plate has one.
WAIT_TIMER = "entry"

_LEFT = ("parking.exited", "parking.arrears_recorded", "parking.arrears_collected")


class StayOver(msgspec.Struct, frozen=True, kw_only=True):
    """The timer of a stay that goes on for too long."""

    entered_at: datetime


class EntryOverdue(msgspec.Struct, frozen=True, kw_only=True):
    """The timer of an exit whose entry has not come."""

    left_at: datetime


@operation(
    "exit",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=Exited,
    errors=("not_found", "invalid_state"),
    events=_LEFT,
)
async def exit_lot(
    pack: Pack, context: Context, message: ExitLot, vehicle: Vehicle | None
) -> Plan | tuple[Plan, ...]:
    """Report that a car drove out, and collect what it owes."""
    session = None if vehicle is None else vehicle.session
    if vehicle is None or session is None:
        return await _without_entry(context, message, vehicle)
    if session.lot_id != message.lot_id:
        raise InvalidState(
            f"{message.plate} is in lot {session.lot_id!r}, not in {message.lot_id!r}",
            field="lot_id",
        )
    check_time(context, "left_at", message.left_at)
    left_at = message.left_at
    if left_at < session.entered_at:
        behind = session.entered_at - left_at
        if behind > timedelta(seconds=session.in_force.gate_skew_s):
            raise InvalidField(
                f"left_at is {left_at.isoformat()}, "
                f"before the entry at {session.entered_at.isoformat()}",
                field="left_at",
            )
        left_at = session.entered_at
    return exit_plans(vehicle, session, left_at)


@on_timer(
    "miss_entry",
    collection="vehicle",
    state=Vehicle,
    body=EntryOverdue,
    events=(*_LEFT, "parking.exit_unmatched"),
)
async def miss_entry(
    pack: Pack, context: Context, body: EntryOverdue, vehicle: Vehicle | None
) -> Plan | tuple[Plan, ...]:
    """Give up waiting for the entry of an exit."""
    waiting = None if vehicle is None else vehicle.waiting
    if vehicle is None or waiting is None or waiting.left_at != body.left_at:
        return Plan()
    after = replace(vehicle, waiting=None)
    lot = await context.read("lot", waiting.lot_id, Lot)
    if lot is None or lot.in_force.lost_ticket_minor is None:
        lost = ExitUnmatched(plate=vehicle.plate, lot_id=waiting.lot_id, left_at=waiting.left_at)
        notice = Notice(type="parking.exit_unmatched", subject=vehicle.plate, data=lost)
        return Plan(state=after, notices=(notice,))
    last = after.last
    if after.session is not None or (last is not None and last.left_at > waiting.left_at):
        # Elsewhere meanwhile. What it did there is newer than this exit.
        return _owe_lost_ticket(after, lot, waiting.left_at)
    return _lost_ticket(after, lot, waiting.left_at)


@on_timer(
    "close_overdue",
    collection="vehicle",
    state=Vehicle,
    body=StayOver,
    events=("parking.stay_overdue", "parking.dispute_opened"),
)
async def close_overdue(
    pack: Pack, context: Context, body: StayOver, vehicle: Vehicle | None
) -> Plan:
    """Close a stay whose exit was never reported, for review."""
    session = None if vehicle is None else vehicle.session
    if vehicle is None or session is None or session.entered_at != body.entered_at:
        return Plan()
    until = body.entered_at + timedelta(hours=session.in_force.max_stay_hours or 0)
    # As for a lost exit, with what it takes; the charge itself waits for the review.
    outside, lost, effects = close_lost(vehicle, until)
    assert lost is not None
    outside = replace(outside, arrears=vehicle.arrears)
    effects = tuple(one for one in effects if not isinstance(one, Cancel))
    review = ""
    opened: tuple[Notice, ...] = ()
    if lost.fee_minor:
        arrear = arrear_for(session, lost.fee_minor, until, "overstay")
        outside, timer, dispute = opened_review(outside, arrear, context.now, session.in_force)
        effects = (*effects, timer)
        review = dispute.dispute_id
        opened = (Notice(type="parking.dispute_opened", subject=vehicle.plate, data=dispute),)
    overdue = StayOverdue(
        plate=vehicle.plate,
        lot_id=session.lot_id,
        entered_at=session.entered_at,
        fee_minor=lost.fee_minor,
        dispute_id=review,
    )
    notice = Notice(type="parking.stay_overdue", subject=vehicle.plate, data=overdue)
    return Plan(state=outside, effects=effects, notices=(notice, *opened))


async def _without_entry(
    context: Context, message: ExitLot, vehicle: Vehicle | None
) -> Plan | tuple[Plan, ...]:
    lot = await context.read("lot", message.lot_id, Lot)
    rules = None if lot is None else lot.in_force
    if (
        lot is None
        or rules is None
        or not (rules.wait_entry_minutes or rules.lost_ticket_minor is not None)
    ):
        known_vehicle(vehicle, message.plate)
        raise InvalidState(f"{message.plate} is in no lot", field="plate")
    check_time(context, "left_at", message.left_at)
    known = vehicle or Vehicle(plate=message.plate)
    _check_first_report(known, message)
    if not rules.wait_entry_minutes:
        return _lost_ticket(known, lot, message.left_at)
    exited = Exited(
        plate=known.plate,
        lot_id=lot.lot_id,
        entered_at=message.left_at,
        left_at=message.left_at,
        fee_minor=0,
        paid_minor=0,
        collected_minor=0,
        arrears_minor=known.arrears_minor,
        status="waiting",
        missing_entry=True,
    )
    # From now on and not from the exit: it is the network between the gate and us that is slow.
    timer = Schedule(
        name=WAIT_TIMER,
        due_at=context.now + timedelta(minutes=rules.wait_entry_minutes),
        body=EntryOverdue(left_at=message.left_at),
    )
    waiting = WaitingExit(lot_id=lot.lot_id, left_at=message.left_at)
    notice = Notice(type="parking.exited", subject=known.plate, data=exited)
    return Plan(
        state=replace(known, waiting=waiting), effects=(timer,), result=exited, notices=(notice,)
    )


def _check_first_report(vehicle: Vehicle, message: ExitLot) -> None:
    last, waiting = vehicle.last, vehicle.waiting
    if waiting is not None:
        raise InvalidState(
            f"an exit of {message.plate} from {waiting.lot_id!r} waits for its entry already",
            field="plate",
        )
    if last is None:
        return
    if last.lot_id == message.lot_id and abs(message.left_at - last.left_at) <= CLOCK_SKEW_MAX:
        raise InvalidState(
            f"{message.plate} left {last.lot_id!r} at {last.left_at.isoformat()}; "
            "this is a second report of it",
            field="plate",
        )
    if message.left_at < last.left_at - CLOCK_SKEW_MAX:
        raise InvalidField(
            f"left_at is {message.left_at.isoformat()}, "
            f"before the last exit at {last.left_at.isoformat()}",
            field="left_at",
        )


def _stay_of_lost_ticket(lot: Lot, left_at: datetime) -> Session:
    return Session(
        lot_id=lot.lot_id,
        payee=lot.payee,
        tariff=lot.tariff,
        entered_at=left_at,
        shares=lot.shares,
        rules=lot.rules,
    )


def _lost_ticket_minor(vehicle: Vehicle, lot: Lot, left_at: datetime) -> int:
    with_pass = any(
        ref.lot_id == lot.lot_id and ref.valid_from <= left_at < ref.valid_until
        for ref in vehicle.passes
    )
    return 0 if with_pass else lot.in_force.lost_ticket_minor or 0


def _lost_ticket(vehicle: Vehicle, lot: Lot, left_at: datetime) -> tuple[Plan, ...]:
    leaving = Leaving(
        vehicle=vehicle,
        session=_stay_of_lost_ticket(lot, left_at),
        left_at=left_at,
        bill=fixed_bill(_lost_ticket_minor(vehicle, lot, left_at)),
        reason="lost_ticket",
    )
    return leaving_plans(leaving)


def _owe_lost_ticket(vehicle: Vehicle, lot: Lot, left_at: datetime) -> Plan:
    amount = _lost_ticket_minor(vehicle, lot, left_at)
    if not amount:
        return Plan(state=vehicle)
    session = _stay_of_lost_ticket(lot, left_at)
    arrear = arrear_for(session, amount, left_at, "lost_ticket")
    owing = replace(vehicle, arrears=(*vehicle.arrears, arrear))
    exited = Exited(
        plate=vehicle.plate,
        lot_id=lot.lot_id,
        entered_at=left_at,
        left_at=left_at,
        fee_minor=amount,
        paid_minor=0,
        collected_minor=0,
        arrears_minor=owing.arrears_minor,
        status="unpaid",
        missing_entry=True,
    )
    notice = Notice(type="parking.arrears_recorded", subject=vehicle.plate, data=exited)
    return Plan(state=owing, notices=(notice,))
