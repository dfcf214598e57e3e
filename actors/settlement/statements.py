"""What is told of settlements: lists, a day's statement (对账单), and clearing totals (清分)."""

from bisect import bisect_left

from actors.settlement.collecting import legs_after
from actors.settlement.legs import LegRow
from actors.settlement.records import CLEARING_TABLE, SETTLEMENT_TABLE, public_settlement
from kernel.store import Query, Store, Where
from schemas.settlement import (
    Clearing,
    ClearingLine,
    GetStatementOfDay,
    ListSettlements,
    SettlementList,
    SettlementStatement,
    StatementLine,
)

__all__ = ("CLEARING_ROWS", "clearing_page", "list_settlements", "statement_page")

# Rows of the clearing read at once: an account has one for each settlement of the day.
CLEARING_ROWS = 2_000

_SUMMED_UP = ["computed", "paying", "settled", "failed"]


async def list_settlements(store: Store, request: ListSettlements) -> SettlementList:
    """Return a page of a merchant's settlements, in their order."""
    where = [Where("merchant_id", "=", request.merchant_id), Where("number", ">", request.after)]
    if request.day is not None:
        where.append(Where("day", "=", request.day))
    records = await SETTLEMENT_TABLE.search(
        store, *where, order_by=("number",), limit=request.limit + 1
    )
    page = records[: request.limit]
    return SettlementList(
        settlements=[public_settlement(one.key, one.state) for one in page],
        next_after=page[-1].state.number if len(records) > request.limit else None,
    )


async def statement_page(store: Store, request: GetStatementOfDay) -> SettlementStatement:
    """Return a page of the legs of a merchant's settlements of a day, once they are summed up.

    The settlements of a day follow each other without a gap: their legs are one range of changes.
    """
    ranges = await store.fetch(
        Query(
            table=SETTLEMENT_TABLE.name,
            columns=("to_seq", "after_seq", "settlement_id"),
            where=(
                Where("merchant_id", "=", request.merchant_id),
                Where("day", "=", request.day),
                Where("to_seq", ">", request.after),
                Where("state", "in", _SUMMED_UP),
            ),
            order_by=("number",),
            limit=request.limit,
        )
    )
    # One that holds no legs retried a payout, and its range is empty.
    ranges = [one for one in ranges if one[0] > one[1]]
    lines: list[StatementLine] = []
    next_after = None
    if ranges:
        ends = [to_seq for to_seq, _, _ in ranges]
        after = max(request.after, ranges[0][1])
        rows, more = await legs_after(store, request.merchant_id, after, request.limit)
        lines = [
            _line(ranges[bisect_left(ends, seq)][2], leg) for seq, leg in rows if seq <= ends[-1]
        ]
        if more and rows[-1][0] < ends[-1]:
            next_after = rows[-1][0]
        elif len(ranges) == request.limit:
            next_after = ends[-1]
    return SettlementStatement(
        merchant_id=request.merchant_id, day=request.day, lines=lines, next_after=next_after
    )


def _line(settlement_id: str, leg: LegRow) -> StatementLine:
    return StatementLine(
        settlement_id=settlement_id,
        leg_id=leg.leg_id,
        kind=leg.kind,
        payment_id=leg.payment_id,
        method=leg.method,
        app=leg.app,
        at=leg.at,
        gross_minor=leg.gross_minor,
        fee_minor=leg.fee_minor,
        shared_minor=leg.shared_minor,
        net_minor=leg.net_minor,
    )


async def clearing_page(
    store: Store, day: str, app: str, after: str, limit: int, *, rows_max: int = CLEARING_ROWS
) -> Clearing:
    """Return a page of the clearing totals: all lines of an account are on one page."""
    rows = await _clearing_rows(store, Where("account_id", ">", after), day, app, rows_max)
    more = len(rows) == rows_max
    if more:
        first, last = rows[0][0], rows[-1][0]
        if first == last:
            rows = await _clearing_rows(store, Where("account_id", "=", first), day, app, None)
        else:
            # It may go on behind the rows that were read.
            rows = [row for row in rows if row[0] < last]
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    accounts = ""
    for account_id, role, legs, amount_minor in rows:
        if account_id != accounts and len(totals) >= limit:
            more = True
            break
        accounts = account_id
        before = totals.get((account_id, role), (0, 0))
        totals[account_id, role] = (before[0] + legs, before[1] + amount_minor)
    lines = [
        ClearingLine(account_id=account_id, role=role, legs=legs, amount_minor=amount)  # type: ignore[arg-type]
        for (account_id, role), (legs, amount) in totals.items()
    ]
    return Clearing(day=day, app=app, lines=lines, next_after=accounts if more else None)


async def _clearing_rows(
    store: Store, accounts: Where, day: str, app: str, limit: int | None
) -> list[tuple[str, str, int, int]]:
    return await store.fetch(
        Query(
            table=CLEARING_TABLE.name,
            columns=("account_id", "role", "legs", "amount_minor"),
            where=(Where("day", "=", day), Where("app", "=", app), accounts),
            order_by=("account_id", "role", "settlement_id"),
            limit=limit,
        )
    )
