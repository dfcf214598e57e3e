"""What a turn of an attempt is committed as: with the money, the payment, and the next attempt.

::

    open ──────── paid              suspense → where the payment wants it
      │  └─────── paid_late         the payment does not want it: a refund begins
      └─ dead                       suspense → expected, then another channel or giving up
           └───── paid_late         expected → suspense again, and a refund begins
"""

import msgspec

from actors.channels.attempts import (
    ATTEMPTS_MAX,
    Turn,
    new_attempt,
    new_refund,
    reversed_expectation,
    timer_for,
)
from actors.channels.channel import NotFound, Outcome
from actors.channels.desk import ChannelDesk
from actors.channels.orders import (
    ORDERS,
    ChannelOrder,
    ChannelPayment,
    expected_account,
    order_outcome,
    suspense_account,
    timer_of,
)
from actors.channels.router_port import RouteRequest
from actors.channels.routing import choice_fact
from actors.entity import Case, Part, Plan, Record, RecordChange
from actors.payments.channel_port import ChannelMoney, PaymentSide
from kernel.clock import Clock
from schemas.errors import (
    ChannelUnavailable,
    ErrorBody,
    Ineligible,
    InvalidState,
    Rejected,
)
from schemas.ledger import Moves, Posting

__all__ = ("Endings",)

_LATE_REASON = "paid after it was given up"


class Endings:
    """Turn what was decided about one attempt into the ways its change may turn out."""

    def __init__(self, desk: ChannelDesk, payments: PaymentSide, clock: Clock) -> None:
        self._desk = desk
        self._payments = payments
        self._clock = clock

    async def plans(
        self, case: Case, record: Record[ChannelOrder], turn: Turn, outcome: Outcome
    ) -> tuple[Plan, ...]:
        """Return the plans of a turn in order of preference."""
        order = turn.order
        answer = order_outcome(order, type(outcome).__name__.lower())
        payment = case.state(ChannelPayment, "payment", "payment_id")
        if turn.verdict == "wait":
            change = self._order_change(record, order)
            timers = (timer_for(case.owner, order),)
            cancels = (timer_of(order.order_id),)
            return (Plan(answer=answer, also=(change,), timers=timers, cancels=cancels),)
        if turn.verdict == "paid":
            return await self._paid(case, record, turn, payment)
        return (await self._dead(case, record, order, payment, _reason(order, outcome)),)

    # Paid.

    async def _paid(
        self, case: Case, record: Record[ChannelOrder], turn: Turn, payment: ChannelPayment
    ) -> tuple[Plan, ...]:
        order = turn.order
        back = self._paid_late(case, record, order)
        if payment.status != "open" or record.state.state != "open":
            return (back,)
        ended = msgspec.structs.replace(payment, status="given_up")
        back = msgspec.structs.replace(back, state=ended)
        refusal = InvalidState("the payee cannot take the money, which goes back").body()
        try:
            side = await self._payments.paid(case.store, _money(case, order), case.request_id)
        except Rejected as error:
            refusal = error.body()
        else:
            if side is None:
                return (back,)
            paid = Plan(
                answer=order_outcome(order, "succeeded"),
                state=msgspec.structs.replace(payment, status="paid"),
                also=(self._order_change(record, order),),
                cancels=(timer_of(order.order_id),),
                events=(case.tell("channel.paid", order.order_id, order_outcome(order)),),
            )
            # The payee's account may be closed or full by now, which only the ledger knows. Then
            # the payment ends here, and the money goes back through the channel.
            return (paid.plus(side), back.plus(await self._given_up(case, order, refusal)))
        return (back.plus(await self._given_up(case, order, refusal)),)

    async def _given_up(self, case: Case, order: ChannelOrder, reason: ErrorBody) -> Part:
        return await self._payments.given_up(
            case.store, case.owner, order.payment_id, order.order_id, reason, case.request_id
        )

    def _paid_late(self, case: Case, record: Record[ChannelOrder], paid: ChannelOrder) -> Plan:
        """The money came, and nobody wants it any more: it stands in suspense, and goes back."""
        self._desk.late_successes += 1
        late = msgspec.structs.replace(paid, state="paid_late")
        postings: tuple[Posting, ...] = ()
        if record.state.state != "open":
            # Its expectation was reversed when it was taken for dead.
            postings = (
                Posting(
                    expected_account(late.channel), suspense_account(late.channel),
                    late.amount_minor, late.currency, purpose="channel.late",
                ),
            )  # fmt: skip
        channel = self._desk.channel(late.channel)
        assert channel is not None, "a channel that just answered"
        _, refund = new_refund(
            app=case.owner, paid=late, channel=channel, amount_minor=late.amount_minor,
            refund_id="", reason=_LATE_REASON, now=self._clock.now(), ids=case.ids,
        )  # fmt: skip
        told = order_outcome(late)
        return Plan(
            answer=order_outcome(late, "succeeded"),
            moves=Moves(postings=postings),
            also=(self._order_change(record, late),),
            cancels=(timer_of(late.order_id),),
            events=(case.tell("channel.paid_late", late.order_id, told),),
        ).plus(refund)

    # Dead.

    async def _dead(
        self,
        case: Case,
        record: Record[ChannelOrder],
        order: ChannelOrder,
        payment: ChannelPayment,
        reason: ErrorBody,
    ) -> Plan:
        told = order_outcome(order)
        plan = Plan(
            answer=told,
            moves=Moves(postings=(reversed_expectation(order, "channel.attempt_ended"),)),
            also=(self._order_change(record, order),),
            cancels=(timer_of(order.order_id),),
            events=(case.tell("channel.attempt_ended", order.order_id, told),),
        )
        if payment.status != "open":
            return plan
        again = self._elsewhere(case, order, payment)
        if again is not None:
            state, part = again
            return msgspec.structs.replace(plan, state=state).plus(part)
        state = msgspec.structs.replace(payment, status="given_up")
        given_up = await self._given_up(case, order, reason)
        return msgspec.structs.replace(plan, state=state).plus(given_up)

    def _elsewhere(
        self, case: Case, order: ChannelOrder, payment: ChannelPayment
    ) -> tuple[ChannelPayment, Part] | None:
        """Return the next attempt, at another channel, if there is one and it is wanted.

        A payer's no is a no: it is not asked for elsewhere. And who named the channel, or shows a
        code that only it can read, is not led to another.
        """
        if order.payers_no or payment.wanted or len(payment.orders) >= ATTEMPTS_MAX:
            return None
        choice = self._desk.choose(
            RouteRequest(
                payment_id=payment.payment_id,
                app=case.owner,
                amount_minor=payment.amount_minor,
                method=payment.method,
                excluded=payment.tried,
                currency=payment.currency,
            ),
            payer_known=bool(payment.payer_token),
        )
        channel = None if choice.channel is None else self._desk.channel(choice.channel)
        if channel is None:
            return None
        now = self._clock.now()
        following, part = new_attempt(
            app=case.owner, payment_id=payment.payment_id, channel=channel,
            amount_minor=payment.amount_minor, method=payment.method,
            payer_token=payment.payer_token, description=payment.description, now=now,
            ids=case.ids,
        )  # fmt: skip
        number = len(payment.orders) + 1
        fact = choice_fact(
            choice, payment_id=payment.payment_id, number=number, app=case.owner, at=now
        )
        state = msgspec.structs.replace(
            payment,
            orders=(*payment.orders, following.order_id),
            tried=(*payment.tried, following.channel),
        )
        return state, msgspec.structs.replace(part, facts=(*part.facts, fact))

    def _order_change(self, record: Record[ChannelOrder], order: ChannelOrder) -> RecordChange:
        return RecordChange(ORDERS, record.key, record.version, record.app, order)


def _money(case: Case, order: ChannelOrder) -> ChannelMoney:
    return ChannelMoney(
        app=case.owner,
        payment_id=order.payment_id,
        attempt_id=order.order_id,
        channel=order.channel,
        channel_reference=order.channel_reference,
        suspense=suspense_account(order.channel),
        amount_minor=order.amount_minor,
    )


def _reason(order: ChannelOrder, outcome: Outcome) -> ErrorBody:
    """Return what a payment is told of an attempt that is dead."""
    said = f": {order.last_word}" if order.last_word else ""
    if order.payers_no:
        return Ineligible(f"{order.channel} refused the payer ({order.code}){said}").body()
    if isinstance(outcome, NotFound):
        return ChannelUnavailable(f"{order.channel} never received the order").body()
    return ChannelUnavailable(
        f"{order.channel} did not take the payment ({order.code or 'closed'}){said}"
    ).body()
