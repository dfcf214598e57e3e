"""What leaving costs and in which ways it may be collected; the money rules of the pack.

At an exit what the driver owes for the stay and all older arrears are due. The ways, in order of
preference:

1. the fee and all arrears are paid;
2. the fee alone is paid, the arrears stay;
3. nothing is paid, and the fee joins the arrears.

A way stands or falls as a whole, so no stay is ever paid in part, and in each of them what was
owed before plus the fee equals what was paid plus what is owed after. Arrears in dispute are left
alone. A mandate takes away the ways that it does not allow. Merchants pay their part in every way,
out of what was held for it; should even that not go, the driver owes it, and may dispute it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from zhihui.plugin import (
    Cancel,
    CaptureHold,
    InvalidState,
    Notice,
    Pay,
    Plan,
    Send,
    VoidHold,
)

from .division import shares_of
from .lot_messages import CountCar
from .messages import ArrearsSettled, Exited, LostExit, SettleArrears
from .pass_messages import LeavePlace
from .state import RECEIPTS_MAX, Arrear, Receipt, Session, Spent, Vehicle
from .stay import Bill, bill_for, covered_by

__all__ = (
    "STAY_TIMER",
    "Leaving",
    "arrear_for",
    "close_lost",
    "count_car",
    "exit_plans",
    "housekeeping",
    "leaving_plans",
    "settle_plan",
)

# The timer of a stay that goes on for too long; a plate has one stay.
STAY_TIMER = "stay"

_Reason = Literal["unpaid", "lost_exit", "lost_ticket", "overstay"]


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """A stay that ends, and what it comes to."""

    vehicle: Vehicle
    session: Session
    left_at: datetime
    bill: Bill
    reason: _Reason = "unpaid"
    effects: tuple[msgspec.Struct, ...] = ()


def exit_plans(vehicle: Vehicle, session: Session, left_at: datetime) -> tuple[Plan, ...]:
    """Return the ways in which the exit may turn out, the best one first."""
    leaving = Leaving(
        vehicle=vehicle,
        session=session,
        left_at=left_at,
        bill=bill_for(session, left_at),
        effects=housekeeping(vehicle.plate, session, left_at),
    )
    return leaving_plans(leaving)


def leaving_plans(leaving: Leaving) -> tuple[Plan, ...]:
    """Return the ways in which a stay that ends may be collected."""
    plans = _ways(leaving)
    if leaving.session.stamps:
        bare = replace(leaving, bill=leaving.bill.without_stamps())
        due = _due(bare)
        plans = (*plans, _exit_plan(bare, paid=(), owed=(*leaving.vehicle.arrears, *due)))
    return plans


def _ways(leaving: Leaving) -> tuple[Plan, ...]:
    vehicle, due = leaving.vehicle, _due(leaving)
    older = tuple(one for one in vehicle.arrears if one.dispute != "open")
    disputed = tuple(one for one in vehicle.arrears if one.dispute == "open")
    nothing = _exit_plan(leaving, paid=(), owed=(*vehicle.arrears, *due))
    if vehicle.account_id is None or not (due or older):
        return (nothing,)
    ways = [(due + older, disputed)]
    if due and older:
        ways.append((due, vehicle.arrears))
    return (
        *(
            _exit_plan(leaving, paid=paid, owed=owed)
            for paid, owed in ways
            if _is_allowed(leaving, paid)
        ),
        nothing,
    )


def close_lost(
    vehicle: Vehicle, now: datetime
) -> tuple[Vehicle, LostExit | None, tuple[msgspec.Struct, ...]]:
    """Close the open stay, if any, of a car that was seen again at ``now``, with what that takes.

    Nobody knows when it left, so it is charged up to ``now`` but at most one day's cap, as
    arrears, less what was paid inside. Merchants pay nothing for it.
    """
    session = vehicle.session
    if session is None:
        return vehicle, None, ()
    bill = bill_for(replace(session, stamps=()), now)
    fee = min(bill.due_minor, max(session.tariff.daily_cap_minor - bill.prepaid_minor, 0))
    arrear = arrear_for(session, fee, now, "lost_exit")
    lost = LostExit(lot_id=session.lot_id, entered_at=session.entered_at, fee_minor=fee)
    arrears = (*vehicle.arrears, arrear) if fee else vehicle.arrears
    voids = tuple(VoidHold(name=stamp.hold) for stamp in session.stamps if stamp.hold)
    effects = (*housekeeping(vehicle.plate, session, now), *voids)
    return replace(vehicle, session=None, arrears=arrears), lost, effects


def settle_plan(vehicle: Vehicle, message: SettleArrears) -> Plan:
    """Return the plan that pays arrears as asked for, or falls."""
    payer = message.account_id or vehicle.account_id
    if payer is None:
        raise InvalidState(
            f"no account is bound to {vehicle.plate}; bind one first, or name one", field="plate"
        )
    paid: list[Arrear] = []
    owed: list[Arrear] = []
    for one in vehicle.arrears:
        wanted = one.dispute != "open" and message.lot_id in (None, one.lot_id)
        (paid if wanted else owed).append(one)
    result = ArrearsSettled(
        plate=vehicle.plate,
        paid_minor=_sum(paid),
        arrears_minor=_sum(owed),
        status="settled",
    )
    notice = Notice(type="parking.arrears_collected", subject=vehicle.plate, data=result)
    return Plan(
        state=replace(vehicle, arrears=tuple(owed)),
        effects=_payments(vehicle.plate, payer, paid),
        result=result,
        notices=(notice,) if paid else (),
    )


def arrear_for(session: Session, amount_minor: int, since: datetime, reason: _Reason) -> Arrear:
    """Return a fee that is owed for a stay."""
    return Arrear(
        lot_id=session.lot_id,
        payee=session.payee,
        amount_minor=amount_minor,
        entered_at=session.entered_at,
        since=since,
        reason=reason,
        shares=session.shares,
    )


def count_car(session: Session, change: int, at: datetime) -> tuple[Send, ...]:
    """Return the message that counts a car in or out, of a lot that counts."""
    if session.in_force.capacity is None:
        return ()
    # A car that shares places counts as casual until it leaves: it may have to pay.
    with_pass = session.cover is not None and not session.cover.shared
    return (
        Send(
            verb="count_car",
            body=CountCar(
                request_id="sent",
                lot_id=session.lot_id,
                capacity=session.in_force.capacity,
                kind="pass" if with_pass else "casual",
                change=change,
                at=at,
            ),
        ),
    )


def housekeeping(plate: str, session: Session, left_at: datetime) -> tuple[Cancel | Send, ...]:
    """Return what the end of a stay takes besides money; nothing for a plain one."""
    effects: list[Cancel | Send] = list(count_car(session, -1, left_at))
    if session.in_force.max_stay_hours is not None:
        effects.append(Cancel(name=STAY_TIMER))
    if session.cover is not None and session.cover.shared:
        leave = LeavePlace(
            request_id="sent",
            pass_id=session.cover.pass_id,
            plate=plate,
            entered_at=session.entered_at,
            left_at=left_at,
        )
        effects.append(Send(verb="leave_place", body=leave))
    return tuple(effects)


def _due(leaving: Leaving) -> tuple[Arrear, ...]:
    amount = leaving.bill.due_minor
    if not amount:
        return ()
    return (arrear_for(leaving.session, amount, leaving.left_at, leaving.reason),)


def _payments(plate: str, payer: str, paid: Sequence[Arrear]) -> tuple[Pay, ...]:
    # One payment for each stay, not one for each payee: an operator reconciles by stays.
    return tuple(
        Pay(
            payer=payer,
            payee=due.payee,
            amount_minor=due.amount_minor,
            reference=f"parking {due.lot_id} {plate} {due.entered_at.isoformat()}",
            shares=shares_of(due.amount_minor, due.shares),
        )
        for due in paid
    )


def _captures(leaving: Leaving) -> tuple[CaptureHold | VoidHold, ...]:
    return tuple(
        CaptureHold(
            name=part.stamp.hold,
            amount_minor=part.paid_minor,
            final=True,
            shares=shares_of(part.paid_minor, leaving.session.shares),
        )
        if part.paid_minor
        else VoidHold(name=part.stamp.hold)
        for part in leaving.bill.parts
        if part.stamp.hold
    )


def _is_allowed(leaving: Leaving, paid: tuple[Arrear, ...]) -> bool:
    """Tell whether the mandate of the plate, if it has one, lets so much be deducted."""
    mandate = leaving.vehicle.mandate
    if mandate is None:
        return True
    amount = _sum(paid)
    spent = _spent(leaving, amount)
    lots = {due.lot_id for due in paid}
    return (
        (mandate.session_cap_minor is None or amount <= mandate.session_cap_minor)
        and (mandate.day_cap_minor is None or spent.minor <= mandate.day_cap_minor)
        and (not mandate.lots or lots <= set(mandate.lots))
        and (mandate.until is None or leaving.left_at < mandate.until)
    )


def _spent(leaving: Leaving, amount_minor: int) -> Spent:
    """Return what was deducted on the day of the exit with this; days are the lot's."""
    day = leaving.left_at.astimezone(ZoneInfo(leaving.session.tariff.zone)).date()
    before = leaving.vehicle.spent
    if before is None or before.day < day:
        return Spent(day=day, minor=amount_minor)
    # An exit that is reported late, or in another zone, counts on the newer day: that is kept.
    return Spent(day=before.day, minor=before.minor + amount_minor)


def _receipts(leaving: Leaving, paid_minor: int) -> tuple[Receipt, ...]:
    vehicle, session = leaving.vehicle, leaving.session
    if not session.in_force.dispute_days or not (paid_minor or session.prepaid_minor):
        return vehicle.receipts
    receipt = Receipt(
        lot_id=session.lot_id,
        payee=session.payee,
        entered_at=session.entered_at,
        left_at=leaving.left_at,
        account_id=vehicle.account_id or "",
        paid_minor=paid_minor,
        prepaid_minor=session.prepaid_minor,
        prepaid_by=session.prepaid_by,
        shares=session.shares,
    )
    # One that is in dispute stays as long as that, which is as long as its timer at most.
    kept = [one for one in vehicle.receipts if one.dispute != "open"][1 - RECEIPTS_MAX :]
    still = (one for one in vehicle.receipts if one in kept or one.dispute == "open")
    return (*still, receipt)


def _exit_plan(leaving: Leaving, *, paid: tuple[Arrear, ...], owed: tuple[Arrear, ...]) -> Plan:
    vehicle, session, bill = leaving.vehicle, leaving.session, leaving.bill
    paid_minor = _sum(paid)
    # Arrears are paid only together with what is due, so something paid means that this is.
    status: Literal["paid", "free", "unpaid"] = "paid"
    if bill.fee_minor == 0:
        status = "free"
    elif bill.due_minor and not paid:
        status = "unpaid"
    exited = covered_by(
        session,
        Exited(
            plate=vehicle.plate,
            lot_id=session.lot_id,
            entered_at=session.entered_at,
            left_at=leaving.left_at,
            fee_minor=bill.fee_minor,
            paid_minor=paid_minor,
            collected_minor=paid_minor - bill.due_minor if paid else 0,
            arrears_minor=_sum(owed),
            status=status,
            prepaid_minor=bill.prepaid_minor,
            merchant_minor=bill.merchant_minor,
            discount_minor=bill.discount_minor,
            missing_entry=leaving.reason == "lost_ticket",
        ),
    )
    notices = ["parking.exited"]
    if exited.status == "unpaid":
        notices.append("parking.arrears_recorded")
    if exited.collected_minor:
        notices.append("parking.arrears_collected")
    spent = vehicle.spent
    if vehicle.mandate is not None and paid:
        spent = _spent(leaving, paid_minor)
    return Plan(
        state=replace(
            vehicle,
            session=None,
            arrears=owed,
            last=exited,
            spent=spent,
            receipts=_receipts(leaving, bill.due_minor if paid else 0),
        ),
        effects=(
            *_payments(vehicle.plate, vehicle.account_id or "", paid),
            *_captures(leaving),
            *leaving.effects,
        ),
        result=exited,
        notices=tuple(
            Notice(type=notice, subject=vehicle.plate, data=exited) for notice in notices
        ),
    )


def _sum(dues: Sequence[Arrear]) -> int:
    return sum(due.amount_minor for due in dues)
