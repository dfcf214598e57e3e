"""The ways in which a deal is paid, and what its stall and its lot are told of it."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from schemas.effects import Effect
from zhihui.plugin import Cancel, Ineligible, LimitExceeded, Notice, PlaceHold, Plan, Schedule, Send

from .buyer import Buyer, Deal, DealStatus, Source, put_deal
from .deal_messages import DealPaid
from .debts import DEBTS_MAX, Debt, SellerPart, seller_parts
from .division import Parts, Terms, divide, pay_parts
from .lot_messages import BookWeight
from .market_clock import day_of, next_day_close, next_week_close
from .office_messages import BookSale
from .state import Market
from .terms import MarketTerms

__all__ = (
    "SENT",
    "AcceptanceDue",
    "DebtsDue",
    "bookings",
    "check_credit",
    "credit_ways",
    "due_timer",
    "guaranteed_way",
    "new_debt",
    "pay_now_way",
    "reference_of",
)

# The host puts an id of its own in the place of this one.
SENT = "sent"

_NOTHING = Parts(farmer_minor=0, stall_minor=0, market_minor=0, carrier_minor=0)


class AcceptanceDue(msgspec.Struct, frozen=True, kw_only=True):
    """The timer that accepts the goods of a guaranteed payment."""

    deal_id: str
    number: int


class DebtsDue(msgspec.Struct, frozen=True, kw_only=True):
    """The timer that collects what a buyer owes at the close of a day."""

    buyer_id: str


def reference_of(deal: Deal) -> str:
    """Return the text that names a deal on everybody's statement."""
    lot = "" if deal.terms is None else f" {deal.terms.lot_id}"
    return f"wholesale {deal.deal_id}{lot}"


def bookings(
    terms: Terms,
    market: MarketTerms,
    now: datetime,
    *,
    weight_g: int,
    parts: Parts,
    weight_before_g: int = 0,
    before: Parts = _NOTHING,
    deals: int = 1,
) -> tuple[Send, Send]:
    """Return what stall and lot are told of a deal, or of what has changed since ``before``."""
    sale = BookSale(
        request_id=SENT,
        stall_id=terms.stall_id,
        day=day_of(market, now),
        deals=deals,
        weight_g=weight_g - weight_before_g,
        turnover_minor=parts.total_minor - before.total_minor,
        commission_minor=parts.stall_minor - before.stall_minor,
        fee_minor=parts.market_minor - before.market_minor,
    )
    weight = BookWeight(
        request_id=SENT,
        lot_id=terms.lot_id,
        deals=deals,
        weight_g=weight_g - weight_before_g,
        sold_at=now,
    )
    return Send(verb="book_sale", body=sale), Send(verb="book_weight", body=weight)


def check_credit(buyer: Buyer, amount_minor: int) -> None:
    """Raise unless the buyer may buy for that much on credit."""
    if not buyer.limit_minor:
        raise Ineligible(f"{buyer.buyer_id} has no credit", field="buyer_id")
    if buyer.blocked:
        raise Ineligible(
            f"{buyer.buyer_id} is overdue and has no credit until that is paid", field="buyer_id"
        )
    if len(buyer.debts) >= DEBTS_MAX:
        raise LimitExceeded(
            f"{buyer.buyer_id} owes for {len(buyer.debts)} deals; at most {DEBTS_MAX} are kept",
            field="buyer_id",
        )
    if buyer.used_minor + amount_minor > buyer.limit_minor:
        raise LimitExceeded(
            f"{buyer.buyer_id} uses {buyer.used_minor} of {buyer.limit_minor}; "
            f"{amount_minor} would pass the limit",
            field="amount_minor",
        )


def due_timer(buyer: Buyer, market: MarketTerms, now: datetime) -> Schedule | Cancel:
    """Return the timer of the next close at which something of the buyer's is collected.

    What is overdue is tried again at every close of a day.
    """
    closes = [debt.due_at for debt in buyer.debts if not debt.overdue]
    if buyer.blocked:
        closes.append(next_day_close(market, now))
    if not closes:
        return Cancel(name="due")
    return Schedule(name="due", due_at=min(closes), body=DebtsDue(buyer_id=buyer.buyer_id))


def new_debt(
    buyer: Buyer,
    deal: Deal,
    market: Market,
    now: datetime,
    *,
    sellers: tuple[SellerPart, ...],
    advanced: bool,
) -> Debt:
    """Return the debt for a deal that is bought now and paid later."""
    terms = market.terms
    weekly = buyer.credit_terms == "week"
    due_at = next_week_close(terms, now) if weekly else next_day_close(terms, now)
    return Debt(
        deal_id=deal.deal_id,
        number=deal.number,
        principal_minor=sum(part.amount_minor for part in sellers),
        since=now,
        due_at=due_at,
        due_day=day_of(terms, due_at),
        accrued_to=day_of(terms, now),
        # Those who wait for their money have lent none of it.
        interest_ppm=terms.interest_ppm if advanced else 0,
        overdue_ppm=terms.overdue_ppm if advanced else 0,
        advance_account=market.advance_account if advanced else "",
        sellers=() if advanced else sellers,
    )


def pay_now_way(buyer: Buyer, deal: Deal, market: Market, now: datetime) -> Plan:
    """Return the way in which the buyer's account pays all sellers at once."""
    assert deal.terms is not None
    paid = _paid(deal, "paid", "account", now)
    parts = divide(paid.paid_minor, paid.paid_net_g, deal.terms)
    pay = pay_parts(buyer.account_id, deal.terms, parts, reference_of(deal))
    return _way(
        put_deal(buyer, paid),
        paid,
        parts,
        (pay, *bookings(deal.terms, market.terms, now, weight_g=paid.paid_net_g, parts=parts)),
        source="account",
        status="paid",
    )


def guaranteed_way(buyer: Buyer, deal: Deal, market: Market, now: datetime) -> Plan:
    """Return the way in which the money is held until the goods are accepted (担保支付)."""
    assert deal.terms is not None
    held = _paid(deal, "held", "account", now)
    parts = divide(held.paid_minor, held.paid_net_g, deal.terms)
    due_at = now + timedelta(minutes=market.terms.accept_minutes)
    hold = PlaceHold(
        name=held.hold,
        account_id=buyer.account_id,
        amount_minor=held.paid_minor,
        payee=deal.terms.farmer_account,
        reference=reference_of(deal),
    )
    timer = Schedule(
        name=held.acceptance_timer,
        due_at=due_at,
        body=AcceptanceDue(deal_id=deal.deal_id, number=deal.number),
    )
    return _way(
        put_deal(buyer, held),
        held,
        parts,
        (hold, timer),
        source="account",
        status="held",
        due_at=due_at,
    )


def credit_ways(buyer: Buyer, deal: Deal, market: Market, now: datetime) -> tuple[Plan, ...]:
    """Return the ways to buy now and pay later: the advance pays the sellers, or they wait."""
    assert deal.terms is not None
    ways = [_on_credit(buyer, deal, market, now, advanced=True)]
    if deal.terms.waits:
        ways.append(_on_credit(buyer, deal, market, now, advanced=False))
    return tuple(ways)


def _on_credit(buyer: Buyer, deal: Deal, market: Market, now: datetime, *, advanced: bool) -> Plan:
    assert deal.terms is not None
    source: Source = "advance" if advanced else "sellers"
    paid = _paid(deal, "paid", source, now)
    parts = divide(paid.paid_minor, paid.paid_net_g, deal.terms)
    debt = new_debt(
        buyer, deal, market, now, sellers=seller_parts(deal.terms, parts), advanced=advanced
    )
    indebted = replace(put_deal(buyer, paid), debts=(*buyer.debts, debt))
    effects: list[Effect] = []
    if advanced:
        effects.append(pay_parts(market.advance_account, deal.terms, parts, reference_of(deal)))
    effects.append(due_timer(indebted, market.terms, now))
    effects += bookings(deal.terms, market.terms, now, weight_g=paid.paid_net_g, parts=parts)
    return _way(
        indebted,
        paid,
        parts,
        tuple(effects),
        source=source,
        status="on_credit",
        due_at=debt.due_at,
    )


def _paid(deal: Deal, status: DealStatus, source: Source, now: datetime) -> Deal:
    return replace(
        deal,
        status=status,
        source=source,
        paid_minor=deal.due_minor,
        paid_net_g=deal.net_g,
        paid_at=now if status == "paid" else None,
    )


def _way(
    buyer: Buyer,
    deal: Deal,
    parts: Parts,
    effects: tuple[Effect, ...],
    *,
    source: Source,
    status: Literal["paid", "held", "on_credit"],
    due_at: datetime | None = None,
) -> Plan:
    result = DealPaid(
        buyer_id=buyer.buyer_id,
        deal_id=deal.deal_id,
        amount_minor=deal.paid_minor,
        net_g=deal.paid_net_g,
        parts=parts,
        source=source,
        due_at=due_at,
        status=status,
    )
    notice = Notice(type=f"wholesale_market.deal_{status}", subject=deal.deal_id, data=result)
    return Plan(state=buyer, effects=effects, result=result, notices=(notice,))
