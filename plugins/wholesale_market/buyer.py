"""A buyer's page in the market's book (交易卡): deals with their weighings, debts, credit.

All that a buyer does is decided here, in one document, so that a credit limit holds exactly,
however many stalls the buyer stands at in the same second. The page is bounded: finished deals
leave it when there is no more room.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from zhihui.plugin import LimitExceeded

from .debts import Debt, principal_minor
from .division import Parts, Terms, divide
from .measures import amount_minor, payable_g

__all__ = (
    "ABANDONED_AFTER",
    "DEALS_MAX",
    "LINES_MAX",
    "Buyer",
    "Deal",
    "DealStatus",
    "Dispute",
    "Line",
    "Source",
    "find_deal",
    "price_of",
    "put_deal",
    "room_for",
)

# Deals on one page, finished ones among them. A restaurant's buyer has ten to twenty a morning.
DEALS_MAX = 32
# Weighings on one page: with the deals and the debts it keeps the document below 64 KiB.
LINES_MAX = 160
# A deal that nobody has paid for by then never will be.
ABANDONED_AFTER = timedelta(hours=24)

DealStatus = Literal["weighing", "open", "held", "paid", "disputed", "rejected", "cancelled"]
# Who has paid the sellers: the buyer's account, the market's advance, or nobody yet.
Source = Literal["account", "advance", "sellers"]


class Line(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One weighing of a deal, as last corrected. Gross and tare of 0 mean that it is withdrawn."""

    line: int
    revision: int
    gross_g: int
    tare_g: int
    scale_id: str
    weighed_at: datetime


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute about the weight; ``due_at`` is until when it can be weighed again."""

    by: Literal["buyer", "seller"]
    opened_at: datetime
    due_at: datetime
    outcome: Literal["open", "upheld", "refunded", "charged", "lapsed"] = "open"


class Deal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One deal. Weighings may come before the terms, then its status is ``weighing``.

    ``paid_minor`` and ``paid_net_g`` are what stands once it is paid or held for. ``number`` is not
    used again on this page, unlike ``deal_id``, which the scales give out.
    """

    deal_id: str
    number: int
    opened_at: datetime
    status: DealStatus
    terms: Terms | None = None
    terms_revision: int = 0
    lines: tuple[Line, ...] = ()
    source: Source | None = None
    paid_minor: int = 0
    paid_net_g: int = 0
    discount_minor: int = 0
    paid_at: datetime | None = None
    dispute: Dispute | None = None

    @property
    def hold(self) -> str:
        """The name of the hold of a guaranteed payment."""
        return f"deal-{self.number}"

    @property
    def acceptance_timer(self) -> str:
        """The name of the timer that accepts the goods."""
        return f"accept-{self.number}"

    @property
    def dispute_timer(self) -> str:
        """The name of the timer that ends a dispute."""
        return f"dispute-{self.number}"

    @property
    def weighed(self) -> tuple[Line, ...]:
        """The lines that are not withdrawn."""
        return tuple(line for line in self.lines if line.gross_g)

    @property
    def net_g(self) -> int:
        """Gross less tare over all lines."""
        return sum(line.gross_g - line.tare_g for line in self.lines)

    @property
    def due_minor(self) -> int:
        """What the lines cost by the terms; 0 without terms."""
        return 0 if self.terms is None else price_of(self.terms, self.net_g)

    @property
    def parts(self) -> Parts | None:
        """How what was paid is divided, or None before the terms are agreed."""
        if self.terms is None:
            return None
        return divide(self.paid_minor, self.paid_net_g, self.terms)


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer. ``limit_minor`` 0 means no credit; ``number`` counts deals, ``told`` arrears."""

    buyer_id: str
    market_id: str
    account_id: str
    limit_minor: int = 0
    credit_terms: Literal["day", "week"] = "day"
    deals: tuple[Deal, ...] = ()
    debts: tuple[Debt, ...] = ()
    number: int = 0
    told: int = 0

    @property
    def blocked(self) -> bool:
        """Whether something is overdue: then there is no more credit."""
        return any(debt.overdue for debt in self.debts)

    @property
    def used_minor(self) -> int:
        """How much of the limit is used."""
        return principal_minor(self.debts)

    @property
    def credit_left_minor(self) -> int:
        """What may still be bought on credit."""
        return 0 if self.blocked else max(0, self.limit_minor - self.used_minor)


def price_of(terms: Terms, net_g: int) -> int:
    """Return what a net weight costs by the terms, in minor units."""
    payable = payable_g(net_g, terms.loss_ppm)
    return amount_minor(payable, terms.price_minor, terms.unit, terms.wipe_minor)


def find_deal(buyer: Buyer, deal_id: str) -> Deal | None:
    """Return a deal of the page, or None."""
    return next((deal for deal in buyer.deals if deal.deal_id == deal_id), None)


def put_deal(buyer: Buyer, deal: Deal) -> Buyer:
    """Return the page with the deal in its place, or at the end."""
    if any(one.deal_id == deal.deal_id for one in buyer.deals):
        deals = tuple(deal if one.deal_id == deal.deal_id else one for one in buyer.deals)
    else:
        deals = (*buyer.deals, deal)
    return replace(buyer, deals=deals)


def room_for(
    buyer: Buyer,
    now: datetime,
    disputable: timedelta,
    *,
    keep: str,
    deals: int,
    lines: int,
) -> Buyer:
    """Return the page with room for more, or raise :class:`LimitExceeded`.

    The oldest deals leave first, of those that are over: rejected, cancelled, paid for longer than
    they can be disputed, or abandoned. The one that is called ``keep`` stays.
    """
    kept = list(buyer.deals)
    over = [deal for deal in kept if deal.deal_id != keep and _is_over(deal, now, disputable)]
    while len(kept) + deals > DEALS_MAX or lines + _lines(kept) > LINES_MAX:
        if not over:
            raise LimitExceeded(
                f"{buyer.buyer_id} has {len(kept)} deals with {_lines(kept)} weighings that are "
                f"not over; at most {DEALS_MAX} with {LINES_MAX} are kept",
                field="buyer_id",
            )
        kept.remove(over.pop(0))
    return replace(buyer, deals=tuple(kept))


def _lines(deals: list[Deal]) -> int:
    return sum(len(deal.lines) for deal in deals)


def _is_over(deal: Deal, now: datetime, disputable: timedelta) -> bool:
    if deal.status in ("rejected", "cancelled"):
        return True
    if deal.status == "paid" and deal.paid_at is not None:
        return deal.paid_at + disputable <= now
    return deal.status in ("weighing", "open") and deal.opened_at + ABANDONED_AFTER <= now
