"""A payment that a scenario asks for as part of its decision."""

import msgspec

from schemas.money import CNY

__all__ = ("Pay",)


class Pay(msgspec.Struct, frozen=True, kw_only=True):
    """Move ``amount_minor`` (minor units, positive) from payer to payee at once.

    It stands or falls with the plan that holds it.
    """

    payer: str
    payee: str
    amount_minor: int
    reference: str = ""
    currency: str = CNY
