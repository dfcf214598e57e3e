"""A refund through a channel: asked for under one number until the channel says what became of it.

Its money stands in ``suspense`` from the change that made it until the channel confirms.
"""

from typing import ClassVar

from actors.channels.attempts import (
    REFUND_KIND,
    Begin,
    Turn,
    after_refund,
    is_due,
    next_refund_step,
    reversed_expectation,
    timer_for,
)
from actors.channels.channel import Outcome, Succeeded
from actors.channels.desk import ChannelDesk, desk_of
from actors.channels.exchange import ask_about_refund
from actors.channels.orders import ORDERS, ChannelOrder, order_outcome, timer_of
from actors.channels.told import Told
from actors.entity import Case, EntityActor, Part, Plan, decides
from actors.parts import Parts
from actors.payments.channel_port import PaymentSide
from kernel.actor import ActorContext
from schemas.change import TimerFired
from schemas.errors import InvalidState
from schemas.ledger import Moves

__all__ = ("RefundActor",)


class RefundActor(EntityActor):
    """See the module; the key is the refund order's id."""

    kind = REFUND_KIND
    table: ClassVar = ORDERS

    def __init__(self, context: ActorContext, *, parts: Parts, payments: PaymentSide) -> None:
        super().__init__(context, parts=parts)
        self._desk: ChannelDesk = desk_of(parts)
        self._payments = payments

    @decides("channel_refund.begin", Begin)
    async def begin(self, message: Begin, case: Case) -> Plan:
        """Ask for a refund that was just written."""
        order = case.state(ChannelOrder, "refund", "order_id")
        return Plan(answer=order_outcome(order)) if order.asked else await self._work(order, case)

    @decides("channel_refund.work", TimerFired)
    async def work(self, fired: TimerFired, case: Case) -> Plan:
        """Take the next step of a refund whose time has come."""
        order = case.state(ChannelOrder, "refund", "order_id")
        if not is_due(order, case.now):
            return Plan(answer=order_outcome(order))
        return await self._work(order, case)

    @decides("channel_refund.told", Told)
    async def told(self, message: Told, case: Case) -> Plan:
        """Take a channel's word: success counts at once, anything else only makes us ask."""
        order, outcome = case.state(ChannelOrder, "refund", "order_id"), message.outcome
        if order.state != "open":
            return Plan(answer=order_outcome(order))
        if isinstance(outcome, Succeeded) and outcome.amount_minor == order.amount_minor:
            now = self.context.clock.now()
            return await self._plan(case, after_refund(order, "query", outcome, now), outcome)
        return await self._work(order, case)

    async def _work(self, order: ChannelOrder, case: Case) -> Plan:
        step = next_refund_step(order)
        outcome = await ask_about_refund(self._desk, order, step, case.deadline_ms)
        turn = after_refund(order, step, outcome, self.context.clock.now())
        return await self._plan(case, turn, outcome)

    async def _plan(self, case: Case, turn: Turn, outcome: Outcome) -> Plan:
        order = turn.order
        answer = order_outcome(order, type(outcome).__name__.lower())
        timer_id = timer_of(order.order_id)
        if turn.verdict == "wait":
            timers = (timer_for(case.owner, order),)
            return Plan(answer=answer, state=order, cancels=(timer_id,), timers=timers)
        told = order_outcome(order)
        if turn.verdict == "paid":
            # The payer has the money back, so the channel owes us that much less.
            moves = Moves(postings=(reversed_expectation(order, "channel.refunded"),))
            events = (case.tell("channel.refunded", order.order_id, told),)
        else:
            # It stays in suspense, where the reconciliation shows it, until a person has looked.
            moves = Moves()
            events = (case.tell("channel.refund_failed", order.order_id, told),)
        plan = Plan(answer=answer, state=order, moves=moves, cancels=(timer_id,), events=events)
        return plan.plus(await self._for_payment(case, turn))

    async def _for_payment(self, case: Case, turn: Turn) -> Part:
        order = turn.order
        if not order.refund_id:
            # The refund of a late payment: the payment itself never heard of it.
            return Part()
        if turn.verdict == "paid":
            return await self._payments.refunded(
                case.store, case.owner, order.payment_id, order.refund_id, case.request_id
            )
        reason = InvalidState(
            f"{order.channel} cannot send the refund back ({order.code}): {order.last_word}"
        )
        return await self._payments.refund_failed(
            case.store, case.owner, order.payment_id, order.refund_id, reason.body(),
            case.request_id,
        )  # fmt: skip
