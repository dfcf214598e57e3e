"""Legs: what came to a merchant and what went back, one row each, written with the money.

A leg is written by the change that moves the money, so a settlement needs to look nowhere else: it
takes a merchant's legs in the order in which they were committed. The price in a payment's change
is one row and one entry in one index.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from actors.entity import Part
from actors.settlement.division import Division, divide, give_back
from actors.settlement.merchants import KnownMerchant
from kernel.journal import FactTable
from schemas.change import Fact, Timer, due_ms
from schemas.ledger import Moves, Posting
from schemas.money import CNY
from schemas.settlement import LegKind

__all__ = (
    "FEE_ACCOUNT",
    "LEG_COLUMNS",
    "LEG_TABLE",
    "SETTLE_NOW_TYPE",
    "LegOf",
    "LegRow",
    "settle_capture",
    "settle_refund",
)

FEE_ACCOUNT = "income:merchant_fee"
SETTLE_NOW_TYPE = "settlement.now"

LEG_COLUMNS = (
    "merchant_id", "leg_id", "kind", "app", "payment_id", "method", "at", "gross_minor",
    "fee_minor", "shared_minor", "net_minor", "shares",
)  # fmt: skip

LEG_TABLE = FactTable(
    "settlement_leg",
    LEG_COLUMNS,
    ("text", "text", "text", "text", "text", "text", "timestamptz", "bigint", "bigint", "bigint",
     "bigint", "text"),
)  # fmt: skip

_json = msgspec.json.Encoder()
_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))


class LegRow(msgspec.Struct, frozen=True):
    """A row of the table, in the order of :data:`LEG_COLUMNS`; amounts in minor units.

    Of a refund all amounts are negative. ``shares`` is JSON: ``[[account, amount], …]``.
    """

    merchant_id: str
    leg_id: str
    kind: LegKind
    app: str
    payment_id: str
    method: str
    at: datetime
    gross_minor: int
    fee_minor: int
    shared_minor: int
    net_minor: int
    shares: str


class LegOf(msgspec.Struct, frozen=True, kw_only=True):
    """Which payment, capture or refund a leg belongs to.

    ``leg_id`` is unique among all legs: the id of the payment when it is captured once, of the
    capture or of the refund otherwise. ``app`` is the payment's.
    """

    leg_id: str
    payment_id: str
    app: str
    method: str
    at: datetime


def settle_capture(
    amount_minor: int,
    merchant: KnownMerchant,
    merchants: Mapping[str, KnownMerchant],
    leg: LegOf,
    *,
    rule_name: str | None = None,
) -> tuple[Division, Part]:
    """Return how a captured amount is divided, and what the change has to hold beside the payment.

    The part's postings come after the one that credits the merchant's account with the whole
    amount. ``merchants`` are what `MerchantBook.by_account` found. Raises what
    :func:`~actors.settlement.division.divide` raises. The division belongs into the payment's
    state: a refund needs it.
    """
    division = divide(
        amount_minor,
        merchant.merchant_id,
        merchant.terms,
        method=leg.method,
        rule_name=rule_name,
        standard_fee=merchant.standard_fee,
    )
    shares = [(share.account_id, share.amount_minor) for share in division.shares]
    postings = [_out(merchant.merchant_id, account, amount) for account, amount in shares]
    if division.fee_minor:
        fee = (merchant.merchant_id, FEE_ACCOUNT, division.fee_minor, "merchant.fee")
        postings.insert(0, _posting(*fee))
    facts = [_row(leg, "payment", merchant, amount_minor, division.fee_minor, shares)]
    facts += _share_rows(leg, "share", shares, merchants)
    timers = _settle_now(amount_minor, merchant, leg)
    part = Part(moves=Moves(postings=tuple(postings)), facts=tuple(facts), timers=timers)
    return division, part


def settle_refund(
    division: Division,
    refund_minor: int,
    merchant: KnownMerchant,
    merchants: Mapping[str, KnownMerchant],
    leg: LegOf,
) -> tuple[Division, Part]:
    """Return the division after a refund, and what the change has to hold beside the refund.

    The part's postings come before the one that debits the merchant's account with the whole
    refund: with them the bank and the participants give back their parts. A participant who has
    spent it makes the refund fail with ``insufficient_funds``.
    """
    given = give_back(division, refund_minor)
    postings = [
        _posting(account, merchant.merchant_id, amount, "merchant.split_back")
        for account, amount in given.shares
    ]
    if given.fee_minor:
        fee = (FEE_ACCOUNT, merchant.merchant_id, given.fee_minor, "merchant.fee_back")
        postings.insert(0, _posting(*fee))
    shares = [(account, -amount) for account, amount in given.shares]
    facts = [_row(leg, "refund", merchant, -refund_minor, -given.fee_minor, shares)]
    facts += _share_rows(leg, "share_back", shares, merchants)
    return given.after, Part(moves=Moves(postings=tuple(postings)), facts=tuple(facts))


def _out(merchant_id: str, account_id: str, amount_minor: int) -> Posting:
    return _posting(merchant_id, account_id, amount_minor, "merchant.split")


def _posting(debit: str, credit: str, amount_minor: int, purpose: str) -> Posting:
    return Posting(
        debit, credit, amount_minor, CNY, fields=("payee", "payee"), purpose=purpose
    )  # fmt: skip


def _row(
    leg: LegOf,
    kind: LegKind,
    merchant: KnownMerchant,
    gross_minor: int,
    fee_minor: int,
    shares: Iterable[tuple[str, int]],
) -> Fact:
    listed = list(shares)
    shared = sum(amount for _, amount in listed)
    row = LegRow(
        merchant.merchant_id, leg.leg_id, kind, leg.app, leg.payment_id, leg.method, leg.at,
        gross_minor, fee_minor, shared, gross_minor - fee_minor - shared,
        _json.encode(listed).decode(),
    )  # fmt: skip
    return Fact(LEG_TABLE.name, msgspec.structs.astuple(row))


def _share_rows(
    leg: LegOf,
    kind: LegKind,
    shares: Iterable[tuple[str, int]],
    merchants: Mapping[str, KnownMerchant],
) -> list[Fact]:
    """Return legs for the participants who are merchants themselves and settle what they get."""
    return [
        _row(leg, kind, merchants[account], amount, 0, ())
        for account, amount in shares
        if account in merchants
    ]


def _settle_now(amount_minor: int, merchant: KnownMerchant, leg: LegOf) -> tuple[Timer, ...]:
    least = merchant.terms.settle_now_from_minor
    if merchant.terms.cycle != "T+0" or least is None or amount_minor < least:
        return ()
    return (
        Timer(
            f"settle-now.{leg.leg_id}", due_ms(leg.at), "settlement", merchant.merchant_id,
            SETTLE_NOW_TYPE, merchant.app, _NOTHING,
        ),
    )  # fmt: skip
