"""Reviews: a payment that waits for a person goes ahead, or its money goes back."""

import msgspec

from actors.entity import Part, Plan, merge
from actors.payments.calling_off import call_off
from actors.payments.create import CHANNEL_PAYER, payer_of
from actors.payments.desk import PaymentDesk
from actors.payments.funding import LegRequest
from actors.payments.lifecycle import status_after
from actors.payments.progress import REVIEW_TYPE, go_on, timers_of
from actors.payments.records import LegState, PaymentState
from actors.payments.turn import Turn
from actors.payments.views import advanced, public_payment, told
from schemas.errors import RiskDeclined
from schemas.payments import ReviewPayment

__all__ = ("decline", "review")


async def review(
    desk: PaymentDesk, turn: Turn, state: PaymentState, request: ReviewPayment
) -> Plan:
    """Do what the reviewer decided."""
    if request.decision == "decline":
        return await decline(desk, turn, state, request.reason)
    # An approval is for what a decline would be for: nothing else waits for a person.
    status_after(state.payment_id, state.status, "decline")
    cancels = timers_of(state.payment_id, (REVIEW_TYPE,))
    channel = state.channel_leg
    if channel is None:
        after, part = await go_on(desk, turn, state)
    else:
        state, begun = await _begin(desk, turn, state, channel)
        after = advanced(state, "process", review_until=None)
        part = merge(begun, told(turn, after, "process", state.amount_minor))
    return Plan(answer=public_payment(after), state=after, cancels=cancels).plus(part)


async def decline(desk: PaymentDesk, turn: Turn, state: PaymentState, reason: str) -> Plan:
    """Fail a payment in review, and give its money back."""
    failure = RiskDeclined(f"declined by a review: {reason}").body()
    return await call_off(desk, turn, state, "decline", failure=failure)


async def _begin(
    desk: PaymentDesk, turn: Turn, state: PaymentState, channel: LegState
) -> tuple[PaymentState, Part]:
    """Let a channel begin, which nobody had asked before the review was over."""
    leg = await desk.sources["channel"].pay(
        LegRequest(
            app=turn.app,
            request_id=turn.request_id,
            payment_id=state.payment_id,
            number=channel.paid.number,
            payee=state.payee,
            method=state.method,
            source=channel.source,
            amount_minor=channel.held_minor,
            total_minor=state.amount_minor,
            now=turn.now,
            ids=turn.ids,
            strict=True,
        )
    )
    paid = msgspec.structs.replace(channel.paid, account_id=leg.pay_from, record=leg.record)
    begun = msgspec.structs.replace(channel, paid=paid)
    legs = tuple(begun if one is channel else one for one in state.legs)
    # The first who pays with money of his own; in review a channel had no name yet.
    payer = payer_of(leg) if state.payer == CHANNEL_PAYER else state.payer
    return msgspec.structs.replace(state, legs=legs, payer=payer), leg.before
