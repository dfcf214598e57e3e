"""What leaving costs and in which ways it may be collected; the money rules of the pack.

At an exit the stay's fee and all older arrears are due. The ways, in order of preference:

1. the fee and all arrears are paid;
2. the fee alone is paid, the arrears stay;
3. nothing is paid, and the fee joins the arrears.

A way stands or falls as a whole, so no stay is ever paid in part, and in each of them what was
owed before plus the fee equals what was paid plus what is owed after.
"""

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from zhihui.plugin import Notice, Pay, Plan

from .messages import ArrearsSettled, Exited, LostExit
from .state import Arrear, Session, Vehicle
from .tariff import fee_minor

__all__ = ("close_lost", "exit_plans", "settle_plan")


def exit_plans(vehicle: Vehicle, session: Session, left_at: datetime) -> tuple[Plan, ...]:
    """Return the ways in which the exit may turn out, the best one first."""
    fee = fee_minor(session.tariff, session.entered_at, left_at)
    due = (_arrear(session, fee, left_at, "unpaid"),) if fee else ()
    older = vehicle.arrears
    nothing = _exit_plan(vehicle, session, left_at, fee, paid=(), owed=(*older, *due))
    if vehicle.account_id is None or not (due or older):
        return (nothing,)
    everything = _exit_plan(vehicle, session, left_at, fee, paid=(*due, *older), owed=())
    if not (due and older):
        return (everything, nothing)
    fee_alone = _exit_plan(vehicle, session, left_at, fee, paid=due, owed=older)
    return (everything, fee_alone, nothing)


def close_lost(vehicle: Vehicle, now: datetime) -> tuple[Vehicle, LostExit | None]:
    """Close the open stay, if any, of a car that was seen at another lot at ``now``.

    Nobody knows when it left, so it is charged up to ``now`` but at most one day's cap, as
    arrears.
    """
    session = vehicle.session
    if session is None:
        return vehicle, None
    fee = min(fee_minor(session.tariff, session.entered_at, now), session.tariff.daily_cap_minor)
    arrear = _arrear(session, fee, now, "lost_exit")
    lost = LostExit(lot_id=session.lot_id, entered_at=session.entered_at, fee_minor=fee)
    arrears = (*vehicle.arrears, arrear) if fee else vehicle.arrears
    return replace(vehicle, session=None, arrears=arrears), lost


def settle_plan(vehicle: Vehicle) -> Plan:
    """Return the plan that pays all arrears of a bound vehicle, or falls."""
    result = ArrearsSettled(plate=vehicle.plate, paid_minor=vehicle.arrears_minor)
    notice = Notice(type="parking.arrears_collected", subject=vehicle.plate, data=result)
    return Plan(
        state=replace(vehicle, arrears=()),
        effects=_payments(vehicle, vehicle.arrears),
        result=result,
        notices=(notice,) if vehicle.arrears else (),
    )


def _arrear(
    session: Session, amount_minor: int, since: datetime, reason: Literal["unpaid", "lost_exit"]
) -> Arrear:
    return Arrear(
        lot_id=session.lot_id,
        payee=session.payee,
        amount_minor=amount_minor,
        entered_at=session.entered_at,
        since=since,
        reason=reason,
    )


def _payments(vehicle: Vehicle, paid: tuple[Arrear, ...]) -> tuple[Pay, ...]:
    # One payment for each stay, not one for each payee: an operator reconciles by stays.
    return tuple(
        Pay(
            payer=vehicle.account_id or "",
            payee=due.payee,
            amount_minor=due.amount_minor,
            reference=f"parking {due.lot_id} {vehicle.plate} {due.entered_at.isoformat()}",
        )
        for due in paid
    )


def _exit_plan(
    vehicle: Vehicle,
    session: Session,
    left_at: datetime,
    fee: int,
    *,
    paid: tuple[Arrear, ...],
    owed: tuple[Arrear, ...],
) -> Plan:
    paid_minor = sum(due.amount_minor for due in paid)
    owed_minor = sum(due.amount_minor for due in owed)
    # Arrears are paid only together with the fee, so something paid means that the fee is.
    status: Literal["paid", "free", "unpaid"]
    status = "free" if fee == 0 else "paid" if paid else "unpaid"
    exited = Exited(
        plate=vehicle.plate,
        lot_id=session.lot_id,
        entered_at=session.entered_at,
        left_at=left_at,
        fee_minor=fee,
        paid_minor=paid_minor,
        collected_minor=paid_minor - fee if paid else 0,
        arrears_minor=owed_minor,
        status=status,
    )
    notices = ["parking.exited"]
    if exited.status == "unpaid":
        notices.append("parking.arrears_recorded")
    if exited.collected_minor:
        notices.append("parking.arrears_collected")
    return Plan(
        state=replace(vehicle, session=None, arrears=owed, last=exited),
        effects=_payments(vehicle, paid),
        result=exited,
        notices=tuple(
            Notice(type=notice, subject=vehicle.plate, data=exited) for notice in notices
        ),
    )
