"""T+1: the fund pays back what its bank advanced for instant redemptions."""

from collections.abc import Iterable
from datetime import date

import msgspec

from actors.entity import Part
from actors.regulation.calendar import add_business_days, is_business_day
from actors.wealth.fund_accounts import advance_tally, fund_accounts, fund_move
from actors.wealth.order_days import day_after
from kernel.store import Query, Store, Where
from schemas.change import Fact
from schemas.ledger import Moves, TallyStep
from schemas.money import CNY

__all__ = ("Advanced", "advances_of", "clearing_part", "days_to_clear")


class Advanced(msgspec.Struct, frozen=True):
    """What was advanced for the orders of one business day, and by how many redemptions."""

    ordered_on: date
    count: int
    amount_minor: int


def days_to_clear(since: date, today: date) -> tuple[date, ...]:
    """Return the business days from ``since`` on whose T+1 is ``today`` or before."""
    days = []
    day = since
    while day < today:
        if is_business_day(day) and add_business_days(day, 1) <= today:
            days.append(day)
        day = day_after(day)
    return tuple(days)


async def advances_of(store: Store, fund: str, days: Iterable[date]) -> tuple[Advanced, ...]:
    """Return what was advanced on these days and not cleared yet."""
    tallies = {advance_tally(fund, day): day for day in days}
    if not tallies:
        return ()
    rows = await store.fetch(
        Query(
            table="tally",
            columns=("tally_id", "count", "amount_minor"),
            where=(Where("tally_id", "in", list(tallies)), Where("amount_minor", ">", 0)),
            order_by=("tally_id",),
        )
    )
    return tuple(Advanced(tallies[name], count, amount) for name, count, amount in rows)


def clearing_part(fund: str, advances: tuple[Advanced, ...], today: date) -> Part:
    """Return the change: cash for the advance, and the pledged units end.

    The counters of the days go back to zero by exactly what is paid, so that a day is never paid
    twice, and what should come to a day late is found by the next clearing.
    """
    total = sum(one.amount_minor for one in advances)
    if not total:
        return Part()
    accounts = fund_accounts(fund)
    return Part(
        moves=Moves(
            postings=(
                fund_move(accounts.cash, accounts.advance, total, CNY, "clear"),
                fund_move(accounts.pledged, accounts.units, total, accounts.asset, "end_units"),
            ),
            steps=tuple(
                TallyStep(
                    advance_tally(fund, one.ordered_on),
                    count=-one.count,
                    amount_minor=-one.amount_minor,
                )
                for one in advances
            ),
        ),
        facts=tuple(
            Fact(
                "fund_clearing",
                (fund, one.ordered_on.isoformat(), today.isoformat(), one.amount_minor),
            )
            for one in advances
        ),
    )
