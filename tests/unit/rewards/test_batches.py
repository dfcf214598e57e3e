"""Points in batches: spent first to end, given back in proportion, conserved throughout."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.rewards.batches import Batch, Part, give_back, spend, worth

_NOW = 1_000

_BATCHES = st.lists(
    st.builds(
        Batch,
        batch_id=st.uuids().map(str),
        points=st.integers(1, 10_000),
        points_per_fen=st.integers(1, 5),
        sponsor=st.just("acct_s"),
        ends_at_ms=st.none() | st.integers(_NOW - 2, _NOW + 20),
    ),
    max_size=8,
    unique_by=lambda one: one.batch_id,
)


def _batch(batch_id: str, points: int, ends_at_ms: int | None, per_fen: int = 1) -> Batch:
    return Batch(
        batch_id=batch_id, points=points, points_per_fen=per_fen, sponsor="s", ends_at_ms=ends_at_ms
    )


def _part(amount_minor: int) -> Part:
    return Part(batch_id="b", amount_minor=amount_minor, points_per_fen=1, sponsor="s")


def test_what_ends_first_is_spent_first() -> None:
    """Of batches with and without an end, the one that ends first pays first."""
    batches = (_batch("a", 50, None), _batch("b", 50, _NOW + 9), _batch("c", 50, _NOW + 5))
    left, parts = spend(batches, 120, _NOW)
    assert [(part.batch_id, part.amount_minor) for part in parts] == [
        ("c", 50), ("b", 50), ("a", 20),
    ]  # fmt: skip
    assert [(one.batch_id, one.points) for one in left] == [("a", 30)]


@given(batches=_BATCHES, wanted=st.integers(0, 60_000))
def test_spending_conserves_points(batches: list[Batch], wanted: int) -> None:
    """Points taken and points left are all there were; as much is paid as there is."""
    left, parts = spend(batches, wanted, _NOW)
    paid = sum(part.amount_minor for part in parts)
    assert paid == min(wanted, worth(batches, _NOW))
    assert sum(part.points for part in parts) + sum(one.points for one in left) == sum(
        one.points for one in batches
    )
    assert worth(left, _NOW) == worth(batches, _NOW) - paid
    ended = {one.batch_id for one in batches if (one.ends_at_ms or _NOW + 1) <= _NOW}
    assert not ended & {part.batch_id for part in parts}


@given(
    amounts=st.lists(st.integers(1, 1_000), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 400), max_size=12),
)
def test_refunds_in_parts_come_to_the_whole(amounts: list[int], cuts: list[int]) -> None:
    """However a refund is cut, each share is within what was taken and all comes back at last."""
    parts = [_part(amount) for amount in amounts]
    left = sum(amounts)
    for cut in [*cuts, left]:
        refund = min(cut, left)
        shares = give_back(parts, refund)
        assert sum(shares) == refund
        left -= refund
        parts = [
            msgspec.structs.replace(part, returned_minor=part.returned_minor + share)
            for part, share in zip(parts, shares, strict=True)
        ]
        assert all(0 <= part.returned_minor <= part.amount_minor for part in parts)
    if left:
        parts = [
            msgspec.structs.replace(part, returned_minor=part.returned_minor + share)
            for part, share in zip(parts, give_back(parts, left), strict=True)
        ]
    assert [part.returned_minor for part in parts] == amounts


def test_shares_follow_the_proportion() -> None:
    """A third of 30, 20 and 10 is 10, 7 and 3: the fen left over goes to the largest remainder."""
    assert give_back([_part(30), _part(20), _part(10)], 20) == (10, 7, 3)


def test_more_than_was_taken_cannot_come_back() -> None:
    """A refund beyond what is still owed is a fault."""
    with pytest.raises(ValueError, match="30 were taken"):
        give_back([_part(10), _part(20)], 31)
