"""The list of arrears (欠款清单) of a market, as its buyers' pages tell it."""

from typing import Literal

from msgspec.structs import replace

from zhihui.plugin import Context, Pack, Plan, Send, operation

from .buyer import Buyer
from .credit_messages import (
    ArrearsBooked,
    ArrearsList,
    ArrearView,
    BookArrears,
    ListArrears,
)
from .debts import Debt, principal_minor
from .settlement import SENT
from .state import ARREARS_MAX, ArrearEntry, Arrears

__all__ = ("arrears_news", "book_arrears", "list_arrears", "overdue_of")


def overdue_of(buyer: Buyer) -> tuple[Debt, ...]:
    """Return the debts that are overdue."""
    return tuple(debt for debt in buyer.debts if debt.overdue)


def arrears_news(before: Buyer, after: Buyer) -> tuple[Buyer, tuple[Send, ...]]:
    """Return what the market's list is told when a page changes, and the page that has told it."""
    overdue = overdue_of(after)
    if principal_minor(overdue) == principal_minor(overdue_of(before)) and len(overdue) == len(
        overdue_of(before)
    ):
        return after, ()
    told = replace(after, told=after.told + 1)
    body = BookArrears(
        request_id=SENT,
        market_id=after.market_id,
        buyer_id=after.buyer_id,
        overdue_minor=principal_minor(overdue),
        debts=len(overdue),
        since=min((debt.due_at for debt in overdue), default=None),
        number=told.told,
    )
    return told, (Send(verb="book_arrears", body=body),)


@operation(
    "book_arrears",
    collection="arrears",
    key="market_id",
    state=Arrears,
    result=ArrearsBooked,
    internal=True,
)
async def book_arrears(
    pack: Pack, context: Context, message: BookArrears, arrears: Arrears | None
) -> Plan:
    """Put a buyer on the list, or take one off; what is older than what is known is left out."""
    known = arrears or Arrears(market_id=message.market_id)
    before = known.entries.get(message.buyer_id)
    if before is not None and before.number >= message.number:
        return Plan(result=_booked(message, "stale"))
    entry = ArrearEntry(
        overdue_minor=message.overdue_minor,
        debts=message.debts,
        since=message.since,
        number=message.number,
    )
    entries = {**known.entries, message.buyer_id: entry}
    if len(entries) > ARREARS_MAX:
        paid = next((name for name, one in entries.items() if not one.debts), None)
        if paid is None:
            full = replace(known, unlisted=known.unlisted + 1)
            return Plan(state=full, result=_booked(message, "unlisted"))
        del entries[paid]
    return Plan(state=replace(known, entries=entries), result=_booked(message, "booked"))


def _booked(message: BookArrears, status: Literal["booked", "stale", "unlisted"]) -> ArrearsBooked:
    return ArrearsBooked(market_id=message.market_id, buyer_id=message.buyer_id, status=status)


@operation(
    "list_arrears",
    collection="arrears",
    key="market_id",
    state=Arrears,
    result=ArrearsList,
    mutates=False,
)
async def list_arrears(
    pack: Pack, context: Context, message: ListArrears, arrears: Arrears | None
) -> ArrearsList:
    """Read the buyers of a market that are overdue, the largest amount first."""
    known = arrears or Arrears(market_id=message.market_id)
    owing = [(name, one) for name, one in known.entries.items() if one.debts]
    owing.sort(key=lambda item: (-item[1].overdue_minor, item[0]))
    buyers = tuple(
        ArrearView(
            buyer_id=name,
            overdue_minor=one.overdue_minor,
            debts=one.debts,
            since=one.since,
        )
        for name, one in owing
    )
    return ArrearsList(
        market_id=known.market_id,
        overdue_minor=sum(one.overdue_minor for one in buyers),
        buyers=buyers,
        unlisted=known.unlisted,
    )
