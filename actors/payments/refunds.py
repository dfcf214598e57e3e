"""Refunds, disputes and reversals: how money comes back from a payee."""

from collections.abc import Sequence

import msgspec

from actors.entity import Part, Plan, merge
from actors.payments.calling_off import call_off
from actors.payments.desk import PaymentDesk
from actors.payments.funding import ResendingFunding
from actors.payments.lifecycle import Step, status_after
from actors.payments.moves import (
    DISPUTE_PURPOSE,
    PURPOSE_REFUND,
    given_back,
    steps,
)
from actors.payments.progress import CONFIRM_TYPE, pay_payee, timers_of
from actors.payments.records import (
    DISPUTES_MAX,
    REFUNDS_MAX,
    DisputeState,
    PaymentState,
    RefundState,
)
from actors.payments.returns import Return, give_to_sources, shares_of_refund
from actors.payments.turn import Turn
from actors.payments.views import advanced, public_payment, refund_answer, told
from actors.settlement.division import give_back
from schemas.errors import LimitExceeded, NotFound
from schemas.ledger import PlaceStep, ReleaseStep
from schemas.money import CNY
from schemas.payments import (
    Dispute,
    DisputePayment,
    Refund,
    RefundPayment,
    ResolveDispute,
    RetryRefund,
    ReversePayment,
)

__all__ = ("dispute", "refund", "resolve", "retry_refund", "reverse")


async def refund(
    desk: PaymentDesk, turn: Turn, state: PaymentState, request: RefundPayment
) -> Plan:
    """Give back what the payee got, or a part of it."""
    left = state.refundable_minor
    amount = left if request.amount_minor is None else request.amount_minor
    step: Step = "refund_rest" if amount == left else "refund"
    after, done, part = await _take_back(
        desk, turn, state, step, amount, request.reason, request.source_order
    )
    return Plan(answer=done, state=after).plus(part)


async def reverse(
    desk: PaymentDesk, turn: Turn, state: PaymentState, request: ReversePayment
) -> Plan:
    """Undo a payment: all that is left goes back, and it counts against no limit any more."""
    after, _, part = await _take_back(
        desk, turn, state, "reverse", state.refundable_minor, request.reason, ()
    )
    after = msgspec.structs.replace(after, reserved=())
    counted = steps(*given_back(state.reserved))
    return Plan(answer=public_payment(after), state=after).plus(part, counted)


async def _take_back(
    desk: PaymentDesk,
    turn: Turn,
    state: PaymentState,
    step: Step,
    amount_minor: int,
    reason: str,
    source_order: Sequence[int],
) -> tuple[PaymentState, Refund, Part]:
    """Return the state after a refund, the refund, and what of the change belongs to it."""
    status_after(state.payment_id, state.status, step)
    left = state.refundable_minor
    if amount_minor > left:
        raise LimitExceeded(
            f"payment {state.payment_id!r} has {left} minor units left to refund, not"
            f" {amount_minor}",
            field="amount_minor",
        )
    if len(state.refunds) >= REFUNDS_MAX:
        raise LimitExceeded(f"a payment is refunded in at most {REFUNDS_MAX} parts")
    refund_id = turn.ids.new("rfd")
    shared = await desk.sharing.take_back(turn, state, amount_minor, refund_id)
    shares = shares_of_refund(state.legs, amount_minor, source_order)
    way = Return(
        debit=state.payee, refund_id=refund_id, purpose=PURPOSE_REFUND, whole=amount_minor == left
    )
    returned = await give_to_sources(state, shares, way, turn, desk)
    after = advanced(
        state,
        step,
        legs=returned.legs,
        refunded_minor=state.refunded_minor + amount_minor,
        division=shared.division,
    )
    done = refund_answer(
        state, after, refund_id=refund_id, request_id=turn.request_id, amount_minor=amount_minor,
        sources=returned.sources, processing=returned.waits, reason=reason, at=turn.now,
    )  # fmt: skip
    after = msgspec.structs.replace(after, refunds=(*state.refunds, RefundState(refund=done)))
    data = public_payment(after) if step == "reverse" else done
    part = merge(shared.part, returned.part, told(turn, after, step, amount_minor, data))
    return after, done, part


async def retry_refund(
    desk: PaymentDesk, turn: Turn, state: PaymentState, request: RetryRefund
) -> Plan:
    """Let the channel send its part of a refund once more; the payee gave it long ago."""
    refund_id = request.refund_id
    known = {one.refund.refund_id: one for one in state.refunds}
    if refund_id not in known:
        raise NotFound(f"refund {refund_id!r} does not exist", field="refund_id")
    channel = desk.sources["channel"]
    assert isinstance(channel, ResendingFunding), "only what can be sent again can fail"
    sent = await channel.resend(
        app=turn.app, payment_id=state.payment_id, refund_id=refund_id, now=turn.now, ids=turn.ids
    )
    again = msgspec.structs.replace(known[refund_id].refund, status="processing", failure=None)
    known[refund_id] = msgspec.structs.replace(known[refund_id], refund=again)
    after = advanced(state, "refund_retry", refunds=tuple(known.values()))
    told_of = told(turn, after, "refund_retry", again.amount_minor, again)
    return Plan(answer=again, state=after).plus(sent, told_of)


def dispute(turn: Turn, state: PaymentState, request: DisputePayment) -> Plan:
    """Freeze what is disputed: the payee's part of it by a hold, or in escrow, where it stays.

    The bank and the participants of a split give back theirs if it comes to that.
    """
    status_after(state.payment_id, state.status, "dispute")
    in_escrow = state.place == "escrow"
    left = state.amount_minor if in_escrow else state.refundable_minor
    amount = left if request.amount_minor is None else request.amount_minor
    if amount > left or (in_escrow and amount != left):
        raise LimitExceeded(
            f"of payment {state.payment_id!r} {left} minor units can be disputed, not {amount}"
            + (", and no part of them" if in_escrow else ""),
            field="amount_minor",
        )
    if len(state.disputes) >= DISPUTES_MAX:
        raise LimitExceeded(f"a payment is disputed at most {DISPUTES_MAX} times")
    opened = Dispute(
        dispute_id=turn.ids.new("dsp"), status="open", amount_minor=amount, reason=request.reason,
        opened_at=turn.now,
    )  # fmt: skip
    part, hold_id = Part(), ""
    own = 0 if in_escrow else _own_part(state, amount)
    if own:
        hold_id = turn.ids.new("hold")
        part = steps(
            PlaceStep(
                hold_id, state.payee, own, CNY, turn.now, purpose=DISPUTE_PURPOSE,
                capturable=False, reference=state.payment_id, fields=("payee", "payee"),
            )
        )  # fmt: skip
    disputes = (*state.disputes, DisputeState(dispute=opened, hold_id=hold_id))
    after = advanced(state, "dispute", disputes=disputes, confirms_at=None)
    cancels = timers_of(state.payment_id, (CONFIRM_TYPE,)) if in_escrow else ()
    plan = Plan(answer=public_payment(after), state=after, cancels=cancels)
    return plan.plus(part, told(turn, after, "dispute", amount))


def _own_part(state: PaymentState, amount_minor: int) -> int:
    """Return what the payee itself would give of a refund; the rest has gone on to others."""
    if state.division is None:
        return amount_minor
    given = give_back(state.division, amount_minor)
    return amount_minor - given.fee_minor - given.shared_minor


async def resolve(
    desk: PaymentDesk, turn: Turn, state: PaymentState, request: ResolveDispute
) -> Plan:
    """End the open dispute for one of the two."""
    refunds = request.decision == "refund"
    status_after(state.payment_id, state.status, "resolve_refund" if refunds else "release")
    open_one = state.disputes[-1]
    ended = msgspec.structs.replace(
        open_one.dispute,
        status="refunded" if refunds else "released",
        resolved_at=turn.now,
        resolution=request.reason,
    )
    disputes = (*state.disputes[:-1], msgspec.structs.replace(open_one, dispute=ended))
    state = msgspec.structs.replace(state, disputes=disputes)
    if state.place == "escrow":
        if refunds:
            return await call_off(desk, turn, state, "resolve_void")
        after, part = await pay_payee(desk, turn, state, "release")
        return Plan(answer=public_payment(after), state=after).plus(part)
    freed = Part()
    if open_one.hold_id:
        freed = steps(
            ReleaseStep(
                open_one.hold_id, "voided", purpose=DISPUTE_PURPOSE, name="", field="payment_id"
            )
        )  # fmt: skip
    amount = ended.amount_minor
    if refunds:
        whole = amount == state.refundable_minor
        step: Step = "resolve_refund_rest" if whole else "resolve_refund"
        after, _, part = await _take_back(desk, turn, state, step, amount, request.reason, ())
    else:
        step = "release_part" if state.refunded_minor else "release"
        after = advanced(state, step)
        part = told(turn, after, step, amount)
    return Plan(answer=public_payment(after), state=after).plus(freed, part)
