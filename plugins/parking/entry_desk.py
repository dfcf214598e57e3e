"""Cars that drive in.

- An entry to the lot that the car is in already is rejected: the camera read twice, or an exit
  was missed, which the operator reports first; unless it comes so late that there is no doubt. At
  another lot the car has obviously left, so the open stay is closed as a lost exit and the entry
  stands.
- A car that owes for many stays is refused at the gate, never locked in: an exit always succeeds.
- A full lot refuses casual cars by a count that is a second old at most. Passes have their places.
- An entry that arrives after its exit opens the stay and ends it at once.
"""

from datetime import timedelta

import msgspec
from msgspec.structs import replace

from zhihui.plugin import (
    Cancel,
    Context,
    Ineligible,
    InvalidState,
    LimitExceeded,
    NotFound,
    Notice,
    Pack,
    Plan,
    Schedule,
    Send,
    operation,
)

from .collection import STAY_TIMER, Leaving, close_lost, count_car, leaving_plans
from .exit_desk import WAIT_TIMER, StayOver
from .gate_clock import check_hours, check_order, check_time
from .messages import Entered, EnterLot, Exited, LostExit
from .pass_messages import TakePlace
from .state import ARREARS_MAX, Cover, Lot, Occupancy, PassRef, Session, Vehicle
from .stay import bill_for
from .tariff import tariff_for

__all__ = ("cover_for", "enter")


@operation(
    "enter",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=Entered,
    errors=("not_found", "invalid_state", "ineligible", "limit_exceeded"),
    events=(
        "parking.entered",
        "parking.exit_lost",
        "parking.exited",
        "parking.arrears_recorded",
        "parking.arrears_collected",
    ),
)
async def enter(
    pack: Pack, context: Context, message: EnterLot, vehicle: Vehicle | None
) -> Plan | tuple[Plan, ...]:
    """Report that a car drove in."""
    check_time(context, "entered_at", message.entered_at)
    known = vehicle or Vehicle(plate=message.plate)
    is_late = await _is_late(context, known, message)
    # What is late belongs before the stay that is open now, if there is one.
    check_order(replace(known, session=None) if is_late else known, message)
    lot = await context.read("lot", message.lot_id, Lot)
    if lot is None:
        raise NotFound(f"no lot {message.lot_id!r}; open it first", field="lot_id")
    session = Session(
        lot_id=lot.lot_id,
        payee=lot.payee,
        tariff=tariff_for(lot.tariff, message.plate),
        entered_at=message.entered_at,
        shares=lot.shares,
        rules=lot.rules,
        cover=_cover(known, message),
    )
    if is_late:
        # It has left already, so there is nothing to refuse.
        return _enter_and_leave(known, session)
    outside, lost, effects = close_lost(known, message.entered_at)
    await _check_gate(context, outside, lot, session)
    entered = _entered(outside, session, lost)
    plan = Plan(
        state=replace(outside, session=session),
        effects=(*effects, *_beginning(message.plate, session)),
        result=entered,
        notices=_notices(message.plate, entered),
    )
    if known.session is None or not known.session.stamps:
        return plan
    # Should a hold of the lost stay be gone by itself, the car is let in all the same.
    gone = tuple(stamp.hold for stamp in known.session.stamps)
    kept = tuple(one for one in plan.effects if getattr(one, "name", None) not in gone)
    return plan, replace(plan, effects=kept)


def cover_for(ref: PassRef, session: Session) -> Cover | None:
    """Return what a pass is to a stay; None if it ended before it, or is for another lot."""
    if ref.lot_id != session.lot_id or ref.valid_until <= max(session.entered_at, ref.valid_from):
        return None
    return Cover(
        pass_id=ref.pass_id,
        state="asked" if ref.shared else "placed",
        since=max(session.entered_at, ref.valid_from),
        until=ref.valid_until,
        shared=ref.shared,
    )


def _cover(vehicle: Vehicle, message: EnterLot) -> Cover | None:
    if not vehicle.passes:
        return None
    at = message.entered_at
    valid = [
        ref
        for ref in vehicle.passes
        if ref.lot_id == message.lot_id and ref.valid_from <= at < ref.valid_until
    ]
    # A place of one's own before a shared one; of those the one that lasts longest.
    best = min(valid, key=lambda ref: (ref.shared, -ref.valid_until.timestamp()), default=None)
    if best is None:
        return None
    return Cover(
        pass_id=best.pass_id,
        state="asked" if best.shared else "placed",
        since=at,
        until=best.valid_until,
        shared=best.shared,
    )


async def _is_late(context: Context, vehicle: Vehicle, message: EnterLot) -> bool:
    """Tell whether this is the entry that an exit waits for."""
    waiting = vehicle.waiting
    if waiting is None or waiting.lot_id != message.lot_id:
        return False
    lot = await context.read("lot", message.lot_id, Lot)
    skew_s = 0 if lot is None else lot.in_force.gate_skew_s
    return message.entered_at <= waiting.left_at + timedelta(seconds=skew_s)


async def _check_gate(context: Context, vehicle: Vehicle, lot: Lot, session: Session) -> None:
    rules = lot.in_force
    if len(vehicle.arrears) >= ARREARS_MAX:
        raise InvalidState(
            f"{vehicle.plate} owes for {len(vehicle.arrears)} stays and may not enter; "
            "settle them first",
            field="plate",
        )
    check_hours(lot, session.entered_at)
    if rules.refuse_debt_above_minor is not None:
        owed = sum(one.amount_minor for one in vehicle.arrears if one.dispute != "open")
        if owed > rules.refuse_debt_above_minor:
            raise Ineligible(
                f"{vehicle.plate} owes {owed} minor units; lot {lot.lot_id!r} lets in who owes "
                f"{rules.refuse_debt_above_minor} at most, so settle first",
                field="plate",
            )
    if session.cover is not None:
        return
    if rules.pass_only:
        raise Ineligible(
            f"lot {lot.lot_id!r} is for passes; {vehicle.plate} has none", field="plate"
        )
    if rules.capacity is None:
        return
    count = await context.read("occupancy", lot.lot_id, Occupancy)
    if count is not None and count.casual >= rules.capacity:
        raise LimitExceeded(
            f"lot {lot.lot_id!r} is full: {count.casual} of {rules.capacity} places",
            field="lot_id",
        )


def _beginning(plate: str, session: Session) -> tuple[Send | Schedule, ...]:
    """Return what the begin of a stay takes; nothing for a plain one."""
    effects: list[Send | Schedule] = list(count_car(session, 1, session.entered_at))
    if session.cover is not None and session.cover.shared:
        take = TakePlace(
            request_id="sent",
            pass_id=session.cover.pass_id,
            plate=plate,
            entered_at=session.entered_at,
        )
        effects.append(Send(verb="take_place", body=take))
    if session.in_force.max_stay_hours is not None:
        due_at = session.entered_at + timedelta(hours=session.in_force.max_stay_hours)
        body = StayOver(entered_at=session.entered_at)
        effects.append(Schedule(name=STAY_TIMER, due_at=due_at, body=body))
    return tuple(effects)


def _enter_and_leave(vehicle: Vehicle, session: Session) -> tuple[Plan, ...]:
    waiting = vehicle.waiting
    assert waiting is not None
    left_at = max(waiting.left_at, session.entered_at)
    if session.cover is not None and session.cover.shared:
        # Nobody asked its pass for a place, and nobody can now: the driver has the benefit.
        session = replace(session, cover=replace(session.cover, state="placed", shared=False))
    leaving = Leaving(
        vehicle=replace(vehicle, waiting=None),
        session=session,
        left_at=left_at,
        bill=bill_for(session, left_at),
        effects=(Cancel(name=WAIT_TIMER),),
    )
    return tuple(_with_entry(plan, vehicle, session) for plan in leaving_plans(leaving))


def _with_entry(plan: Plan, vehicle: Vehicle, session: Session) -> Plan:
    assert isinstance(plan.result, Exited)
    assert isinstance(plan.state, Vehicle)
    entered = replace(_entered(vehicle, session, None), left=plan.result)
    return replace(
        plan,
        state=replace(plan.state, session=vehicle.session),
        result=entered,
        notices=(*_notices(vehicle.plate, entered), *plan.notices),
    )


def _entered(vehicle: Vehicle, session: Session, lost: LostExit | None) -> Entered:
    cover = session.cover
    return Entered(
        plate=vehicle.plate,
        lot_id=session.lot_id,
        entered_at=session.entered_at,
        arrears_minor=vehicle.arrears_minor,
        lost_exit=lost,
        pass_id=msgspec.UNSET if cover is None else cover.pass_id,
    )


def _notices(plate: str, entered: Entered) -> tuple[Notice, ...]:
    notice = Notice(type="parking.entered", subject=plate, data=entered)
    if entered.lost_exit is None:
        return (notice,)
    return (notice, Notice(type="parking.exit_lost", subject=plate, data=entered.lost_exit))
