"""What a payment consists of: a posting, a row, an event."""

from datetime import datetime

import msgspec

from actors.settlement.division import Division
from kernel.journal import FactTable
from schemas.change import Event, Fact
from schemas.ledger import Posting
from schemas.pay import Pay
from schemas.payments import Payment, PaymentSplit

__all__ = ("DEPOSIT_TABLE", "PAYMENT_TABLE", "Composed", "compose_payment", "splits_of")

PAYMENT_TABLE = FactTable(
    "payment",
    (
        "payment_id", "app", "request_id", "method", "status", "payer", "payee", "amount_minor",
        "currency", "reference", "created_at",
    ),
    ("text", "text", "text", "text", "text", "text", "text", "bigint", "text", "text",
     "timestamptz"),
)  # fmt: skip

DEPOSIT_TABLE = FactTable(
    "deposit",
    ("deposit_id", "app", "account_id", "source", "amount_minor", "currency", "created_at"),
    ("text", "text", "text", "text", "bigint", "text", "timestamptz"),
)

_json = msgspec.json.Encoder()


class Composed(msgspec.Struct, frozen=True):
    """The parts of one payment; ``answer`` is the payment as finished JSON."""

    posting: Posting
    fact: Fact
    event: Event
    answer: bytes


def splits_of(division: Division) -> tuple[PaymentSplit, ...]:
    """Return what each participant got of a payment, and gave back."""
    return tuple(
        PaymentSplit(
            account_id=share.account_id,
            amount_minor=share.amount_minor,
            returned_minor=share.returned_minor,
        )
        for share in division.shares
    )


def compose_payment(
    pay: Pay,
    *,
    app: str,
    request_id: str,
    payment_id: str,
    method: str,
    created_at: datetime,
    division: Division | None = None,
) -> Composed:
    """Return the parts of a payment that stands when its change stands.

    ``division`` is what the payee gives away of it in the same change.
    """
    answer = _json.encode(
        Payment(
            payment_id=payment_id,
            request_id=request_id,
            method=method,
            status="succeeded",
            payer=pay.payer,
            payee=pay.payee,
            amount_minor=pay.amount_minor,
            currency=pay.currency,
            reference=pay.reference,
            created_at=created_at,
            fee_minor=0 if division is None else division.fee_minor,
            splits=() if division is None else splits_of(division),
        )
    )
    row = (
        payment_id, app, request_id, method, "succeeded", pay.payer, pay.payee, pay.amount_minor,
        pay.currency, pay.reference, created_at,
    )  # fmt: skip
    return Composed(
        Posting(pay.payer, pay.payee, pay.amount_minor, pay.currency, app),
        Fact("payment", row),
        Event("payment.succeeded", payment_id, answer.decode()),
        answer,
    )
