"""What charts are drawn from: few enough points that hide no spike and invent no zero."""

import msgspec

from loadtest.harness.model import Counts, PhaseMark
from loadtest.harness.reports.chart_data import (
    POINTS_MAX,
    bands_of,
    chart_data,
    columns_of,
    thin,
)
from loadtest.harness.reports.live_history import LiveHistory
from loadtest.harness.result import ThresholdVerdict, TimelinePoint
from tests.unit.harness_reports.sample_run import MARKS, sample_result, samples


def _point(start_s: float, **changed: object) -> TimelinePoint:
    point = sample_result(20, 40).timeline[-1]
    return msgspec.structs.replace(point, start_s=start_s, **changed)


def test_thinned_points_keep_all_requests_and_every_spike() -> None:
    """Requests are added up and a time is the highest of its parts."""
    points = [
        _point(float(second), counts=Counts(scheduled=2, sent=2, ok=2), response_p99_ms=1.0)
        for second in range(25)
    ]
    points[13] = msgspec.structs.replace(points[13], response_p99_ms=900.0, in_flight=77)
    thinned, each = thin(points, 10)
    assert each == 3
    assert len(thinned) == 9
    assert sum(one.counts.ok for one in thinned) == 50
    assert sum(one.seconds for one in thinned) == 25.0
    assert thinned[4].start_s == 12.0
    assert (thinned[4].response_p99_ms, thinned[4].in_flight) == (900.0, 77)
    assert max(one.response_p99_ms for one in thinned[:4] + thinned[5:]) == 1.0


def test_few_points_stay_as_they_are() -> None:
    """A run that fits is not thinned."""
    points = list(sample_result(20, 40).timeline)
    assert thin(points, POINTS_MAX) == (points, 1)


def test_a_second_without_answers_is_a_gap() -> None:
    """Times of a second in which none was taken are missing, and not zero."""
    counts = Counts(scheduled=5, sent=5, failed=5, codes={"unavailable": 5})
    columns = columns_of([_point(0.0), _point(1.0, counts=counts, seconds=1.0)])
    assert columns.response["p99"][0] is not None
    assert columns.response["p99"][1] is None
    assert columns.service["p50"][1] is None
    assert columns.lag["p50"][1] is not None
    assert columns.errors == [0.0, 5.0]


def test_rates_are_of_a_second() -> None:
    """A point that stands for several seconds has their average."""
    counts = Counts(scheduled=30, sent=30, ok=24, rejected=6, codes={"limit": 6})
    columns = columns_of([_point(0.0, counts=counts, seconds=3.0)])
    assert (columns.ok, columns.rejected, columns.codes["limit"]) == ([8.0], [2.0], [2.0])


def test_rare_codes_are_drawn_together() -> None:
    """The most frequent codes have a line each, and the rest one for all of them."""
    codes = {f"code_{number}": 10 - number for number in range(9)}
    counts = Counts(scheduled=60, sent=60, rejected=sum(codes.values()), codes=codes)
    columns = columns_of([_point(0.0, counts=counts, seconds=1.0)])
    assert list(columns.codes) == [*(f"code_{number}" for number in range(5)), "other codes"]
    assert columns.codes["other codes"] == [5.0 + 4.0 + 3.0 + 2.0]


def test_phases_become_bands_one_after_the_other() -> None:
    """A band ends where the next begins; one without length is left out."""
    marks = [*MARKS, PhaseMark(name="drain", start_s=80.0, measured=False)]
    bands = bands_of(marks, 80.0)
    assert [(one.name, one.start, one.end, one.measured) for one in bands] == [
        ("warm-up", 0.0, 10.0, False),
        ("steady", 10.0, 50.0, True),
        ("kill a node", 50.0, 62.0, True),
        ("recovered", 62.0, 80.0, True),
    ]
    assert bands_of((), 5.0) == []


def test_the_curve_ends_where_samples_do() -> None:
    """A percentile beyond which fewer than ten samples lie is not drawn."""
    result = sample_result(40, 100)
    curve = chart_data(result).curve
    assert curve is not None
    samples_there = result.distributions[0].response.count
    beyond = [samples_there * (1 - percent / 100) for percent in curve.percents]
    assert 10 <= min(beyond) < 10 * 10**0.1 + 0.1
    assert curve.response == sorted(curve.response)
    assert chart_data(sample_result(11, 4)).curve is None


def test_thresholds_of_the_drawn_percentiles_are_lines() -> None:
    """Only what can be compared with a line of the chart becomes one."""
    expressions = ("p99<30ms", "service_p99<9ms", "pay:p95<1s", "error_rate<1%", "p99.9<2s")
    verdicts = tuple(
        ThresholdVerdict(expression=one, ok=True, value=1.0, unit="ms") for one in expressions
    )
    limits = chart_data(sample_result(11, 4, thresholds=verdicts)).limits
    assert [(one.name, one.value) for one in limits] == [("p99<30ms", 30.0)]


def test_a_reader_of_the_history_gets_what_is_new() -> None:
    """Who knows so many points gets those after them, and all of them when he knows too many."""
    history = LiveHistory()
    history.mark(MARKS[0])
    for sample in samples(5, 20):
        history.add(sample)
    first, data = history.since(0, 3)
    assert (first, data.columns.start) == (3, [3.0, 4.0])
    assert history.since(0, 5)[1].columns.start == []
    assert history.since(0, 6)[0] == 0
    assert history.since(7, 3)[0] == 0


def test_the_history_of_a_long_run_is_bounded() -> None:
    """Neighbours are put together when there are too many, and readers begin anew."""
    history = LiveHistory()
    sample = samples(11, 4)[-1]
    total = 2 * POINTS_MAX + 7
    for second in range(total):
        history.add(msgspec.structs.replace(sample, index=second, start_s=float(second)))
    first, data = history.since(0, 2 * POINTS_MAX - 1)
    assert history.epoch == 1
    assert first == 0
    assert data.merged == 2
    assert len(data.columns.start) == POINTS_MAX + 3
    assert data.columns.seconds[:2] == [2.0, 2.0]
    assert data.columns.start[-1] == total - 3
    assert history.last is not None
    assert history.last.start_s == total - 1
