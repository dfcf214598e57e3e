"""The payments' answer to what becomes of a channel's attempt; see the port."""

import msgspec

from actors.entity import Part, Record, RecordChange, merge
from actors.parts import Parts
from actors.payments.calling_off import give_back
from actors.payments.channel_port import ChannelMoney
from actors.payments.create import CHANNEL_PAYER
from actors.payments.desk import PaymentDesk, open_desk
from actors.payments.lifecycle import Step
from actors.payments.moves import ESCROW, PURPOSE_FUND, exactly, steps
from actors.payments.progress import go_on
from actors.payments.records import ORDER_TABLE, PaymentState, RefundState
from actors.payments.turn import Turn
from actors.payments.views import advanced, told
from kernel.store import Store
from schemas.errors import ErrorBody, NotFound
from schemas.payments import Refund

__all__ = ("PaymentChannelSide",)


class PaymentChannelSide:
    """See :class:`actors.payments.channel_port.PaymentSide`."""

    def __init__(self, parts: Parts, desk: PaymentDesk | None = None) -> None:
        self._clock = parts.clock
        self._ids = parts.ids
        self._desk = open_desk(parts) if desk is None else desk

    async def paid(self, store: Store, money: ChannelMoney, request_id: str) -> Part | None:
        """Take what the channel has paid on through escrow, where the other sources' money waits.

        None when the payment was called off meanwhile.
        """
        record = await self._load(store, money.app, money.payment_id)
        state = record.state
        if state.status != "processing":
            return None
        leg = state.channel_leg
        assert leg is not None, "a payment that waits for a channel has a leg of one"
        assert leg.held_minor == money.amount_minor, "a channel pays what it was asked for"
        paid = msgspec.structs.replace(
            leg.paid, amount_minor=money.amount_minor, account_id=money.suspense
        )
        paid_leg = msgspec.structs.replace(leg, paid=paid, held_minor=0)
        legs = tuple(paid_leg if one is leg else one for one in state.legs)
        # Another channel than the first may have paid.
        by_channel = state.payer.startswith(CHANNEL_PAYER)
        payer = f"{CHANNEL_PAYER}:{money.channel}" if by_channel else state.payer
        state = msgspec.structs.replace(state, legs=legs, payer=payer)
        arrived = exactly(money.suspense, ESCROW, money.amount_minor, PURPOSE_FUND)
        after, part = await go_on(self._desk, self._turn(record, request_id), state)
        return merge(steps(arrived), part, _changed(record, after))

    async def given_up(
        self, store: Store, app: str, payment_id: str, attempt_id: str, reason: ErrorBody,
        request_id: str,
    ) -> Part:  # fmt: skip
        """Fail the payment, and give back what other sources had given; nothing if it ended."""
        record = await self._load(store, app, payment_id)
        if record.state.status != "processing":
            return Part()
        turn = self._turn(record, request_id)
        after, part = await give_back(self._desk, turn, record.state, "fail", failure=reason)
        return merge(part, _changed(record, after))

    async def refunded(
        self, store: Store, app: str, payment_id: str, refund_id: str, request_id: str
    ) -> Part:
        """Note that the customer has the channel's part of a refund."""
        return await self._note(store, app, payment_id, refund_id, request_id, None)

    async def refund_failed(
        self, store: Store, app: str, payment_id: str, refund_id: str, reason: ErrorBody,
        request_id: str,
    ) -> Part:  # fmt: skip
        """Note that a refund needs a person; its money stays in the channel's suspense account."""
        return await self._note(store, app, payment_id, refund_id, request_id, reason)

    async def _note(
        self,
        store: Store,
        app: str,
        payment_id: str,
        refund_id: str,
        request_id: str,
        failure: ErrorBody | None,
    ) -> Part:
        record = await self._load(store, app, payment_id)
        state = record.state
        step: Step = "refund_settle" if failure is None else "refund_fail"
        refunds: list[RefundState] = []
        noted: Refund | None = None
        for one in state.refunds:
            if one.refund.refund_id == refund_id and one.refund.status == "processing":
                noted = msgspec.structs.replace(
                    one.refund,
                    status="succeeded" if failure is None else "failed",
                    failure=failure,
                )
                refunds.append(msgspec.structs.replace(one, refund=noted))
            else:
                refunds.append(one)
        if noted is None:
            return Part()
        after = advanced(state, step, refunds=tuple(refunds))
        turn = self._turn(record, request_id)
        part = told(turn, after, step, noted.amount_minor, noted)
        return merge(part, _changed(record, after))

    async def _load(self, store: Store, app: str, payment_id: str) -> Record[PaymentState]:
        record = await ORDER_TABLE.load(store, payment_id)
        if record is None or record.app != app:
            raise NotFound(f"payment {payment_id!r} does not exist", field="payment_id")
        return record

    def _turn(self, record: Record[PaymentState], request_id: str) -> Turn:
        return Turn(
            app=record.app, request_id=request_id, now=self._clock.now(), ids=self._ids
        )  # fmt: skip


def _changed(record: Record[PaymentState], after: PaymentState) -> Part:
    change = RecordChange(ORDER_TABLE, record.key, record.version, record.app, after)
    return Part(also=(change,))
