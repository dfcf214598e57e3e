"""Seconds of several processes become one sample each, whoever reports first or ends early."""

from loadtest.harness.invariants.multiset import MultisetSum
from loadtest.harness.model import Counts, NameSample, PhaseMark
from loadtest.harness.samples import SampleMerger
from loadtest.harness.wire import Interval

_MARKS = [
    PhaseMark(name="warm-up", start_s=0, measured=False),
    PhaseMark(name="main", start_s=2, measured=True),
]


def _interval(index: int, ok: int, *, cpu_s: float = 0.1, seconds: float = 1.0) -> Interval:
    counts = Counts(scheduled=ok, sent=ok, ok=ok)
    return Interval(
        index=index,
        seconds=seconds,
        names=(NameSample(name="a", phase="main", measured=True, counts=counts),),
        users=3,
        target_rate=50.0,
        in_flight=2,
        cpu_s=cpu_s,
        memory_bytes=10,
        late=1,
        acknowledged=MultisetSum.of(ok, ok, ok, 0),
    )


def test_a_second_waits_for_all_processes() -> None:
    """A sample comes when the last process has reported, and adds up; CPU is the busiest one's."""
    merger = SampleMerger(2)
    merger.add(1, _interval(0, 4, cpu_s=0.5))
    merger.add(1, _interval(1, 5))
    assert merger.take(_MARKS) == []
    merger.add(0, _interval(0, 3))
    (sample,) = merger.take(_MARKS)
    assert (sample.index, sample.phase, sample.measured) == (0, "warm-up", False)
    assert (sample.counts().ok, sample.users, sample.in_flight) == (7, 6, 4)
    assert (sample.target_rate, sample.generator.late) == (50.0, 2)
    assert sample.generator.cpu_share == 0.5
    assert sample.acknowledged.count == 7
    merger.add(0, _interval(1, 1))
    merger.add(0, _interval(2, 1))
    merger.add(1, _interval(2, 1))
    later = merger.take(_MARKS)
    assert [(one.index, one.phase) for one in later] == [(1, "warm-up"), (2, "main")]


def test_a_process_that_ended_is_not_waited_for() -> None:
    """After its last word, the seconds of the others are complete without it."""
    merger = SampleMerger(2)
    merger.add(0, _interval(0, 1))
    merger.add(1, _interval(0, 1))
    merger.add(1, _interval(1, 1))
    merger.end(0)
    assert [one.counts().ok for one in merger.take(_MARKS)] == [2, 1]
