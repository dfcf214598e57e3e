"""Figures: told only where there are enough samples, and the same whatever is put together."""

from loadtest.harness.model import Counts, NameSample, PhaseMark, Sample
from loadtest.harness.statistics import Totals, latency
from loadtest.histogram import Histogram, HistogramSnapshot


def _times(*ms: float) -> HistogramSnapshot:
    histogram = Histogram()
    for one in ms:
        histogram.record(one / 1000)
    return histogram.snapshot()


def _second(
    index: int, *ms: float, phase: str = "main", measured: bool = True, name: str = "a"
) -> Sample:
    one = NameSample(
        name=name,
        phase=phase,
        measured=measured,
        counts=Counts(scheduled=len(ms), sent=len(ms), ok=len(ms), codes={}),
        response=_times(*ms),
        service=_times(*ms),
        lag=_times(*[0.01] * len(ms)),
    )
    return Sample(
        index=index, start_s=float(index), seconds=1.0, phase=phase, measured=measured, names=(one,)
    )


def test_a_percentile_is_told_when_ten_samples_lie_beyond_it() -> None:
    """With 999 samples there is no p99 and with 1,000 there is; what is missing says why."""
    few, enough = latency(_times(*[5.0] * 999)), latency(_times(*[5.0] * 1_000))
    assert few.percentile_ms(95) is not None
    assert few.percentile_ms(99) is None
    reason = next(one.reason for one in few.percentiles if one.percent == 99)
    assert reason == "insufficient samples: p99 wants 1,000, there are 999"
    assert enough.percentile_ms(99) is not None
    assert enough.percentile_ms(99.9) is None
    most = latency(_times(*[5.0] * 100_000))
    assert most.percentile_ms(99.99) is not None


def test_nothing_measured_has_no_figures() -> None:
    """Without samples there is neither a mean nor a percentile, and nothing reads as zero."""
    empty = latency(HistogramSnapshot())
    assert (empty.count, empty.mean_ms, empty.max_ms) == (0, None, None)
    assert all(one.ms is None and one.reason for one in empty.percentiles)


def test_the_warm_up_is_not_in_the_measured_total() -> None:
    """Samples of phases that are not measured count in the flow and in their phase alone."""
    totals = Totals()
    totals.mark(PhaseMark(name="warm-up", start_s=0, measured=False))
    totals.add(_second(0, 900, 900, phase="warm-up", measured=False))
    totals.mark(PhaseMark(name="main", start_s=1, measured=True))
    totals.add(_second(1, 1, 2, 3))
    totals.add(_second(2, 4, name="b"))
    total, *names = totals.measured()
    assert (total.counts.ok, total.response.count) == (4, 4)
    assert total.response.max_ms < 5
    assert [(one.name, one.counts.ok) for one in names] == [("a", 3), ("b", 1)]
    assert totals.counts.ok == 6
    assert totals.measured_s(3.0) == 2.0
    warmup, main = totals.phases(3.0)
    assert (warmup.name, warmup.total.counts.ok, warmup.end_s) == ("warm-up", 2, 1)
    assert (main.total.counts.ok, main.total.per_second) == (4, 2.0)


def test_the_worst_window_is_the_ten_seconds_around_a_stall() -> None:
    """Of thirty seconds the worst ten hold the slow second, ranked by their p99."""
    totals = Totals()
    totals.mark(PhaseMark(name="main", start_s=0, measured=True))
    for index in range(30):
        slow = index == 20
        totals.add(_second(index, *[400.0 if slow else 2.0] * 120))
    worst = totals.worst_window
    assert worst is not None
    assert worst.ranked_by == "p99"
    assert worst.start_s <= 20 < worst.start_s + worst.seconds
    assert worst.seconds == 10
    p99 = worst.total.response.percentile_ms(99)
    assert p99 is not None
    assert abs(p99 - 400) < 1


def test_a_run_shorter_than_a_window_has_no_worst_one() -> None:
    """Nine seconds are no window of ten."""
    totals = Totals()
    totals.mark(PhaseMark(name="main", start_s=0, measured=True))
    for index in range(9):
        totals.add(_second(index, 1.0))
    assert totals.worst_window is None


def test_a_long_run_keeps_a_bounded_timeline() -> None:
    """A day of seconds is put together to a bounded chart that loses no request and no peak."""
    totals = Totals()
    totals.mark(PhaseMark(name="main", start_s=0, measured=True))
    for index in range(8_000):
        totals.add(_second(index, 70.0 if index == 333 else 1.0))
    timeline = totals.timeline
    assert len(timeline) <= 7_200
    assert sum(one.counts.ok for one in timeline) == 8_000
    assert abs(max(one.response_max_ms for one in timeline) - 70) < 0.1
    assert sum(one.seconds for one in timeline) == 8_000
