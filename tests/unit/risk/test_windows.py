"""Windows: sums over buckets against a count of everything."""

from hypothesis import given
from hypothesis import strategies as st

from actors.risk.windows import Window, bucket_of
from tests.unit.risk.facts import DAY_MS, MORNING_MS

_Moves = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 1_000)))


@given(st.integers(1, 12), _Moves, st.integers(0, 60))
def test_sums_are_those_of_a_count_of_everything(
    buckets: int, moves: list[tuple[int, int, int]], ends: int
) -> None:
    """In any order of arrival a window holds what lies in the newest buckets, and nothing else."""
    window = Window(buckets)
    newest = 0
    for bucket, count, amount in moves:
        window.add(bucket, count, amount)
        newest = max(newest, bucket)
    newest = max(newest, ends)
    within = [one for one in moves if newest - buckets < one[0] <= newest]
    assert window.sums(ends) == (sum(one[1] for one in within), sum(one[2] for one in within))


@given(st.integers(0, 10**10), st.integers(1, 10**7))
def test_buckets_follow_each_other(at_s: int, width_s: int) -> None:
    """A bucket later is the next number, and every second belongs to one bucket."""
    assert bucket_of(at_s + width_s, width_s) == bucket_of(at_s, width_s) + 1
    assert bucket_of(at_s + 1, width_s) - bucket_of(at_s, width_s) in (0, 1)


def test_a_bucket_of_a_day_is_a_day_in_shanghai() -> None:
    """Midnight in Shanghai, 16:00 in UTC, begins a new bucket."""
    midnight_s = MORNING_MS // 1000 - 10 * 3600
    day = bucket_of(midnight_s, DAY_MS // 1000)
    assert bucket_of(midnight_s - 1, DAY_MS // 1000) == day - 1
    assert bucket_of(midnight_s + 86_399, DAY_MS // 1000) == day


def test_what_comes_too_late_is_not_counted() -> None:
    """A bucket that the window has left behind is not taken up again."""
    window = Window(2)
    window.add(10, 1, 100)
    window.add(8, 1, 100)
    assert window.sums(10) == (1, 100)
    window.add(9, 1, 50)
    assert window.sums(10) == (2, 150)
    assert window.sums(12) == (0, 0)
