"""The guard: it asks when too much goes wrong, once, from a window that forgets."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.clock import ManualClock
from kernel.plugins.guard import Guard, GuardPolicy

_POLICY = GuardPolicy(
    window_s=10.0, samples_min=20, fault_ppm_max=100_000, slow_ppm_max=200_000, consecutive_max=6
)


def _guard(policy: GuardPolicy = _POLICY) -> tuple[Guard, ManualClock, list[str]]:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    asked: list[str] = []
    return Guard(policy, clock, asked.append), clock, asked


def test_a_few_faults_are_chance() -> None:
    """Below the smallest sample, and up to the share, nothing is asked."""
    guard, _, asked = _guard()
    for number in range(100):
        guard.record(fault=number % 10 == 9, slow=False)
    assert asked == []
    for _ in range(18):
        guard.record(fault=False, slow=False)
    assert guard.statistics().turns == 118
    assert guard.statistics().faults == 10


def test_too_large_a_share_of_faults_is_asked_about_once() -> None:
    """The reason says how many of how many, and it is not said again."""
    guard, _, asked = _guard()
    for number in range(60):
        guard.record(fault=number % 2 == 1, slow=False)
    assert asked == ["10 of 20 turns within 10 s failed"]
    assert guard.statistics().tripped == asked[0]


def test_slow_turns_are_counted_apart() -> None:
    """A fifth of slow turns is borne, more is not."""
    guard, _, asked = _guard()
    for number in range(50):
        guard.record(fault=False, slow=number % 5 == 4)
    assert asked == []
    guard.record(fault=False, slow=True)
    assert asked == ["11 of 51 turns within 10 s took too long"]


def test_faults_in_a_row_need_no_sample() -> None:
    """Nothing works any more: six in a row are enough, five and one that works are not."""
    guard, _, asked = _guard()
    for _ in range(3):
        for _ in range(5):
            guard.record(fault=True, slow=False)
        guard.record(fault=False, slow=False)
    assert asked == []
    guard, _, asked = _guard()
    for _ in range(6):
        guard.record(fault=True, slow=True)
    assert asked == ["6 faults one after the other"]


def test_old_faults_are_forgotten() -> None:
    """What lies longer ago than the window does not count, however long nothing happened."""
    for pause_s in (10.0, 11.0, 1e6):
        guard, clock, asked = _guard()
        for number in range(19):
            guard.record(fault=number % 2 == 0, slow=False)
        clock.advance(pause_s)
        assert guard.statistics().turns == 0
        guard.record(fault=True, slow=False)
        assert asked == []
        assert guard.statistics().turns == 1


def test_a_reset_begins_anew() -> None:
    """One that is promoted again is judged by what it does then."""
    guard, _, asked = _guard()
    for _ in range(6):
        guard.record(fault=True, slow=False)
    guard.reset()
    assert guard.statistics().turns == 0
    assert guard.statistics().tripped == ""
    for _ in range(6):
        guard.record(fault=True, slow=False)
    assert len(asked) == 2


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_it_asks_exactly_when_a_plain_count_would(
    turns: list[tuple[float, bool, bool]],
) -> None:
    """Ten buckets give the same verdict as a list of all turns, in steps of a tenth window."""
    guard, clock, asked = _guard()
    seen: list[tuple[int, bool, bool]] = []
    row = 0
    expected = False
    for pause_s, fault, slow in turns:
        clock.advance(pause_s)
        now = int(clock.monotonic_s() / 1.0)
        seen.append((now, fault, slow))
        row = row + 1 if fault else 0
        window = [one for one in seen if one[0] > now - 10]
        faults, slows = sum(one[1] for one in window), sum(one[2] for one in window)
        enough = len(window) >= 20
        bad = enough and (faults * 10 > len(window) or slows * 5 > len(window))
        expected = expected or ((fault or slow) and (row >= 6 or bad))
        guard.record(fault=fault, slow=slow)
        assert (len(asked) == 1) == expected


@pytest.mark.parametrize("window_s", [0.1, 1.0, 3600.0])
def test_its_memory_does_not_grow(window_s: float) -> None:
    """A million turns take as much room as ten."""
    guard, clock, _ = _guard(GuardPolicy(window_s=window_s))
    for _ in range(1000):
        guard.record(fault=False, slow=False)
        clock.advance(window_s / 300)
    assert len(guard._buckets) == 10
    assert 250 <= guard.statistics().turns <= 310
