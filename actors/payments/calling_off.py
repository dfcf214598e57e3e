"""How a payment ends that never reached its payee, or not with all of it: the money goes back."""

import msgspec

from actors.entity import Part, Plan, merge
from actors.payments.captures import release
from actors.payments.desk import PaymentDesk
from actors.payments.lifecycle import Step
from actors.payments.moves import ESCROW, PURPOSE_RETURN, given_back, steps
from actors.payments.progress import CONFIRM_TYPE, EXPIRE_TYPE, REVIEW_TYPE, timers_of
from actors.payments.records import LegState, PaymentState, Place, RefundState
from actors.payments.returns import Return, give_to_sources
from actors.payments.turn import Turn
from actors.payments.views import advanced, public_payment, refund_answer, told
from schemas.errors import ErrorBody

__all__ = ("call_off", "give_back")


async def call_off(
    desk: PaymentDesk,
    turn: Turn,
    state: PaymentState,
    step: Step,
    *,
    failure: ErrorBody | None = None,
) -> Plan:
    """End a payment by ``step``: what has not reached the payee goes back to its sources."""
    after, part = await give_back(desk, turn, state, step, failure=failure)
    cancels = timers_of(state.payment_id, (CONFIRM_TYPE, EXPIRE_TYPE, REVIEW_TYPE))
    return Plan(answer=public_payment(after), state=after, cancels=cancels).plus(part)


async def give_back(
    desk: PaymentDesk,
    turn: Turn,
    state: PaymentState,
    step: Step,
    *,
    failure: ErrorBody | None = None,
) -> tuple[PaymentState, Part]:
    """Return the state after the step, and what of the change gives the money back.

    What a channel was still asked for is not wanted any more: when it pays all the same, the
    channel gives it back. What the payment had counted in tallies is taken back, unless a part of
    it was captured.
    """
    after = advanced(state, step, failure=failure, confirms_at=None, review_until=None)
    if state.place == "holds":
        after, part = _released(after)
    else:
        after, part = await _returned(desk, turn, state, after)
    if not state.captured_minor:
        part = merge(part, steps(*given_back(state.reserved)))
        after = msgspec.structs.replace(after, reserved=())
    amount = state.amount_minor - state.captured_minor
    return after, merge(part, told(turn, after, step, amount))


def _released(state: PaymentState) -> tuple[PaymentState, Part]:
    freed = [release(leg.paid.hold_id) for leg in state.legs if leg.held_minor]
    legs = tuple(msgspec.structs.replace(leg, held_minor=0) for leg in state.legs)
    place: Place = "payee" if state.captured_minor else "none"
    return msgspec.structs.replace(state, legs=legs, place=place), steps(*freed)


async def _returned(
    desk: PaymentDesk, turn: Turn, before: PaymentState, after: PaymentState
) -> tuple[PaymentState, Part]:
    refund_id = turn.ids.new("rfd")
    shares = {leg.paid.number: leg.left_minor for leg in before.legs}
    way = Return(
        debit=ESCROW, refund_id=refund_id, purpose=PURPOSE_RETURN, whole=True,
        debit_field="payment_id",
    )  # fmt: skip
    returned = await give_to_sources(before, shares, way, turn, desk)
    after = msgspec.structs.replace(after, legs=_none_held(returned.legs), place="none")
    if returned.waits:
        # A channel has to send its part back: kept until it has said so.
        waiting = refund_answer(
            before, after, refund_id=refund_id, request_id=turn.request_id,
            amount_minor=sum(one.amount_minor for one in returned.sources),
            sources=returned.sources, processing=True, reason="", at=turn.now,
        )  # fmt: skip
        refunds = (*after.refunds, RefundState(refund=waiting, kind="return"))
        after = msgspec.structs.replace(after, refunds=refunds)
    return after, returned.part


def _none_held(legs: tuple[LegState, ...]) -> tuple[LegState, ...]:
    return tuple(msgspec.structs.replace(leg, held_minor=0) for leg in legs)
