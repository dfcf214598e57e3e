"""What a channel costs and what it takes: the facts that eligibility and routing are decided on."""

from typing import Literal

import msgspec

from schemas.money import CNY

__all__ = ("PPM", "ChannelMethod", "ChannelTerms")

PPM = 1_000_000

# Those methods of a payment that can be paid through a channel. An authorisation holds money that
# is here, so it is not among them.
ChannelMethod = Literal["quick", "qr_static", "qr_dynamic", "guaranteed", "seamless"]


class ChannelTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The commercial terms of one channel, as each adapter's file states them with their source.

    Amounts in minor units. ``fee_ppm`` is of the amount, rounded half up to the fen, at least
    ``fee_min_minor`` and, where the channel caps it, at most ``fee_max_minor``. An order that is
    not paid ``order_expires_s`` after it was made is never paid: with ``settle_grace_s`` on top
    that is the channel's own deadline, after which "not found" means that it never will be.
    ``refunds_max`` refunds may be made within ``refund_within_s`` of the payment. ``shows_code``
    tells whether a payer without an agreement can pay by scanning a code of ours, and
    ``close_undoes`` that closing a paid order undoes the payment where other channels refuse.
    """

    name: str
    methods: frozenset[ChannelMethod]
    amount_min_minor: int = 1
    amount_max_minor: int
    fee_ppm: int
    fee_min_minor: int = 0
    fee_max_minor: int | None = None
    order_expires_s: int = 300
    settle_grace_s: int = 30
    refund_within_s: int
    refunds_max: int
    shows_code: bool = True
    close_undoes: bool = False
    currency: str = CNY

    def fee_minor(self, amount_minor: int) -> int:
        """Return the fee for one payment in fen, rounded half up."""
        fee = (amount_minor * self.fee_ppm + PPM // 2) // PPM
        fee = max(fee, self.fee_min_minor)
        return fee if self.fee_max_minor is None else min(fee, self.fee_max_minor)

    def takes(self, method: str, amount_minor: int) -> bool:
        """Tell whether the channel takes a payment of this method and amount at all."""
        return (
            method in self.methods
            and self.amount_min_minor <= amount_minor <= self.amount_max_minor
        )
