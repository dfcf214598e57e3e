"""A channel as a source of a payment's money.

It gives nothing yet: its leg writes the first attempt, and ``pay_from``, the channel's suspense
account, holds the money only once the channel has said so. Then the attempt's actor asks the
payments' side (:class:`~actors.payments.channel_port.PaymentSide`) to take it on from there.
"""

from datetime import datetime, timedelta

import msgspec

from actors.channels.attempts import new_attempt, new_refund
from actors.channels.channel import Channel
from actors.channels.desk import desk_of
from actors.channels.orders import (
    ORDERS,
    PAYMENTS,
    TOOK_MONEY,
    ChannelOrder,
    ChannelPayment,
    suspense_account,
)
from actors.channels.router_port import Choice, RouteRequest
from actors.channels.routing import choice_fact
from actors.entity import Part, RecordChange, merge
from actors.parts import Parts
from actors.payments.funding import Leg, LegRequest, PaidLeg, RefundLeg
from kernel.randomness import IdFactory
from kernel.store import Where
from schemas.errors import ChannelUnavailable, Ineligible, InvalidState
from schemas.funding import ChannelSource

__all__ = ("ChannelFunding",)

_REFUND_REASON = "refund"


class ChannelFunding:
    """See the module; a payment has at most one leg of this kind."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._desk = desk_of(parts)

    async def pay(self, wanted: LegRequest) -> Leg:
        """Choose a channel and write the first attempt; all of what is asked for, or nothing.

        Raise :class:`~schemas.errors.ChannelUnavailable` when no channel can take it now, and
        :class:`~schemas.errors.Ineligible` when the channel that the customer named never will.
        """
        source = wanted.source
        assert isinstance(source, ChannelSource)
        choice = self._choose(wanted, source)
        channel = None if choice.channel is None else self._desk.channel(choice.channel)
        if channel is None:
            reasons = "; ".join(choice.reasons[:3]) or "no channel is configured"
            raise ChannelUnavailable(
                f"no payment channel can take it: {reasons}",
                field="funding",
                retry_after_s=choice.retry_after_s or 1.0,
            )
        order, part = new_attempt(
            app=wanted.app, payment_id=wanted.payment_id, channel=channel,
            amount_minor=wanted.amount_minor, method=wanted.method,
            payer_token=source.payer_reference or "", description=wanted.payment_id,
            now=wanted.now, ids=wanted.ids,
        )  # fmt: skip
        payment = ChannelPayment(
            payment_id=wanted.payment_id,
            method=wanted.method,
            amount_minor=wanted.amount_minor,
            payer_token=order.payer_token,
            wanted=source.channel or "",
            payee=wanted.payee,
            description=order.description,
            orders=(order.order_id,),
            tried=(order.channel,),
        )
        fact = choice_fact(
            choice, payment_id=wanted.payment_id, number=1, app=wanted.app, at=wanted.now
        )
        record = RecordChange(PAYMENTS, wanted.payment_id, 0, wanted.app, payment)
        return Leg(
            amount_minor=wanted.amount_minor,
            pay_from=suspense_account(order.channel),
            owner="",
            before=merge(part, Part(facts=(fact,), also=(record,))),
            record=msgspec.json.encode({"order_id": order.order_id}).decode(),
            payer=suspense_account(order.channel),
        )

    def _choose(self, wanted: LegRequest, source: ChannelSource) -> Choice:
        if source.channel is not None:
            named = self._desk.channel(source.channel)
            if named is not None and not named.terms.takes(wanted.method, wanted.amount_minor):
                raise Ineligible(
                    f"{source.channel} does not take {wanted.amount_minor} fen by {wanted.method}",
                    field="funding",
                )
        request = RouteRequest(
            payment_id=wanted.payment_id,
            app=wanted.app,
            amount_minor=wanted.amount_minor,
            method=wanted.method,
            wanted=source.channel or "",
        )
        return self._desk.choose(request, payer_known=source.payer_reference is not None)

    async def refund(
        self, leg: PaidLeg, amount_minor: int, *, app: str, payment_id: str, refund_id: str,
        whole: bool, now: datetime, ids: IdFactory,
    ) -> RefundLeg:  # fmt: skip
        """Write a refund through the channel that was paid through; it credits suspense.

        Raise :class:`~schemas.errors.InvalidState` when the channel has not paid, or takes no
        refund of it any more.
        """
        paid, channel = await self._refundable(payment_id, now)
        _, part = new_refund(
            app=app, paid=paid, channel=channel, amount_minor=amount_minor, refund_id=refund_id,
            reason=_REFUND_REASON, now=now, ids=ids,
        )  # fmt: skip
        return RefundLeg(credit_to=suspense_account(paid.channel), after=part)

    async def resend(
        self, *, app: str, payment_id: str, refund_id: str, now: datetime, ids: IdFactory
    ) -> Part:
        """Write a new refund, under a number of its own, in the place of the one that failed.

        The channel has the old number down as refused, and would only say so again. No money moves:
        it stands in suspense since the refund was made.
        """
        found = await ORDERS.search(self._store, Where("payment_id", "=", payment_id))
        failed = [
            one for one in found if one.state.refund_id == refund_id and one.state.state == "failed"
        ]
        if not failed:
            raise InvalidState(
                f"no channel has refused the refund {refund_id!r}", field="refund_id"
            )
        (old,) = failed
        paid, channel = await self._refundable(payment_id, now)
        _, part = new_refund(
            app=app, paid=paid, channel=channel, amount_minor=old.state.amount_minor,
            refund_id=refund_id, reason=_REFUND_REASON, now=now, ids=ids,
        )  # fmt: skip
        replaced = msgspec.structs.replace(old.state, state="replaced")
        change = RecordChange(ORDERS, old.key, old.version, old.app, replaced)
        return merge(part, Part(also=(change,)))

    async def _refundable(self, payment_id: str, now: datetime) -> tuple[ChannelOrder, Channel]:
        """Return the order that was paid and its channel, which takes one more refund of it."""
        paid = await self._paid_order(payment_id)
        channel = self._desk.channel(paid.channel)
        if channel is None:
            raise ChannelUnavailable(f"this node has no way to {paid.channel}")
        await self._check_refundable(channel, paid, now)
        return paid, channel

    async def _paid_order(self, payment_id: str) -> ChannelOrder:
        record = await PAYMENTS.load(self._store, payment_id)
        orders = {} if record is None else await ORDERS.load_many(self._store, record.state.orders)
        for one in orders.values():
            if one.state.state == "paid":
                return one.state
        raise InvalidState(f"no channel has paid {payment_id!r}", field="payment_id")

    async def _check_refundable(self, channel: Channel, paid: ChannelOrder, now: datetime) -> None:
        terms = channel.terms
        if now > paid.created_at + timedelta(seconds=terms.refund_within_s):
            days = terms.refund_within_s // 86_400
            raise InvalidState(
                f"{terms.name} takes no refund after {days} days", field="payment_id"
            )
        found = await ORDERS.search(self._store, Where("payment_id", "=", paid.payment_id))
        made = sum(
            1
            for one in found
            if one.state.kind == "refund"
            and (one.state.state == "open" or one.state.state in TOOK_MONEY)
        )
        if made >= terms.refunds_max:
            raise InvalidState(
                f"{terms.name} takes at most {terms.refunds_max} refunds of one payment",
                field="payment_id",
            )
