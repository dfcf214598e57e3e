"""What payments do when a channel has spoken: the port between them and the channels' attempts.

The attempt of a channel and the payment that it serves change together, in one change: the attempt
actor asks the payment what its outcome means, and commits both.
"""

from typing import Protocol

import msgspec

from actors.entity import Part
from kernel.store import Store
from schemas.errors import ErrorBody

__all__ = ("ChannelMoney", "PaymentSide")


class ChannelMoney(msgspec.Struct, frozen=True, kw_only=True):
    """Money of one attempt: ``amount_minor`` stands in ``suspense``, the channel's account."""

    app: str
    payment_id: str
    attempt_id: str
    channel: str
    channel_reference: str
    suspense: str
    amount_minor: int


class PaymentSide(Protocol):
    """The payments' answer to each end that a channel's attempt may come to.

    The parts hold the payment's own new state as a record change, so a payment that moved
    meanwhile makes the whole change fail and be decided again.
    """

    async def paid(self, store: Store, money: ChannelMoney, request_id: str) -> Part | None:
        """The channel has paid: take the money on from suspense, and complete the payment.

        None when the payment does not want it any more (it ended, or was paid otherwise): then the
        money must go back through the channel.
        """

    async def given_up(
        self, store: Store, app: str, payment_id: str, attempt_id: str, reason: ErrorBody,
        request_id: str,
    ) -> Part:  # fmt: skip
        """No channel will pay: fail the payment and give back what other sources had given."""

    async def refunded(
        self, store: Store, app: str, payment_id: str, refund_id: str, request_id: str
    ) -> Part:
        """The channel has sent a refund back to the customer."""

    async def refund_failed(
        self, store: Store, app: str, payment_id: str, refund_id: str, reason: ErrorBody,
        request_id: str,
    ) -> Part:  # fmt: skip
        """The channel cannot send a refund back: it needs a person."""
