"""One payment: it is made, and whatever follows it is decided here, one request after the other.

A payment that was made at once by one account has no state until something follows it; its first
version is then made from its row. What races with it, such as another follow-up on another node or
a channel's answer, changes the version, and whoever comes second decides anew.
"""

from collections.abc import Awaitable
from typing import Any, ClassVar, cast

import msgspec

from actors.entity import Case, EntityActor, Plan, Record, decides
from actors.parts import Parts
from actors.payments.calling_off import call_off
from actors.payments.captures import capture
from actors.payments.create import create_payment
from actors.payments.desk import PaymentDesk
from actors.payments.funding import PaidLeg
from actors.payments.history import PaymentRow, read_rows
from actors.payments.progress import (
    CONFIRM_TYPE,
    EXPIRE_TYPE,
    ORDER_KIND,
    RETRY_AFTER,
    REVIEW_TYPE,
    pay_payee,
    timer_at,
    timers_of,
)
from actors.payments.records import ORDER_STATUS, ORDER_TABLE, LegState, PaymentState
from actors.payments.refunds import dispute, refund, resolve, retry_refund, reverse
from actors.payments.reviews import decline, review
from actors.payments.turn import turn_of
from actors.payments.views import advanced, public_payment, told
from actors.payments.waiting import plan_review
from kernel.actor import ActorContext, BoundHandler, Delivery
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.store import Where
from schemas.change import Alternative, Change, TimerFired
from schemas.errors import Rejected
from schemas.funding import AccountSource
from schemas.payments import (
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    DisputePayment,
    PaymentStatus,
    RefundPayment,
    ResolveDispute,
    RetryRefund,
    ReversePayment,
    ReviewPayment,
    VoidPayment,
)
from schemas.risk import RISK_CHECK_TYPE, RISK_KIND, RISK_REVIEW_TYPE, RiskCheck, RiskFacts

__all__ = ("PaymentOrderActor",)

_CREATE_TYPE = "payment.create"
_NOT_TAKEN = -1

_decode_check = msgspec.msgpack.Decoder(RiskCheck).decode


class _Status(msgspec.Struct):
    status: str


class PaymentOrderActor(EntityActor):
    """See the module; the key is the payment's id."""

    kind = ORDER_KIND
    table: ClassVar = ORDER_TABLE

    def __init__(
        self, context: ActorContext, *, parts: Parts, desk: PaymentDesk, checked: bool
    ) -> None:
        super().__init__(context, parts=parts)
        self._desk = desk
        self._checked = checked
        # Of the payment that is being made in this turn.
        self._facts: RiskFacts | None = None
        self._reviewed: tuple[Alternative, ...] = ()

    # Made.

    @decides(_CREATE_TYPE, CreatePayment)
    async def create(self, request: CreatePayment, case: Case) -> tuple[Plan, ...]:
        """Make a payment of any method and funding."""
        creation = await create_payment(self._desk, request, case)
        if self._checked:
            self._facts = creation.facts
            self._reviewed = tuple(self._alternative(case, plan) for plan in creation.reviewed)
        return creation.plans

    async def ask_journal(self, change: Change, deadline_ms: int) -> Any:
        """Commit a change; a new payment goes by the risk check, which hands it on."""
        facts, self._facts = self._facts, None
        if facts is None or not change.alternatives:
            return await super().ask_journal(change, deadline_ms)
        check = RiskCheck(change, facts, self._reviewed)
        reply = await self.context.ask(
            RISK_KIND, facts.customer, RISK_CHECK_TYPE, check, app=change.app,
            deadline_ms=deadline_ms,
        )  # fmt: skip
        answer = msgspec.msgpack.decode(reply.body, type=bytes)
        if msgspec.json.decode(answer, type=_Status).status == "in_review":
            # What was committed is none of the plans, so nobody is to be told about one of them.
            return msgspec.structs.replace(reply, note=_NOT_TAKEN)
        return reply

    # Made by others, and turned to a review.

    def handler(self, type_: str) -> BoundHandler | None:
        """Return how messages of that name are handled; one of them is handed on."""
        if type_ == RISK_REVIEW_TYPE:
            return _decode_check, self._hold_for_review
        return super().handler(type_)

    async def _hold_for_review(self, check: RiskCheck, delivery: Delivery) -> None:
        """Give a plain payment the way in which it waits, and let it be checked again."""
        try:
            plan = await plan_review(self._desk, check, self.context.clock.now())
        except Rejected as error:
            change = msgspec.structs.replace(
                check.change, alternatives=(), rejection=error.body()
            )  # fmt: skip
            delivery.forward(JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change)
            return
        case = await self._case(delivery, check.change.request_id)
        check = msgspec.structs.replace(check, reviewed=(self._alternative(case, plan),))
        delivery.forward(RISK_KIND, check.facts.customer, RISK_CHECK_TYPE, check)

    # Followed up by the app.

    @decides("payment.confirm", ConfirmPayment)
    async def confirm(self, request: ConfirmPayment, case: Case) -> Plan:
        """Let the payee have the money of a guaranteed payment."""
        return await self._confirm(case, self._state(case))

    async def _confirm(self, case: Case, state: PaymentState) -> Plan:
        after, part = await pay_payee(self._desk, turn_of(case), state, "confirm")
        cancels = timers_of(state.payment_id, (CONFIRM_TYPE,))
        return Plan(answer=public_payment(after), state=after, cancels=cancels).plus(part)

    @decides("payment.capture", CapturePayment)
    async def capture(self, request: CapturePayment, case: Case) -> Plan:
        """Take held money, all of it or a part."""
        return await capture(
            self._desk, turn_of(case), self._state(case), request.amount_minor, final=request.final
        )

    @decides("payment.void", VoidPayment)
    async def void(self, request: VoidPayment, case: Case) -> Plan:
        """Give back what has not reached the payee."""
        return await call_off(self._desk, turn_of(case), self._state(case), "void")

    @decides("payment.refund", RefundPayment)
    async def refund(self, request: RefundPayment, case: Case) -> Plan:
        """Give back what the payee got."""
        return await refund(self._desk, turn_of(case), self._state(case), request)

    @decides("payment.dispute", DisputePayment)
    async def dispute(self, request: DisputePayment, case: Case) -> Plan:
        """Freeze what is disputed."""
        return dispute(turn_of(case), self._state(case), request)

    # Followed up by the back office.

    @decides("payment.resolve", ResolveDispute)
    async def resolve(self, request: ResolveDispute, case: Case) -> Plan:
        """End a dispute."""
        return await resolve(self._desk, turn_of(case), self._state(case), request)

    @decides("payment.review", ReviewPayment)
    async def review(self, request: ReviewPayment, case: Case) -> Plan:
        """Let a payment in review go ahead, or not."""
        return await review(self._desk, turn_of(case), self._state(case), request)

    @decides("payment.reverse", ReversePayment)
    async def reverse(self, request: ReversePayment, case: Case) -> Plan:
        """Undo a payment."""
        return await reverse(self._desk, turn_of(case), self._state(case), request)

    @decides("payment.retry_refund", RetryRefund)
    async def retry_refund(self, request: RetryRefund, case: Case) -> Plan:
        """Send a refund again that a channel had refused."""
        return await retry_refund(self._desk, turn_of(case), self._state(case), request)

    # Followed up by time.

    @decides(CONFIRM_TYPE, TimerFired)
    async def confirm_due(self, fired: TimerFired, case: Case) -> tuple[Plan, ...]:
        """Confirm a guaranteed payment that nobody confirmed."""
        state = self._state(case)
        if state.status != "guaranteed":
            return _nothing(state)
        return await _or_later(case, state, CONFIRM_TYPE, self._confirm(case, state))

    @decides(EXPIRE_TYPE, TimerFired)
    async def expire_due(self, fired: TimerFired, case: Case) -> tuple[Plan, ...]:
        """End an authorisation."""
        state = self._state(case)
        if state.status not in ("authorized", "partially_captured"):
            return _nothing(state)
        expired = call_off(self._desk, turn_of(case), state, "expire")
        return await _or_later(case, state, EXPIRE_TYPE, expired)

    @decides(REVIEW_TYPE, TimerFired)
    async def review_due(self, fired: TimerFired, case: Case) -> tuple[Plan, ...]:
        """Decline what nobody has reviewed in time."""
        state = self._state(case)
        if state.status != "in_review":
            return _nothing(state)
        declined = decline(self._desk, turn_of(case), state, "nobody decided in time")
        return await _or_later(case, state, REVIEW_TYPE, declined)

    # The state.

    def _state(self, case: Case) -> PaymentState:
        return case.state(PaymentState, "payment", "payment_id")

    async def _case(self, delivery: Delivery, request_id: str) -> Case:
        case = await super()._case(delivery, request_id)
        if case.record is None and delivery.envelope.type != _CREATE_TYPE:
            record = await self._first_version()
            if record is not None and self.may_see(record, case.app):
                case.record = record
        return case

    async def _first_version(self) -> Record[PaymentState] | None:
        """Return the state that the row of a payment comes to, as version 0: it has none yet."""
        rows = await read_rows(self.parts.store, Where("payment_id", "=", self.context.key))
        if not rows or rows[0].status == ORDER_STATUS:
            return None
        row = rows[0]
        shared = await self._desk.sharing.of_one_shot(row.payee, row.payment_id, row.change_seq)
        state = msgspec.structs.replace(
            _one_shot(row), division=shared.division, settled=shared.settled
        )
        return Record(row.payment_id, 0, row.app, state)


def _one_shot(row: PaymentRow) -> PaymentState:
    paid = PaidLeg(number=1, type="account", account_id=row.payer, amount_minor=row.amount_minor)
    return PaymentState(
        payment_id=row.payment_id,
        request_id=row.request_id,
        method=row.method,
        status=cast("PaymentStatus", row.status),
        payer=row.payer,
        payee=row.payee,
        amount_minor=row.amount_minor,
        created_at=row.created_at,
        legs=(LegState(source=AccountSource(account_id=row.payer), paid=paid),),
        place="payee",
        currency=row.currency,
        reference=row.reference,
        one_shot=True,
        captured_minor=row.amount_minor,
        captures=1,
    )


def _nothing(state: PaymentState) -> tuple[Plan, ...]:
    """Return the plan that changes nothing: the timer came late."""
    return (Plan(answer=public_payment(state)),)


async def _or_later(
    case: Case, state: PaymentState, type_: str, doing: Awaitable[Plan]
) -> tuple[Plan, ...]:
    """Return the plan of a timer, and the one for when it is refused: tell so, and try again.

    An account may be frozen, full or closed. The money stays where it is until it can go on.
    """
    timer = timer_at(case.owner, state.payment_id, type_, case.now + RETRY_AFTER)
    after = advanced(state, "delay")
    amount = state.amount_minor - state.captured_minor
    later = Plan(
        answer=public_payment(after), state=after, cancels=(timer.timer_id,), timers=(timer,)
    ).plus(told(turn_of(case), after, "delay", amount))
    try:
        return (await doing, later)
    except Rejected:
        return (later,)
