"""The documents of the pack: markets, scales, stalls, people, lots, and the arrears of a market.

What a buyer has stands in ``buyer``.
"""

from datetime import date, datetime
from typing import Literal

import msgspec

from .terms import MarketTerms

__all__ = (
    "ARREARS_MAX",
    "ArrearEntry",
    "Arrears",
    "Carrier",
    "DayTotals",
    "Farmer",
    "Lot",
    "Market",
    "Scale",
    "Stall",
)

# Buyers on the arrears list of one market; those beyond it are counted. It bounds the document.
ARREARS_MAX = 400


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A market. Its accounts take the fees, advance money to sellers, and take the interest."""

    market_id: str
    fee_account: str
    advance_account: str
    interest_account: str
    terms: MarketTerms


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """A scale as it was verified (检定): its division, its capacity, and until when.

    A referee scale (公平秤) belongs to no seller; disputes are weighed there.
    """

    scale_id: str
    market_id: str
    division_g: int
    max_g: int
    verified_until: date
    referee: bool = False


class DayTotals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stall has sold since the last close of its day."""

    deals: int = 0
    weight_g: int = 0
    turnover_minor: int = 0
    commission_minor: int = 0
    fee_minor: int = 0


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """A stall, with its turnover in ``month`` and in the month before.

    A stall that ``waits`` sells on credit even when the market's advance is used up, and is paid
    with its farmers when the buyer pays.
    """

    stall_id: str
    market_id: str
    account_id: str
    commission_ppm: int
    waits: bool
    month: int
    turnover_minor: int = 0
    turnover_before_minor: int = 0
    today: DayTotals = msgspec.field(default_factory=DayTotals)

    def turnover_in(self, month: int) -> int:
        """Return the turnover of a month; only the two latest are known."""
        if month == self.month:
            return self.turnover_minor
        return self.turnover_before_minor if month == self.month - 1 else 0


class Farmer(msgspec.Struct, frozen=True, kw_only=True):
    """Who brings goods to the market (货主)."""

    farmer_id: str
    account_id: str


class Carrier(msgspec.Struct, frozen=True, kw_only=True):
    """Who carries goods for a fixed price for each kilogram."""

    carrier_id: str
    account_id: str
    per_kg_minor: int


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """A load of one kind of goods that a farmer has brought to a stall (批次).

    Of the deposit, ``captured_minor`` was taken; what is left is held while it is ``held``, and was
    given back after that. ``short_minor`` is what was claimed and not covered. ``last_sale_at`` is
    the last time at which something of it was sold or weighed again.
    """

    lot_id: str
    market_id: str
    stall_id: str
    farmer_id: str
    farmer_account: str
    goods: str
    declared_g: int
    certificate: str
    status: Literal["registered", "passed", "failed", "closed", "defaulted"]
    deposit: Literal["none", "held", "resolved"]
    deposit_minor: int
    registered_at: datetime
    captured_minor: int = 0
    short_minor: int = 0
    deals: int = 0
    sold_g: int = 0
    oversold: bool = False
    last_sale_at: datetime | None = None

    @property
    def left_minor(self) -> int:
        """Return what is still held of the deposit."""
        return self.deposit_minor - self.captured_minor if self.deposit == "held" else 0


class ArrearEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer owed beyond the due time, as the buyer's own document last told.

    ``number`` counts what it told: what comes late is older, and is not taken.
    """

    overdue_minor: int
    debts: int
    since: datetime | None
    number: int


class Arrears(msgspec.Struct, frozen=True, kw_only=True):
    """The arrears list of a market, by buyer. Those that owe nothing stay for their number."""

    market_id: str
    entries: dict[str, ArrearEntry] = {}
    unlisted: int = 0
