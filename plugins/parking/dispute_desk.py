"""Doubts about a charge: opened by the driver or by a timer, decided by the operator or by time.

- A charge is disputed once, owed or paid, within the days that its lot says. What is owed is not
  collected meanwhile, and does not keep the car out.
- The operator upholds it, or says what the stay costs: the rest is waived or given back.
- Who does not answer in time is wrong: then all of it is waived or given back. A refund that the
  operator's account does not cover is tried again every day.
- A refund takes back from everybody who had a share, in proportion.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, TypeVar

import msgspec
from msgspec.structs import replace

from zhihui.plugin import (
    Cancel,
    Context,
    Ineligible,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
    Notice,
    Pack,
    Pay,
    Plan,
    Schedule,
    on_timer,
    operation,
)

from .dispute_messages import DecideDispute, DisputeCharge, DisputeDecided, DisputeOpened
from .division import refund_payments
from .gate_clock import check_time
from .state import DISPUTES_MAX, Arrear, Dispute, Lot, Receipt, Vehicle
from .terms import LotRules
from .vehicle_desk import known_vehicle

__all__ = ("DisputeDue", "decide_dispute", "dispute", "lapse_dispute", "opened_review")

_AGAIN = timedelta(days=1)

# How the names of reviews begin, which nobody else may use.
_REVIEW = "review-"

C = TypeVar("C", Arrear, Receipt)


class DisputeDue(msgspec.Struct, frozen=True, kw_only=True):
    """The timer that ends a dispute which nobody has decided, and which was due then."""

    dispute_id: str
    due_at: datetime


class _Decision(msgspec.Struct, frozen=True, kw_only=True):
    vehicle: Vehicle
    dispute: Dispute
    decision: Literal["uphold", "waive", "refund"]
    fee_minor: int
    evidence: str
    by: Literal["operator", "timer"]


@operation(
    "dispute",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=DisputeOpened,
    errors=("not_found", "invalid_state", "ineligible", "limit_exceeded"),
    events=("parking.dispute_opened",),
)
async def dispute(
    pack: Pack, context: Context, message: DisputeCharge, vehicle: Vehicle | None
) -> Plan:
    """Doubt the charge for one stay."""
    check_time(context, "opened_at", message.opened_at)
    if message.dispute_id.startswith(_REVIEW):
        raise InvalidField(f"names that begin with {_REVIEW!r} are taken", field="dispute_id")
    known = known_vehicle(vehicle, message.plate)
    lot = await context.read("lot", message.lot_id, Lot)
    if lot is None or not lot.in_force.dispute_days:
        raise Ineligible(f"lot {message.lot_id!r} takes no disputes here", field="lot_id")
    charge = _charge(known, message.lot_id, message.entered_at)
    left_at = charge.since if isinstance(charge, Arrear) else charge.left_at
    until = left_at + timedelta(days=lot.in_force.dispute_days)
    if message.opened_at > until:
        raise InvalidState(
            f"the stay could be disputed until {until.isoformat()}", field="opened_at"
        )
    if any(one.dispute_id == message.dispute_id for one in known.disputes):
        raise InvalidState(f"dispute {message.dispute_id!r} is open", field="dispute_id")
    if len(known.disputes) >= DISPUTES_MAX:
        raise LimitExceeded(f"{DISPUTES_MAX} disputes of {known.plate} are open", field="plate")
    new = Dispute(
        dispute_id=message.dispute_id,
        lot_id=message.lot_id,
        entered_at=charge.entered_at,
        kind="owed" if isinstance(charge, Arrear) else "paid",
        amount_minor=_amount(charge),
        reason=message.reason,
        evidence=message.evidence,
        by="driver",
        due_at=context.now + timedelta(hours=lot.in_force.dispute_hours),
    )
    marked = replace(_marked(known, new, "open"), disputes=(*known.disputes, new))
    result = _opened(known.plate, new)
    return Plan(
        state=marked,
        effects=(_timer(new, new.due_at),),
        result=result,
        notices=(Notice(type="parking.dispute_opened", subject=known.plate, data=result),),
    )


@operation(
    "decide_dispute",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=DisputeDecided,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("parking.dispute_decided",),
)
async def decide_dispute(
    pack: Pack, context: Context, message: DecideDispute, vehicle: Vehicle | None
) -> Plan:
    """Decide a dispute as the operator: the charge stands, or the stay costs less."""
    known = known_vehicle(vehicle, message.plate)
    found = _find(known, message.dispute_id)
    if found is None:
        raise NotFound(f"no dispute {message.dispute_id!r} is open", field="dispute_id")
    wanted = {"waive": "owed", "refund": "paid"}.get(message.decision, found.kind)
    if wanted != found.kind:
        raise InvalidState(
            f"the charge is {found.kind}; what is owed is waived, what is paid is refunded",
            field="decision",
        )
    if message.decision != "uphold" and message.fee_minor >= found.amount_minor:
        raise InvalidField(
            f"fee_minor is {message.fee_minor}, not less than the charge of {found.amount_minor}",
            field="fee_minor",
        )
    decision = _Decision(
        vehicle=known,
        dispute=found,
        decision=message.decision,
        fee_minor=message.fee_minor,
        evidence=message.evidence,
        by="operator",
    )
    return _decided(decision, (Cancel(name=_timer_name(found)),))


@on_timer(
    "lapse_dispute",
    collection="vehicle",
    state=Vehicle,
    body=DisputeDue,
    events=("parking.dispute_decided",),
)
async def lapse_dispute(
    pack: Pack, context: Context, body: DisputeDue, vehicle: Vehicle | None
) -> Plan | tuple[Plan, ...]:
    """Let the driver be right, since the operator has not answered."""
    found = None if vehicle is None else _find(vehicle, body.dispute_id)
    # One of the same name may have been opened anew since this timer was set.
    if vehicle is None or found is None or found.due_at != body.due_at:
        return Plan()
    decision = _Decision(
        vehicle=vehicle,
        dispute=found,
        decision="refund" if found.kind == "paid" else "waive",
        fee_minor=0,
        evidence="",
        by="timer",
    )
    plan = _decided(decision, ())
    if found.kind == "owed":
        return plan
    return plan, Plan(effects=(_timer(found, context.now + _AGAIN),))


def opened_review(
    vehicle: Vehicle, arrear: Arrear, now: datetime, rules: LotRules
) -> tuple[Vehicle, Schedule, DisputeOpened]:
    """Add an arrear that nobody may collect before the operator has looked at it."""
    review = Dispute(
        dispute_id=f"{_REVIEW}{int(arrear.entered_at.timestamp())}",
        lot_id=arrear.lot_id,
        entered_at=arrear.entered_at,
        kind="owed",
        amount_minor=arrear.amount_minor,
        reason="overstay",
        evidence="",
        by="system",
        due_at=now + timedelta(hours=rules.dispute_hours),
    )
    after = replace(
        vehicle,
        arrears=(*vehicle.arrears, replace(arrear, dispute="open")),
        disputes=(*vehicle.disputes, review),
    )
    return after, _timer(review, review.due_at), _opened(vehicle.plate, review)


def _decided(decision: _Decision, effects: tuple[Cancel, ...]) -> Plan:
    vehicle, found = decision.vehicle, decision.dispute
    after = replace(
        _marked(vehicle, found, "decided"),
        disputes=tuple(one for one in vehicle.disputes if one is not found),
    )
    refunded = waived = 0
    payments: tuple[Pay, ...] = ()
    status: Literal["upheld", "waived", "refunded"] = "upheld"
    if decision.decision == "waive":
        status = "waived"
        waived = found.amount_minor - decision.fee_minor
        after = replace(after, arrears=_lowered(after.arrears, found, decision.fee_minor))
    elif decision.decision == "refund":
        status = "refunded"
        refunded = found.amount_minor - decision.fee_minor
        payments = _refund(vehicle, found, refunded)
    result = DisputeDecided(
        plate=vehicle.plate,
        dispute_id=found.dispute_id,
        lot_id=found.lot_id,
        entered_at=found.entered_at,
        refunded_minor=refunded,
        waived_minor=waived,
        arrears_minor=after.arrears_minor,
        evidence=decision.evidence,
        by=decision.by,
        status=status,
    )
    return Plan(
        state=after,
        effects=(*payments, *effects),
        result=result,
        notices=(Notice(type="parking.dispute_decided", subject=vehicle.plate, data=result),),
    )


def _refund(vehicle: Vehicle, found: Dispute, amount_minor: int) -> tuple[Pay, ...]:
    """Return the payments of a refund: first of what was paid at the exit, then of what before."""
    receipt = next(one for one in vehicle.receipts if _is_of(one, found.lot_id, found.entered_at))
    reference = f"refund {found.lot_id} {vehicle.plate} {found.entered_at.isoformat()}"
    at_exit = min(amount_minor, receipt.paid_minor)
    payments: list[Pay] = []
    for part, paid, payer in (
        (at_exit, receipt.paid_minor, receipt.account_id),
        (amount_minor - at_exit, receipt.prepaid_minor, receipt.prepaid_by),
    ):
        if part:
            payments += refund_payments(
                part,
                paid,
                receipt.shares,
                operator=receipt.payee,
                payer=payer,
                reference=reference,
            )
    return tuple(payments)


def _charge(vehicle: Vehicle, lot_id: str, entered_at: datetime) -> Arrear | Receipt:
    charges: tuple[Arrear | Receipt, ...] = (*vehicle.arrears, *vehicle.receipts)
    found = [one for one in charges if _is_of(one, lot_id, entered_at)]
    if not found:
        raise NotFound(
            f"no charge to {vehicle.plate} at {lot_id!r} for {entered_at.isoformat()} that can "
            "still be disputed",
            field="entered_at",
        )
    if found[0].dispute:
        raise InvalidState("the charge is or was in dispute already", field="entered_at")
    return found[0]


def _amount(charge: Arrear | Receipt) -> int:
    if isinstance(charge, Arrear):
        return charge.amount_minor
    return charge.paid_minor + charge.prepaid_minor


def _marked(vehicle: Vehicle, found: Dispute, mark: Literal["open", "decided"]) -> Vehicle:
    if found.kind == "owed":
        return replace(vehicle, arrears=_with_mark(vehicle.arrears, found, mark))
    return replace(vehicle, receipts=_with_mark(vehicle.receipts, found, mark))


def _with_mark(
    charges: Iterable[C], found: Dispute, mark: Literal["open", "decided"]
) -> tuple[C, ...]:
    return tuple(
        replace(one, dispute=mark) if _is_of(one, found.lot_id, found.entered_at) else one
        for one in charges
    )


def _lowered(arrears: tuple[Arrear, ...], found: Dispute, fee_minor: int) -> tuple[Arrear, ...]:
    lowered = (
        replace(one, amount_minor=fee_minor) if _is_of(one, found.lot_id, found.entered_at) else one
        for one in arrears
    )
    return tuple(one for one in lowered if one.amount_minor)


def _is_of(charge: Arrear | Receipt, lot_id: str, entered_at: datetime) -> bool:
    return charge.lot_id == lot_id and charge.entered_at == entered_at


def _find(vehicle: Vehicle, dispute_id: str) -> Dispute | None:
    return next((one for one in vehicle.disputes if one.dispute_id == dispute_id), None)


def _timer_name(found: Dispute) -> str:
    return f"dispute-{found.dispute_id}"


def _timer(found: Dispute, due_at: datetime) -> Schedule:
    body = DisputeDue(dispute_id=found.dispute_id, due_at=found.due_at)
    return Schedule(name=_timer_name(found), due_at=due_at, body=body)


def _opened(plate: str, found: Dispute) -> DisputeOpened:
    return DisputeOpened(
        plate=plate,
        dispute_id=found.dispute_id,
        lot_id=found.lot_id,
        entered_at=found.entered_at,
        kind=found.kind,
        amount_minor=found.amount_minor,
        reason=found.reason,
        evidence=found.evidence,
        due_at=found.due_at,
    )
