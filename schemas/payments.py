"""Messages of the payment service."""

import msgspec

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import CNY, AmountMinor

__all__ = ("CreatePayment", "GetPayment", "Payment")


class CreatePayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay from one account of the bank to another at once (快捷, quick pay)."""

    request_id: RequestId
    payer: AccountId
    payee: AccountId
    amount_minor: AmountMinor
    currency: str = CNY
    reference: ShortText = ""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that stands; ``amount_minor`` in minor units."""

    payment_id: str
    request_id: str
    method: str
    status: str
    payer: str
    payee: str
    amount_minor: int
    currency: str
    reference: str
    created_at: Timestamp


class GetPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a payment by its id, or find it by the id of the request that made it."""

    payment_id: Identifier | None = None
    request_id: Identifier | None = None
