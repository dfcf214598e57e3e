"""How a settlement finds its legs: page by page, in the order in which they were committed.

Numbers of changes are given by the journal in the order of commit, so what a read shows is complete
up to the last number that it shows: a leg that is still on its way will have a higher one, and
belongs to the next settlement. That is why a settlement is a range of numbers and not of times. The
cut-off is the first leg stamped at it or later; a leg that was stamped before and committed after
goes to the next settlement as well.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from actors.settlement.legs import FEE_ACCOUNT, LEG_COLUMNS, LEG_TABLE, LegRow
from actors.settlement.records import Batch, ClearingTotal, Sums
from kernel.store import Query, Store, Where
from schemas.settlement import ClearingRole

__all__ = ("PAGE_LEGS", "first_leg", "legs_after", "with_legs")

# About 200 bytes a row: a page is read in a few milliseconds on one connection of the read pool.
PAGE_LEGS = 1_000

_shares = msgspec.json.Decoder(list[tuple[str, int]])


async def first_leg(store: Store, merchant_id: str, after_seq: int) -> LegRow | None:
    """Return the first leg that is not settled, or None."""
    rows = await _rows(store, merchant_id, after_seq, 1)
    return rows[0][1] if rows else None


async def legs_after(
    store: Store, merchant_id: str, after_seq: int, limit: int = PAGE_LEGS
) -> tuple[list[tuple[int, LegRow]], bool]:
    """Return the next legs, each with the number of its change, and whether there may be more.

    Legs of one change stay together, so a page may hold a little less than ``limit``.
    """
    rows = await _rows(store, merchant_id, after_seq, limit + 1)
    if len(rows) <= limit:
        return rows, False
    last = rows[-1][0]
    whole = [row for row in rows if row[0] < last]
    if not whole:
        # One change with more legs than a page: it can only be read as a whole.
        where = (Where("merchant_id", "=", merchant_id), Where("change_seq", "=", last))
        return await _fetch(store, where, None), True
    return whole, True


async def _rows(
    store: Store, merchant_id: str, after_seq: int, limit: int
) -> list[tuple[int, LegRow]]:
    where = (Where("merchant_id", "=", merchant_id), Where("change_seq", ">", after_seq))
    return await _fetch(store, where, limit)


async def _fetch(
    store: Store, where: tuple[Where, ...], limit: int | None
) -> list[tuple[int, LegRow]]:
    query = Query(
        table=LEG_TABLE.name,
        columns=("change_seq", *LEG_COLUMNS),
        where=where,
        order_by=("change_seq", "leg_id"),
        limit=limit,
    )
    return [(row[0], LegRow(*row[1:])) for row in await store.fetch(query)]


def with_legs(
    batch: Batch, rows: Iterable[tuple[int, LegRow]], cut_off: datetime
) -> tuple[Batch, bool]:
    """Return the settlement with the legs before the cut-off, and whether the cut-off was met."""
    taken: list[LegRow] = []
    to_seq, met = batch.to_seq, False
    for seq, leg in rows:
        if leg.at >= cut_off and seq > to_seq:
            met = True
            break
        taken.append(leg)
        to_seq = seq
    after = msgspec.structs.replace(
        batch,
        to_seq=to_seq,
        sums=_sums(batch.sums, taken),
        clearing=_clearing(batch, taken),
    )
    return after, met


def _sums(sums: Sums, legs: list[LegRow]) -> Sums:
    own = [leg for leg in legs if leg.kind in ("payment", "refund")]
    return Sums(
        legs=sums.legs + len(legs),
        gross_minor=sums.gross_minor + sum(leg.gross_minor for leg in own if leg.kind == "payment"),
        refunded_minor=sums.refunded_minor
        - sum(leg.gross_minor for leg in own if leg.kind == "refund"),
        fee_minor=sums.fee_minor + sum(leg.fee_minor for leg in own),
        shared_minor=sums.shared_minor + sum(leg.shared_minor for leg in own),
        received_minor=sums.received_minor
        + sum(leg.net_minor for leg in legs if leg.kind not in ("payment", "refund")),
    )


def _clearing(batch: Batch, legs: list[LegRow]) -> tuple[ClearingTotal, ...]:
    """Return the totals with those of more legs; what was received is cleared with its payment."""
    totals: dict[tuple[str, str, ClearingRole], list[int]] = {
        (one.app, one.account_id, one.role): [one.legs, one.amount_minor] for one in batch.clearing
    }

    def add(app: str, account_id: str, role: ClearingRole, amount_minor: int) -> None:
        total = totals.setdefault((app, account_id, role), [0, 0])
        total[0] += 1
        total[1] += amount_minor

    for leg in legs:
        if leg.kind not in ("payment", "refund"):
            continue
        add(leg.app, batch.merchant_id, "merchant", leg.net_minor)
        if leg.fee_minor:
            add(leg.app, FEE_ACCOUNT, "bank", leg.fee_minor)
        for account_id, amount_minor in _shares.decode(leg.shares):
            add(leg.app, account_id, "participant", amount_minor)
    return tuple(
        ClearingTotal(app, account_id, role, count, amount)
        for (app, account_id, role), (count, amount) in totals.items()
    )
