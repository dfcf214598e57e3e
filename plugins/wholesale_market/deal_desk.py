"""The stall's counter: agreeing on a price, paying, giving up.

A price carries a revision: the higher one stands whichever comes first. The buyer pays what the
screen shows, and a deal that looks different by then is not paid.
"""

from datetime import timedelta
from typing import Literal

from msgspec.structs import replace

from zhihui.plugin import (
    Context,
    Ineligible,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
    Notice,
    Pack,
    Plan,
    operation,
)

from .buyer import Buyer, Deal, find_deal, put_deal, room_for
from .deal_messages import (
    CancelDeal,
    DealCancelled,
    DealOpened,
    DealPaid,
    DealView,
    GetDeal,
    LineView,
    OpenDeal,
    PayDeal,
)
from .division import Terms
from .registry import carrier_of, lot_of, market_of, stall_of
from .settlement import check_credit, credit_ways, guaranteed_way, pay_now_way
from .stall_desk import stall_fee_ppm
from .state import Market

__all__ = (
    "begin_deal",
    "cancel_deal",
    "check_unpaid",
    "get_deal",
    "known_buyer",
    "known_deal",
    "open_deal",
    "pay_deal",
    "with_room",
)

_UNPAID = ("weighing", "open")

_OpeningStatus = Literal["opened", "repriced", "duplicate", "stale"]


def known_buyer(buyer: Buyer | None, buyer_id: str) -> Buyer:
    """Return the buyer; raise :class:`NotFound`."""
    if buyer is None:
        raise NotFound(f"no buyer {buyer_id!r}; register the buyer first", field="buyer_id")
    return buyer


def known_deal(buyer: Buyer, deal_id: str) -> Deal:
    """Return a deal of the buyer; raise :class:`NotFound`."""
    deal = find_deal(buyer, deal_id)
    if deal is None:
        raise NotFound(f"{buyer.buyer_id} has no deal {deal_id!r}", field="deal_id")
    return deal


@operation(
    "open_deal",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=DealOpened,
    errors=("not_found", "invalid_state", "limit_exceeded"),
    events=("wholesale_market.deal_opened",),
)
async def open_deal(pack: Pack, context: Context, message: OpenDeal, buyer: Buyer | None) -> Plan:
    """Agree on a price between a buyer and a stall, or on another one before it is paid."""
    known = known_buyer(buyer, message.buyer_id)
    market = await market_of(context, known.market_id)
    deal = find_deal(known, message.deal_id)
    if deal is not None and deal.terms is not None:
        if message.revision < deal.terms_revision:
            return Plan(result=_opened(known, deal, deal.terms, "stale"))
        if message.revision == deal.terms_revision:
            _check_same_terms(message, deal.terms)
            return Plan(result=_opened(known, deal, deal.terms, "duplicate"))
    if deal is not None:
        check_unpaid(deal)
    terms = await _agreed(context, message, known, market)
    if deal is None:
        known, deal = begin_deal(context, known, market, message.deal_id, lines=0)
    repriced = deal.terms is not None
    deal = replace(deal, status="open", terms=terms, terms_revision=message.revision)
    result = _opened(known, deal, terms, "repriced" if repriced else "opened")
    notice = Notice(type="wholesale_market.deal_opened", subject=deal.deal_id, data=result)
    return Plan(state=put_deal(known, deal), result=result, notices=(notice,))


def _opened(buyer: Buyer, deal: Deal, terms: Terms, status: _OpeningStatus) -> DealOpened:
    return DealOpened(
        buyer_id=buyer.buyer_id,
        deal_id=deal.deal_id,
        lot_id=terms.lot_id,
        stall_id=terms.stall_id,
        price_minor=terms.price_minor,
        fee_ppm=terms.fee_ppm,
        lines=len(deal.weighed),
        amount_minor=deal.due_minor,
        status=status,
    )


def _check_same_terms(message: OpenDeal, terms: Terms) -> None:
    same = (
        message.lot_id == terms.lot_id
        and (message.carrier_id or "") == terms.carrier_id
        and message.unit == terms.unit
        and message.price_minor == terms.price_minor
        and message.loss_ppm == terms.loss_ppm
    )
    if not same:
        raise InvalidState(
            f"deal {message.deal_id!r} has other terms at revision {message.revision}; "
            "price it anew with a higher one",
            field="revision",
        )


async def _agreed(context: Context, message: OpenDeal, buyer: Buyer, market: Market) -> Terms:
    lot = await lot_of(context, message.lot_id, market)
    stall = await stall_of(context, lot.stall_id, market.market_id)
    if lot.farmer_account == buyer.account_id:
        raise InvalidField(
            f"lot {lot.lot_id!r} belongs to the buyer; nobody buys his own goods", field="lot_id"
        )
    terms = Terms(
        lot_id=lot.lot_id,
        stall_id=stall.stall_id,
        farmer_account=lot.farmer_account,
        stall_account=stall.account_id,
        market_account=market.fee_account,
        unit=message.unit,
        price_minor=message.price_minor,
        loss_ppm=message.loss_ppm,
        commission_ppm=stall.commission_ppm,
        fee_ppm=stall_fee_ppm(stall, market, context.clock.now()),
        wipe_minor=market.terms.wipe_minor,
        waits=stall.waits,
    )
    if message.carrier_id is None:
        return terms
    carrier = await carrier_of(context, message.carrier_id)
    return replace(
        terms,
        carrier_id=carrier.carrier_id,
        carrier_account=carrier.account_id,
        per_kg_minor=carrier.per_kg_minor,
    )


def begin_deal(
    context: Context, buyer: Buyer, market: Market, deal_id: str, *, lines: int
) -> tuple[Buyer, Deal]:
    """Return the page with room for a new deal, and the deal, which is not on it yet."""
    now = context.clock.now()
    roomy = with_room(context, buyer, market, deal_id, deals=1, lines=lines)
    numbered = replace(roomy, number=roomy.number + 1)
    deal = Deal(deal_id=deal_id, number=numbered.number, opened_at=now, status="weighing")
    return numbered, deal


def with_room(
    context: Context, buyer: Buyer, market: Market, deal_id: str, *, deals: int, lines: int
) -> Buyer:
    """Return the page with room for more; raise :class:`LimitExceeded` when there is none."""
    disputable = timedelta(minutes=market.terms.dispute_minutes)
    now = context.clock.now()
    return room_for(buyer, now, disputable, keep=deal_id, deals=deals, lines=lines)


def check_unpaid(deal: Deal) -> None:
    """Raise :class:`InvalidState` when a deal cannot be changed any more."""
    if deal.status not in _UNPAID:
        hint = "; dispute its weight" if deal.status == "paid" else ""
        raise InvalidState(f"deal {deal.deal_id!r} is {deal.status}{hint}", field="deal_id")


@operation(
    "pay",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=DealPaid,
    errors=("not_found", "invalid_state", "insufficient_funds", "ineligible", "limit_exceeded"),
    events=(
        "wholesale_market.deal_paid",
        "wholesale_market.deal_held",
        "wholesale_market.deal_on_credit",
    ),
)
async def pay_deal(
    pack: Pack, context: Context, message: PayDeal, buyer: Buyer | None
) -> tuple[Plan, ...]:
    """Pay a deal: at once, with a guarantee until the goods are accepted, or on credit."""
    known = known_buyer(buyer, message.buyer_id)
    deal = known_deal(known, message.deal_id)
    _check_payable(deal, message)
    market = await market_of(context, known.market_id)
    now = context.clock.now()
    if message.method == "guaranteed":
        return (guaranteed_way(known, deal, market, now),)
    if message.method == "credit":
        check_credit(known, deal.due_minor)
        return credit_ways(known, deal, market, now)
    at_once = pay_now_way(known, deal, market, now)
    if not message.else_credit:
        return (at_once,)
    try:
        check_credit(known, deal.due_minor)
    except (Ineligible, LimitExceeded):
        return (at_once,)
    return (at_once, *credit_ways(known, deal, market, now))


def _check_payable(deal: Deal, message: PayDeal) -> None:
    if deal.status == "weighing":
        raise InvalidState(f"no price is agreed for deal {deal.deal_id!r}", field="deal_id")
    if deal.status != "open":
        raise InvalidState(f"deal {deal.deal_id!r} is {deal.status}", field="deal_id")
    if message.else_credit and message.method != "now":
        raise InvalidField("else_credit goes with method 'now'", field="else_credit")
    shown, weighed = message.lines, len(deal.weighed)
    if shown != weighed:
        raise InvalidState(
            f"the screen showed {shown} weighings, there are {weighed}; show it again",
            field="lines",
        )
    if message.amount_minor != deal.due_minor:
        raise InvalidState(
            f"the screen showed {message.amount_minor}, it is {deal.due_minor}; show it again",
            field="amount_minor",
        )


@operation(
    "cancel_deal",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=DealCancelled,
    errors=("not_found", "invalid_state"),
    events=("wholesale_market.deal_cancelled",),
)
async def cancel_deal(
    pack: Pack, context: Context, message: CancelDeal, buyer: Buyer | None
) -> Plan:
    """Give up a deal that is not paid."""
    known = known_buyer(buyer, message.buyer_id)
    deal = known_deal(known, message.deal_id)
    check_unpaid(deal)
    result = DealCancelled(buyer_id=known.buyer_id, deal_id=deal.deal_id)
    notice = Notice(type="wholesale_market.deal_cancelled", subject=deal.deal_id, data=result)
    cancelled = replace(deal, status="cancelled")
    return Plan(state=put_deal(known, cancelled), result=result, notices=(notice,))


@operation(
    "get_deal",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=DealView,
    mutates=False,
    errors=("not_found",),
)
async def get_deal(pack: Pack, context: Context, message: GetDeal, buyer: Buyer | None) -> DealView:
    """Read a deal: terms, weighings, payment, dispute."""
    known = known_buyer(buyer, message.buyer_id)
    deal = known_deal(known, message.deal_id)
    terms = deal.terms
    paid = deal.source is not None
    return DealView(
        buyer_id=known.buyer_id,
        deal_id=deal.deal_id,
        lot_id=None if terms is None else terms.lot_id,
        stall_id=None if terms is None else terms.stall_id,
        unit=None if terms is None else terms.unit,
        price_minor=None if terms is None else terms.price_minor,
        loss_ppm=None if terms is None else terms.loss_ppm,
        fee_ppm=None if terms is None else terms.fee_ppm,
        lines=tuple(
            LineView(
                line=line.line,
                revision=line.revision,
                gross_g=line.gross_g,
                tare_g=line.tare_g,
                scale_id=line.scale_id,
                weighed_at=line.weighed_at,
            )
            for line in deal.lines
        ),
        net_g=deal.paid_net_g if paid else deal.net_g,
        amount_minor=deal.paid_minor if paid else deal.due_minor,
        discount_minor=deal.discount_minor,
        parts=deal.parts if paid else None,
        source=deal.source,
        dispute=None if deal.dispute is None else deal.dispute.outcome,
        status=deal.status,
    )
