"""Acceptance on the spot (验货): what becomes of money that is held for goods.

The hold is resolved once: captured whole, captured less a discount for quality, or voided when the
goods are refused. Who says nothing within the market's minutes has accepted.
"""

from typing import Literal

from msgspec.structs import replace

from zhihui.plugin import (
    Cancel,
    CaptureHold,
    Context,
    InvalidField,
    InvalidState,
    Notice,
    Pack,
    Plan,
    Schedule,
    VoidHold,
    on_timer,
    operation,
)

from .buyer import Buyer, Deal, find_deal, put_deal
from .deal_desk import known_buyer, known_deal
from .deal_messages import AcceptDeal, DealAccepted, DealRejected, RejectDeal
from .division import divide, shares_of
from .market_clock import next_day_close
from .registry import market_of
from .settlement import AcceptanceDue, bookings
from .state import Market

__all__ = ("accept_by_time", "accept_deal", "reject_deal")


@operation(
    "accept",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=DealAccepted,
    errors=("not_found", "invalid_state"),
    events=("wholesale_market.deal_accepted",),
)
async def accept_deal(
    pack: Pack, context: Context, message: AcceptDeal, buyer: Buyer | None
) -> Plan:
    """Accept goods that were paid with a guarantee, with a discount if they are worth less."""
    known = known_buyer(buyer, message.buyer_id)
    deal = known_deal(known, message.deal_id)
    _check_held(deal)
    if message.discount_minor >= deal.paid_minor:
        raise InvalidField(
            f"discount_minor is {message.discount_minor} of {deal.paid_minor}; reject goods that "
            "are worth nothing",
            field="discount_minor",
        )
    market = await market_of(context, known.market_id)
    return _accepted(context, known, deal, market, message.discount_minor, "buyer")


@on_timer(
    "accept_by_time",
    collection="buyer",
    state=Buyer,
    body=AcceptanceDue,
    events=("wholesale_market.deal_accepted",),
)
async def accept_by_time(
    pack: Pack, context: Context, body: AcceptanceDue, buyer: Buyer | None
) -> tuple[Plan, ...]:
    """Accept goods about which nothing was said in time."""
    deal = None if buyer is None else find_deal(buyer, body.deal_id)
    if buyer is None or deal is None or deal.number != body.number or deal.status != "held":
        return (Plan(),)
    market = await market_of(context, buyer.market_id)
    accepted = _accepted(context, buyer, deal, market, 0, "timer")
    # An account that is frozen meanwhile pays when it is not any more.
    again = Schedule(
        name=deal.acceptance_timer,
        due_at=next_day_close(market.terms, context.clock.now()),
        body=body,
    )
    return accepted, Plan(effects=(again,))


def _accepted(
    context: Context,
    buyer: Buyer,
    deal: Deal,
    market: Market,
    discount_minor: int,
    by: Literal["buyer", "timer"],
) -> Plan:
    assert deal.terms is not None
    now = context.clock.now()
    captured = deal.paid_minor - discount_minor
    parts = divide(captured, deal.paid_net_g, deal.terms)
    capture = CaptureHold(
        name=deal.hold,
        amount_minor=captured,
        final=True,
        shares=shares_of(deal.terms, parts),
    )
    accepted = replace(
        deal, status="paid", paid_minor=captured, discount_minor=discount_minor, paid_at=now
    )
    result = DealAccepted(
        buyer_id=buyer.buyer_id,
        deal_id=deal.deal_id,
        captured_minor=captured,
        discount_minor=discount_minor,
        parts=parts,
        by=by,
    )
    told = bookings(deal.terms, market.terms, now, weight_g=deal.paid_net_g, parts=parts)
    timer = (Cancel(name=deal.acceptance_timer),) if by == "buyer" else ()
    notice = Notice(type="wholesale_market.deal_accepted", subject=deal.deal_id, data=result)
    return Plan(
        state=put_deal(buyer, accepted),
        effects=(capture, *timer, *told),
        result=result,
        notices=(notice,),
    )


@operation(
    "reject",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=DealRejected,
    errors=("not_found", "invalid_state"),
    events=("wholesale_market.deal_rejected",),
)
async def reject_deal(
    pack: Pack, context: Context, message: RejectDeal, buyer: Buyer | None
) -> Plan:
    """Refuse goods that were paid with a guarantee, and give all of the money back."""
    known = known_buyer(buyer, message.buyer_id)
    deal = known_deal(known, message.deal_id)
    _check_held(deal)
    result = DealRejected(
        buyer_id=known.buyer_id,
        deal_id=deal.deal_id,
        released_minor=deal.paid_minor,
        reason=message.reason,
    )
    rejected = replace(deal, status="rejected", paid_minor=0, paid_net_g=0, source=None)
    notice = Notice(type="wholesale_market.deal_rejected", subject=deal.deal_id, data=result)
    return Plan(
        state=put_deal(known, rejected),
        effects=(VoidHold(name=deal.hold), Cancel(name=deal.acceptance_timer)),
        result=result,
        notices=(notice,),
    )


def _check_held(deal: Deal) -> None:
    if deal.status != "held":
        raise InvalidState(
            f"deal {deal.deal_id!r} is {deal.status}; nothing is held for it", field="deal_id"
        )
