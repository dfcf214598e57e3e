"""The attempts of one payment: one identity, so that its orders are never decided on side by side.

The order of a turn is: ask the channel, decide, commit. What was asked and not committed, because
the node died or another one decided first, is asked again: all that is asked may be asked twice.
"""

from typing import ClassVar

import msgspec

from actors.channels.attempts import (
    PAY_KIND,
    Begin,
    Turn,
    Work,
    after_pay,
    close_decided,
    is_due,
    next_pay_step,
)
from actors.channels.channel import Outcome, Pending, Succeeded
from actors.channels.desk import ChannelDesk, desk_of
from actors.channels.endings import Endings
from actors.channels.exchange import ask_about_pay, observe_end, observe_pay, time_left_s
from actors.channels.orders import (
    DEAD,
    ORDERS,
    PAYMENTS,
    ChannelOrder,
    ChannelPayment,
    order_outcome,
    public_order,
)
from actors.channels.told import Told
from actors.entity import Case, EntityActor, Plan, Record, decides, reads
from actors.parts import Parts
from actors.payments.channel_port import PaymentSide
from kernel.actor import ActorContext
from kernel.store import Where
from schemas.change import TimerFired
from schemas.channels import ChannelAttempts, GetChannelAttempts, RecheckChannelOrder
from schemas.errors import ChannelUnavailable, NotFound

__all__ = ("AttemptActor",)

_Ways = Plan | tuple[Plan, ...]

_WAIT = Pending()
# The least that a closing gets which follows a refusal in the same turn.
_CLOSE_WITHIN_S = 1.0


class AttemptActor(EntityActor):
    """See the module; the key is the payment's id."""

    kind = PAY_KIND
    table: ClassVar = PAYMENTS

    def __init__(self, context: ActorContext, *, parts: Parts, payments: PaymentSide) -> None:
        super().__init__(context, parts=parts)
        self._desk: ChannelDesk = desk_of(parts)
        self._endings = Endings(self._desk, payments, context.clock)

    # What is received.

    @decides("channel.begin", Begin)
    async def begin(self, message: Begin, case: Case) -> _Ways:
        """Send an order that was just written."""
        record = await self._order(message.order_id, case)
        if record is None or record.state.asked:
            return _nothing(message.order_id, record)
        return await self._work(record, case, first=True)

    @decides("channel.work", TimerFired)
    async def work(self, fired: TimerFired, case: Case) -> _Ways:
        """Take the next step of an order whose time has come."""
        order_id = msgspec.msgpack.decode(fired.body, type=Work).order_id
        record = await self._order(order_id, case)
        if record is None or not is_due(record.state, case.now):
            return _nothing(order_id, record)
        return await self._work(record, case)

    @decides("channel.told", Told)
    async def told(self, message: Told, case: Case) -> _Ways:
        """Take a channel's word, which may come twice, late and out of order.

        Success counts at once. Anything else only makes us ask: it may be older than what we know.
        """
        record = await self._order(message.order_id, case)
        if record is None:
            return _nothing(message.order_id, record)
        order, outcome = record.state, message.outcome
        if isinstance(outcome, Succeeded) and outcome.amount_minor == order.amount_minor:
            return await self._succeeded(record, outcome, case)
        if order.state != "open":
            return _nothing(message.order_id, record)
        return await self._work(record, case)

    @decides("channel.recheck", RecheckChannelOrder)
    async def recheck(self, request: RecheckChannelOrder, case: Case) -> _Ways:
        """Ask the channel now, also about an order that is settled for us."""
        case.state(ChannelPayment, "payment", "payment_id")
        record = await self._order(request.order_id, case)
        if record is None or record.state.kind != "pay":
            raise NotFound(f"attempt {request.order_id!r} does not exist", field="order_id")
        order = record.state
        if self._desk.channel(order.channel) is None:
            raise ChannelUnavailable(f"this node has no way to {order.channel}")
        if order.state == "open":
            return await self._work(record, case)
        outcome = await ask_about_pay(self._desk, order, "query", case.deadline_ms)
        if isinstance(outcome, Succeeded):
            return await self._succeeded(record, outcome, case)
        return Plan(answer=order_outcome(order, type(outcome).__name__.lower()))

    @reads("channel.get", GetChannelAttempts)
    async def get(self, request: GetChannelAttempts, case: Case) -> ChannelAttempts:
        """Return all orders of the payment as committed."""
        payment = case.state(ChannelPayment, "payment", "payment_id")
        found = await ORDERS.search(case.store, Where("payment_id", "=", request.payment_id))
        orders = sorted(
            (one.state for one in found), key=lambda order: (order.kind, order.created_at)
        )
        return ChannelAttempts(
            payment_id=payment.payment_id,
            status=payment.status,
            orders=tuple(public_order(order) for order in orders),
        )

    # How it is decided.

    async def _order(self, order_id: str, case: Case) -> Record[ChannelOrder] | None:
        record = await ORDERS.load(case.store, order_id)
        # An order of another payment or app is none of this identity's.
        if record is None or case.record is None or record.state.payment_id != case.key:
            return None
        return record

    async def _work(
        self, record: Record[ChannelOrder], case: Case, *, first: bool = False
    ) -> _Ways:
        """Take one step, and the closing that a refusal calls for with it.

        ``first`` is for the message that begins an attempt, which is sent once. Whoever finds an
        attempt that seems never to have been sent cannot know: a node may have died over it.
        """
        now = self.context.clock.now()
        if next_pay_step(record.state, now) == "decide_close":
            return await self._endings.plans(case, record, close_decided(record.state, now), _WAIT)
        turn, outcome = await self._step(record.state, case, first=first)
        if (
            turn.verdict == "wait"
            and next_pay_step(turn.order, now) == "close"
            # With less, it is left to a turn of its own: this one must be committed.
            and time_left_s(self._desk, turn.order, case.deadline_ms) >= _CLOSE_WITHIN_S
        ):
            turn, outcome = await self._step(turn.order, case)
        at_once = not record.state.sent and turn.order.observed
        if turn.verdict != "wait" and not at_once:
            observe_end(self._desk, turn.order, outcome)
        return await self._endings.plans(case, record, turn, outcome)

    async def _step(
        self, order: ChannelOrder, case: Case, *, first: bool = False
    ) -> tuple[Turn, Outcome]:
        clock = self.context.clock
        step = next_pay_step(order, clock.now())
        began_s = clock.monotonic_s()
        outcome = await ask_about_pay(self._desk, order, step, case.deadline_ms)
        if step == "pay" and not order.sent:
            latency_s = clock.monotonic_s() - began_s
            observed = observe_pay(self._desk, order, outcome, latency_s)
            order = msgspec.structs.replace(order, observed=observed)
        now, grace_s = clock.now(), self._grace_s(order)
        return after_pay(order, step, outcome, now, grace_s, first=first), outcome

    def _grace_s(self, order: ChannelOrder) -> int:
        channel = self._desk.channel(order.channel)
        # Without a way to the channel nothing is certain, however long it takes.
        return 10**9 if channel is None else channel.terms.settle_grace_s

    async def _succeeded(
        self, record: Record[ChannelOrder], outcome: Succeeded, case: Case
    ) -> _Ways:
        """The channel has taken the money, whatever we believed until now."""
        order = record.state
        if order.state != "open" and order.state not in DEAD:
            return _nothing(order.order_id, record)
        now = self.context.clock.now()
        turn = after_pay(order, "query", outcome, now, 0)
        if order.state == "open" and turn.verdict == "paid":
            observe_end(self._desk, order, outcome)
        return await self._endings.plans(case, record, turn, outcome)


def _nothing(order_id: str, record: Record[ChannelOrder] | None) -> Plan:
    """Return the plan that changes nothing: the message was late, early, or a repetition."""
    if record is None:
        raise NotFound(f"order {order_id!r} does not exist", field="order_id")
    return Plan(answer=order_outcome(record.state))
