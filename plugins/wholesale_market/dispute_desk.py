"""Disputes about the weight: the load goes to the referee scale, and the difference is settled.

A deal can be disputed once, within the market's minutes after it was paid. What the referee scale
shows stands. If it is not the same weight, every party ends with exactly what it would have had at
that weight: who had too much gives back, who had too little is paid.
"""

from datetime import timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from zhihui.plugin import (
    Cancel,
    Context,
    InvalidField,
    InvalidState,
    Notice,
    Pack,
    Plan,
    Schedule,
    on_timer,
    operation,
)

from .buyer import Buyer, Deal, Dispute, find_deal, price_of, put_deal
from .correction import Correction, correction_ways
from .deal_desk import known_buyer, known_deal
from .deal_messages import (
    DisputeDeal,
    DisputeLapsed,
    DisputeOpened,
    ReweighDeal,
    Reweighed,
)
from .measures import PPM
from .registry import market_of, scale_for
from .state import Market

__all__ = ("DisputeDue", "dispute_deal", "lapse_dispute", "reweigh_deal")


class DisputeDue(msgspec.Struct, frozen=True, kw_only=True):
    """The timer that ends a dispute in which nobody has weighed again."""

    deal_id: str
    number: int


@operation(
    "dispute",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=DisputeOpened,
    errors=("not_found", "invalid_state"),
    events=("wholesale_market.deal_disputed",),
)
async def dispute_deal(
    pack: Pack, context: Context, message: DisputeDeal, buyer: Buyer | None
) -> Plan:
    """Doubt the weight of a deal that was paid."""
    known = known_buyer(buyer, message.buyer_id)
    deal = known_deal(known, message.deal_id)
    market = await market_of(context, known.market_id)
    now = context.clock.now()
    if deal.status != "paid" or deal.paid_at is None:
        raise InvalidState(
            f"deal {deal.deal_id!r} is {deal.status}; only one that is paid is disputed",
            field="deal_id",
        )
    if deal.dispute is not None:
        raise InvalidState(
            f"deal {deal.deal_id!r} was disputed already: {deal.dispute.outcome}", field="deal_id"
        )
    until = deal.paid_at + timedelta(minutes=market.terms.dispute_minutes)
    if now > until:
        raise InvalidState(
            f"deal {deal.deal_id!r} could be disputed until {until.isoformat()}", field="deal_id"
        )
    due_at = now + timedelta(minutes=market.terms.reweigh_minutes)
    disputed = replace(
        deal,
        status="disputed",
        dispute=Dispute(by=message.by, opened_at=now, due_at=due_at),
    )
    timer = Schedule(
        name=deal.dispute_timer,
        due_at=due_at,
        body=DisputeDue(deal_id=deal.deal_id, number=deal.number),
    )
    result = DisputeOpened(
        buyer_id=known.buyer_id, deal_id=deal.deal_id, by=message.by, due_at=due_at
    )
    notice = Notice(type="wholesale_market.deal_disputed", subject=deal.deal_id, data=result)
    return Plan(state=put_deal(known, disputed), effects=(timer,), result=result, notices=(notice,))


@on_timer(
    "lapse_dispute",
    collection="buyer",
    state=Buyer,
    body=DisputeDue,
    events=("wholesale_market.dispute_lapsed",),
)
async def lapse_dispute(
    pack: Pack, context: Context, body: DisputeDue, buyer: Buyer | None
) -> Plan:
    """End a dispute in which nobody has weighed again: the deal stands."""
    deal = None if buyer is None else find_deal(buyer, body.deal_id)
    if buyer is None or deal is None or deal.number != body.number or deal.status != "disputed":
        return Plan()
    result = DisputeLapsed(buyer_id=buyer.buyer_id, deal_id=deal.deal_id)
    notice = Notice(type="wholesale_market.dispute_lapsed", subject=deal.deal_id, data=result)
    stands = _ended(deal, "lapsed")
    return Plan(state=put_deal(buyer, stands), result=result, notices=(notice,))


@operation(
    "reweigh",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=Reweighed,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("wholesale_market.deal_reweighed",),
)
async def reweigh_deal(
    pack: Pack, context: Context, message: ReweighDeal, buyer: Buyer | None
) -> tuple[Plan, ...]:
    """Report what the referee scale shows for a disputed deal, and settle the difference."""
    known = known_buyer(buyer, message.buyer_id)
    deal = known_deal(known, message.deal_id)
    market = await market_of(context, known.market_id)
    await _check_referee(context, message, market)
    now = context.clock.now()
    dispute = deal.dispute
    if deal.status != "disputed" or dispute is None or now > dispute.due_at:
        raise InvalidState(
            f"deal {deal.deal_id!r} is {deal.status}; it is weighed again while it is disputed",
            field="deal_id",
        )
    assert deal.terms is not None
    net_g = message.gross_g - message.tare_g
    amount = max(0, price_of(deal.terms, net_g) - deal.discount_minor)
    if _same_weight(deal.paid_net_g, net_g, market) or amount == deal.paid_minor:
        return (_upheld(known, deal, net_g),)
    correction = Correction(
        buyer=known,
        deal=deal,
        corrected=replace(
            _ended(deal, "refunded" if amount < deal.paid_minor else "charged"),
            paid_minor=amount,
            paid_net_g=net_g,
        ),
        market=market,
        now=now,
    )
    return correction_ways(correction)


async def _check_referee(context: Context, message: ReweighDeal, market: Market) -> None:
    scale = await scale_for(
        context, message.scale_id, market, message.gross_g, message.tare_g, message.weighed_at
    )
    if not scale.referee:
        raise InvalidField(
            f"scale {scale.scale_id!r} is no referee scale of the market", field="scale_id"
        )
    if not message.gross_g:
        raise InvalidField("gross_g is 0; nothing was weighed again", field="gross_g")


def _same_weight(before_g: int, net_g: int, market: Market) -> bool:
    return abs(net_g - before_g) * PPM <= before_g * market.terms.tolerance_ppm


def _ended(deal: Deal, outcome: Literal["upheld", "refunded", "charged", "lapsed"]) -> Deal:
    assert deal.dispute is not None
    return replace(deal, status="paid", dispute=replace(deal.dispute, outcome=outcome))


def _upheld(buyer: Buyer, deal: Deal, net_g: int) -> Plan:
    result = Reweighed(
        buyer_id=buyer.buyer_id,
        deal_id=deal.deal_id,
        net_before_g=deal.paid_net_g,
        net_g=net_g,
        amount_minor=deal.paid_minor,
        difference_minor=0,
        claimed_minor=0,
        status="upheld",
    )
    notice = Notice(type="wholesale_market.deal_reweighed", subject=deal.deal_id, data=result)
    return Plan(
        state=put_deal(buyer, _ended(deal, "upheld")),
        effects=(Cancel(name=deal.dispute_timer),),
        result=result,
        notices=(notice,),
    )
