"""The scales: what they report of a deal, in whatever order it arrives.

Scales report over the market's network, so a report may come twice, late, or before the price it
belongs to. Each line carries a revision, and the higher one stands whichever comes first.
"""

from typing import Literal

from msgspec.structs import replace

from zhihui.plugin import Context, InvalidState, Notice, Pack, Plan, operation

from .buyer import Buyer, Deal, Line, find_deal, put_deal
from .deal_desk import begin_deal, check_unpaid, known_buyer, with_room
from .deal_messages import ReportWeighing, WeighingReported
from .registry import market_of, scale_for

__all__ = ("report_weighing",)

_WeighingStatus = Literal["weighed", "corrected", "withdrawn", "duplicate", "stale"]


@operation(
    "weigh",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=WeighingReported,
    errors=("not_found", "invalid_state", "limit_exceeded"),
    events=("wholesale_market.deal_weighed",),
)
async def report_weighing(
    pack: Pack, context: Context, message: ReportWeighing, buyer: Buyer | None
) -> Plan:
    """Report one weighing of a deal, correct it, or withdraw it."""
    known = known_buyer(buyer, message.buyer_id)
    market = await market_of(context, known.market_id)
    await scale_for(
        context, message.scale_id, market, message.gross_g, message.tare_g, message.weighed_at
    )
    line = Line(
        line=message.line,
        revision=message.revision,
        gross_g=message.gross_g,
        tare_g=message.tare_g,
        scale_id=message.scale_id,
        weighed_at=message.weighed_at,
    )
    deal = find_deal(known, message.deal_id)
    before = None if deal is None else next((x for x in deal.lines if x.line == line.line), None)
    if deal is not None and before is not None and before.revision >= line.revision:
        return _reported_before(known, deal, line, before)
    if deal is None:
        known, deal = begin_deal(context, known, market, message.deal_id, lines=1)
    else:
        check_unpaid(deal)
        more = 0 if before is not None else 1
        known = with_room(context, known, market, deal.deal_id, deals=0, lines=more)
    others = tuple(one for one in deal.lines if one.line != line.line)
    lines = tuple(sorted((*others, line), key=lambda one: one.line))
    deal = replace(deal, lines=lines)
    status: _WeighingStatus = "weighed" if before is None else "corrected"
    result = _reported(known, deal, line, status if line.gross_g else "withdrawn")
    notice = Notice(type="wholesale_market.deal_weighed", subject=deal.deal_id, data=result)
    return Plan(state=put_deal(known, deal), result=result, notices=(notice,))


def _reported_before(buyer: Buyer, deal: Deal, line: Line, before: Line) -> Plan:
    if before.revision > line.revision:
        return Plan(result=_reported(buyer, deal, line, "stale"))
    if before != line:
        raise InvalidState(
            f"line {line.line} of deal {deal.deal_id!r} has other weights at revision "
            f"{line.revision}; correct it with a higher one",
            field="revision",
        )
    return Plan(result=_reported(buyer, deal, line, "duplicate"))


def _reported(buyer: Buyer, deal: Deal, line: Line, status: _WeighingStatus) -> WeighingReported:
    return WeighingReported(
        buyer_id=buyer.buyer_id,
        deal_id=deal.deal_id,
        line=line.line,
        revision=line.revision,
        lines=len(deal.weighed),
        net_g=deal.net_g,
        amount_minor=deal.due_minor,
        status=status,
    )
