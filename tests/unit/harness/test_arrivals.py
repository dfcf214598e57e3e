"""Schedules: as many arrivals as the rate says, shared without loss, changed without a gap."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.arrivals import ArrivalPlan, Schedule, parse_arrivals, parse_duration
from loadtest.harness.problems import PlanUnusable

_SPECS = st.one_of(
    st.integers(1, 300).map(str),
    st.builds("ramp:{}-{}:{}s".format, st.integers(0, 200), st.integers(1, 200), st.integers(1, 4)),
    st.builds("step:{}-{}:50:1s".format, st.integers(1, 200), st.integers(1, 200)),
    st.builds("spike:{}-{}:1s:500ms".format, st.integers(1, 100), st.integers(1, 300)),
)


def _expected(plan: ArrivalPlan, end_s: float) -> float:
    """Return the integral of the rate, by many small steps."""
    steps = 2_000
    schedule = Schedule(plan, end_s=end_s)
    width = end_s / steps
    return sum(schedule.rate_at((n + 0.5) * width) for n in range(steps)) * width


@given(_SPECS, st.integers(1, 5))
def test_even_arrivals_are_as_many_as_the_rate_says(spec: str, end_s: int) -> None:
    """Within one, an even schedule has the integral of its rate, in order and before its end."""
    plan = parse_arrivals(spec)
    moments = list(Schedule(plan, end_s=end_s))
    assert abs(len(moments) - _expected(plan, end_s)) <= 1.5
    assert all(a <= b for a, b in pairwise(moments))
    assert not moments or (moments[0] >= 0 and moments[-1] < end_s)


@given(_SPECS, st.booleans(), st.integers(1, 5), st.integers(0, 100))
def test_processes_share_a_schedule_exactly(spec: str, poisson: bool, of: int, seed: int) -> None:
    """The moments of all processes together are those of one process, each once."""
    plan = parse_arrivals(spec)
    alone = list(Schedule(plan, end_s=2, poisson=poisson, seed=seed))
    shared = [
        moment
        for share in range(of)
        for moment in Schedule(plan, end_s=2, poisson=poisson, seed=seed, share=share, of=of)
    ]
    assert sorted(shared) == alone


def test_a_poisson_process_has_exponential_gaps_and_the_mean_rate() -> None:
    """10,000 arrivals come at the rate asked for, and the gaps vary as exponential ones do."""
    moments = list(Schedule(parse_arrivals("1000"), end_s=10, poisson=True, seed=7))
    gaps = [b - a for a, b in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert abs(len(moments) - 10_000) < 400
    assert abs(deviation / mean - 1) < 0.05
    assert moments == list(Schedule(parse_arrivals("1000"), end_s=10, poisson=True, seed=7))
    assert moments != list(Schedule(parse_arrivals("1000"), end_s=10, poisson=True, seed=8))


def test_the_warm_up_has_the_first_rate() -> None:
    """A ramp begins after the warm-up, which is at the ramp's first rate."""
    moments = list(Schedule(parse_arrivals("ramp:10-100:2s"), warmup_s=1.0, end_s=3.0))
    assert sum(moment < 1.0 for moment in moments) == 10
    assert len(moments) == 10 + 110


@given(
    st.integers(1, 200), st.floats(0.1, 1.9), st.integers(0, 400), st.integers(1, 3), st.booleans()
)
def test_a_changed_rate_holds_from_its_moment_on(
    rate: int, at_s: float, new_rate: int, of: int, poisson: bool
) -> None:
    """After a change no moment is lost or doubled, also one that was handed out too early."""
    plan = parse_arrivals(str(rate))
    together = []
    for share in range(of):
        schedule = Schedule(plan, end_s=3, poisson=poisson, seed=3, share=share, of=of)
        upcoming = next(schedule, None)
        while upcoming is not None and upcoming < at_s:
            together.append(upcoming)
            upcoming = next(schedule, None)
        schedule.change(at_s, new_rate, unused=upcoming)
        together += list(schedule)
    before = [m for m in Schedule(plan, end_s=3, poisson=poisson, seed=3) if m < at_s]
    together.sort()
    assert together[: len(before)] == before
    after = together[len(before) :]
    assert all(moment >= at_s for moment in after)
    wanted = new_rate * (3 - at_s)
    assert abs(len(after) - wanted) <= (6 * math.sqrt(wanted) + 3 if poisson else 1.5)


def test_a_rate_of_zero_pauses_and_the_next_one_goes_on() -> None:
    """A schedule that ran out of moments has some again when the rate is raised."""
    schedule = Schedule(parse_arrivals("10"), end_s=10)
    assert [next(schedule) for _ in range(10)][-1] == pytest.approx(0.9)
    schedule.change(0.95, 0.0)
    assert next(schedule, None) is None
    schedule.change(5.0, 2.0)
    assert list(schedule)[:3] == pytest.approx([5.25, 5.75, 6.25])


def test_moments_come_from_a_file(tmp_path: Path) -> None:
    """A file of moments is followed to its end, after the warm-up."""
    path = tmp_path / "moments.txt"
    path.write_text("0\n0.25\n0.25\n1.5\n", "utf-8")
    plan = parse_arrivals(f"moments:{path}")
    assert plan.seconds == 1.5
    assert list(Schedule(plan, warmup_s=1.0)) == [1.0, 1.25, 1.25, 2.5]
    path.write_text("1\n0.5\n", "utf-8")
    with pytest.raises(PlanUnusable, match="rising"):
        parse_arrivals(f"moments:{path}")


@pytest.mark.parametrize(
    "text", ["", "fast", "-5", "0", "ramp:1-2", "step:1-5:0:1s", "spike:1-2:3", "9e9", "2000000"]
)
def test_what_cannot_be_read_is_said(text: str) -> None:
    """A specification that makes no sense is refused, with itself in the message."""
    with pytest.raises(PlanUnusable, match="arrivals"):
        parse_arrivals(text)


def test_durations_have_units() -> None:
    """Seconds are meant without a unit; what is no duration is refused."""
    assert [parse_duration(one) for one in ("30", "500ms", "2m", "1.5h")] == [30, 0.5, 120, 5400]
    with pytest.raises(PlanUnusable):
        parse_duration("soon")
