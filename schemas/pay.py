"""A payment that a scenario asks for as part of its decision."""

import msgspec

from schemas.money import CNY

__all__ = ("Pay", "Share")


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a payment that the payee passes on in the same change (minor units)."""

    payee: str
    amount_minor: int


class Pay(msgspec.Struct, frozen=True, kw_only=True):
    """Move ``amount_minor`` (minor units, positive) from payer to payee at once.

    It stands or falls with the plan that holds it. ``shares`` are passed on by the payee at once;
    together they are at most the amount.
    """

    payer: str
    payee: str
    amount_minor: int
    reference: str = ""
    currency: str = CNY
    shares: tuple[Share, ...] = ()
