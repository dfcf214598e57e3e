"""A payment channel (支付渠道) as the bank sees it: what may be asked, and what it may answer.

A channel may answer success, failure, or nothing, and *nothing is not failure*. So what comes back
is one of the outcomes below, and silence, a late answer, an answer that makes no sense or whose
signature is not the channel's are all the same :class:`Unknown`: somebody has to ask again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from actors.channels.terms import ChannelTerms
from schemas.money import CNY

__all__ = (
    "Callback",
    "CallbackAnswer",
    "CallbackRefused",
    "Channel",
    "Closed",
    "Failed",
    "NotFound",
    "Outcome",
    "PayOrder",
    "Pending",
    "RefundOrder",
    "Succeeded",
    "Unknown",
)


class PayOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order at a channel; two with the same ``reference`` are one order.

    ``payer_token`` is how the channel knows the payer: the number of an agreement that the payer
    signed, or the code that the payer shows. It is empty when the payer scans a code of ours, so
    that the answer comes later and from the payer's own hand. The order may be paid until
    ``expires_at``.
    """

    reference: str
    amount_minor: int
    method: str
    payer_token: str
    description: str
    created_at: datetime
    expires_at: datetime
    currency: str = CNY


class RefundOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of a part or all of a paid order; two with the same ``reference`` are one refund.

    ``paid_minor`` is what the payer paid in all. ``channel_reference`` is the channel's own number
    of the payment, which some want and some do not.
    """

    reference: str
    pay_reference: str
    channel_reference: str
    amount_minor: int
    paid_minor: int
    reason: str
    created_at: datetime
    pay_created_at: datetime
    currency: str = CNY


class Succeeded(msgspec.Struct, frozen=True, kw_only=True, tag="succeeded"):
    """The money was taken, or given back in the case of a refund.

    ``amount_minor`` is what the channel says, and already compared with what was asked.
    """

    channel_reference: str
    amount_minor: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The channel refused. Only when ``final`` is it certain that this order is never paid.

    ``code`` is the channel's own. ``payer`` tells that the reason lies with the payer.
    """

    code: str
    reason: str
    final: bool
    payer: bool = False


class Closed(msgspec.Struct, frozen=True, kw_only=True, tag="closed"):
    """The channel confirms that the order is closed without having been paid, for good."""


class NotFound(msgspec.Struct, frozen=True, kw_only=True, tag="not_found"):
    """The channel does not know the order (yet): final only after the channel's own deadline."""


class Pending(msgspec.Struct, frozen=True, kw_only=True, tag="pending"):
    """The channel has the order and has not decided; ``code_url`` is what the payer has to scan."""

    code_url: str = ""


class Unknown(msgspec.Struct, frozen=True, kw_only=True, tag="unknown"):
    """No answer, or none that can be trusted; ``reason`` is for people."""

    reason: str


Outcome = Succeeded | Failed | Closed | NotFound | Pending | Unknown


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel told on its own, verified. ``refund`` tells whose reference it is."""

    notice_id: str
    reference: str
    refund: bool
    outcome: Outcome


class CallbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the channel wants to hear, so that it does or does not come again."""

    status: int
    content_type: str
    body: bytes


class CallbackRefused(Exception):
    """The callback is not the channel's, not recent, or not to be read: it changes nothing."""


class Channel(Protocol):
    """One channel; every method that waits has a deadline in seconds.

    None raises for what the channel does or does not do.
    """

    @property
    def terms(self) -> ChannelTerms:
        """What the channel costs and takes."""

    def reference(self, order_id: str, created_at: datetime) -> str:
        """Return the order number for an attempt or a refund of ours, in the channel's own form.

        It is the same for the same id and time, always and on every node.
        """

    async def pay(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Make the order, and have it paid where the method needs no more of the payer."""

    async def query(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask what became of an order."""

    async def close(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask that an order be never paid. :class:`Succeeded` says that it was already."""

    async def refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Give money back; the same reference again is the same refund."""

    async def query_refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask what became of a refund."""

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        """Return what the channel told; raise :class:`CallbackRefused`.

        Names of headers are in small letters.
        """

    def callback_answer(self, *, accepted: bool) -> CallbackAnswer:
        """Return the answer to a callback: taken for good, or to be sent again later."""
