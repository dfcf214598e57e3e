"""How a settlement reads its legs: in the order of commit, whole changes at a time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.settlement.collecting import first_leg, legs_after, with_legs
from actors.settlement.legs import FEE_ACCOUNT, LEG_COLUMNS, LegRow
from actors.settlement.records import Batch
from kernel.store import Query

pytestmark = pytest.mark.anyio

_START = datetime(2026, 3, 4, tzinfo=UTC)
_AN_HOUR = timedelta(hours=1)


def _leg(number: int, at: datetime = _START, **changes: Any) -> LegRow:
    fields: dict[str, Any] = {
        "merchant_id": "stall", "leg_id": f"leg-{number:03d}", "kind": "payment", "app": "shop",
        "payment_id": f"pay-{number}", "method": "quick", "at": at, "gross_minor": 100,
        "fee_minor": 1, "shared_minor": 9, "net_minor": 90, "shares": '[["market",9]]',
    }  # fmt: skip
    return LegRow(**{**fields, **changes})


class _Rows:
    """A store that holds the legs of one merchant, as ``(number of the change, leg)``."""

    def __init__(self, legs: list[tuple[int, LegRow]]) -> None:
        self._legs = legs

    async def fetch(self, query: Query) -> list[tuple[Any, ...]]:
        assert query.columns == ("change_seq", *LEG_COLUMNS)
        found = self._legs
        for one in query.where[1:]:
            wanted = one.value
            found = [
                leg for leg in found if (leg[0] > wanted if one.op == ">" else leg[0] == wanted)
            ]
        rows = [
            (seq, *(getattr(leg, name) for name in LEG_COLUMNS))
            for seq, leg in sorted(found, key=lambda row: (row[0], row[1].leg_id))
        ]
        return rows[: query.limit]


@given(
    sizes=st.lists(st.integers(1, 4), max_size=12), limit=st.integers(1, 5),
)  # fmt: skip
async def test_pages_hold_whole_changes(sizes: list[int], limit: int) -> None:
    """However small the pages, they hold each leg once, and legs of one change stay together."""
    legs = [
        (10 * (number + 1), _leg(10 * number + part))
        for number, size in enumerate(sizes)
        for part in range(size)
    ]
    store: Any = _Rows(legs)
    read: list[tuple[int, LegRow]] = []
    more = True
    while more:
        page, more = await legs_after(store, "stall", read[-1][0] if read else 0, limit)
        assert not {seq for seq, _ in page} & {seq for seq, _ in read}
        assert page or not more
        read += page
    assert read == legs
    first = await first_leg(store, "stall", 0)
    assert first == (legs[0][1] if legs else None)


def _batch() -> Batch:
    return Batch(
        merchant_id="stall", number=1, day="2026-03-04", cycle="T+0", state="open",
        cut_off_at=_START + _AN_HOUR, opened_at=_START, after_seq=5, to_seq=5,
        carried_in_minor=0,
    )  # fmt: skip


def test_the_cut_off_is_the_first_leg_that_is_late() -> None:
    """What is committed after the first late leg waits, also when it was stamped before it."""
    late = _START + _AN_HOUR
    rows = [(6, _leg(1)), (8, _leg(2, late - timedelta(microseconds=1))), (9, _leg(3, late)),
            (10, _leg(4))]  # fmt: skip
    batch, met = with_legs(_batch(), rows, late)
    assert (batch.to_seq, batch.sums.legs, met) == (8, 2, True)
    batch, met = with_legs(_batch(), rows[:2], late)
    assert (batch.to_seq, batch.sums.legs, met) == (8, 2, False)
    batch, met = with_legs(_batch(), [], late)
    assert (batch.to_seq, batch.sums.legs, met) == (5, 0, False)


def test_sums_and_totals_grow_page_by_page() -> None:
    """Payments, refunds and shares are summed each where they belong, over all pages."""
    refund = _leg(
        2, kind="refund", gross_minor=-50, fee_minor=0, shared_minor=-4, net_minor=-46,
        shares='[["market",-4]]',
    )  # fmt: skip
    share = _leg(
        3, kind="share", gross_minor=7, fee_minor=0, shared_minor=0, net_minor=7, shares="[]"
    )
    back = _leg(
        4, kind="share_back", gross_minor=-2, fee_minor=0, shared_minor=0, net_minor=-2, shares="[]"
    )
    other = _leg(5, app="gym")
    batch = _batch()
    for seq, leg in enumerate((_leg(1), refund, share, back, other), 6):
        batch, _ = with_legs(batch, [(seq, leg)], batch.cut_off_at)
    sums = batch.sums
    assert (sums.legs, sums.gross_minor, sums.refunded_minor) == (5, 200, 50)
    assert (sums.fee_minor, sums.shared_minor, sums.received_minor) == (2, 14, 5)
    assert sums.net_minor == 90 - 46 + 7 - 2 + 90 == batch.due_minor
    totals = {(one.app, one.account_id, one.role): (one.legs, one.amount_minor)
              for one in batch.clearing}  # fmt: skip
    assert totals == {
        ("shop", "stall", "merchant"): (2, 44),
        ("shop", FEE_ACCOUNT, "bank"): (1, 1),
        ("shop", "market", "participant"): (2, 5),
        ("gym", "stall", "merchant"): (1, 90),
        ("gym", FEE_ACCOUNT, "bank"): (1, 1),
        ("gym", "market", "participant"): (1, 9),
    }
