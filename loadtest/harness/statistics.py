"""From samples to figures: percentiles with their limits, sums by name and phase, the worst window.

All of it runs in the coordinating process and in bounded memory, whatever the run's length: the
histograms of seconds that are over are merged into those of their phase and kept no longer than the
ten seconds of a window.
"""

from collections import deque
from collections.abc import Iterable

from loadtest.harness.model import (
    Counts,
    NameSample,
    PhaseMark,
    Sample,
    add_counts,
    merge_name_samples,
)
from loadtest.harness.result import (
    PERCENTS,
    Latency,
    NameStatistics,
    Percentile,
    PhaseStatistics,
    TimelinePoint,
    WindowStatistics,
)
from loadtest.histogram import Histogram, HistogramSnapshot, merged

__all__ = (
    "ALL_NAMES",
    "BEYOND_MIN",
    "WINDOW_S",
    "Totals",
    "latency",
    "name_statistics",
    "timeline_point",
)

# The name under which the total over all names goes.
ALL_NAMES = ""

# A percentile is told when at least this many samples lie beyond it: with fewer, the next run would
# say something quite different. So p99 wants 1,000 samples and p99.99 wants 100,000.
BEYOND_MIN = 10

# Shorter windows show the noise of single requests, longer ones hide what a user remembers.
WINDOW_S = 10

# Two hours of seconds; beyond, neighbours are put together, so a week's run has a chart as well.
_TIMELINE_MAX = 7_200


def latency(snapshot: HistogramSnapshot) -> Latency:
    """Return the figures of one of the three times."""
    count = snapshot.count
    if not count:
        return Latency(percentiles=tuple(_too_few(percent, 0) for percent in PERCENTS))
    values = snapshot.percentiles_ms(PERCENTS)
    return Latency(
        count=count,
        mean_ms=snapshot.mean_ms(),
        min_ms=snapshot.min_ms,
        max_ms=snapshot.max_ms,
        percentiles=tuple(
            Percentile(percent=percent, ms=ms)
            if _enough(percent, count)
            else _too_few(percent, count)
            for percent, ms in zip(PERCENTS, values, strict=True)
        ),
    )


def _enough(percent: float, count: int) -> bool:
    # Rounded, because 100 - 99.9 is a little more than 0.1.
    return round(count * (100 - percent) / 100, 6) >= BEYOND_MIN


def _too_few(percent: float, count: int) -> Percentile:
    wanted = round(BEYOND_MIN * 100 / (100 - percent))
    reason = f"insufficient samples: p{percent:g} wants {wanted:,}, there are {count:,}"
    return Percentile(percent=percent, ms=None, reason=reason)


def name_statistics(sample: NameSample, seconds: float) -> NameStatistics:
    """Return the figures of a name over ``seconds``."""
    return NameStatistics(
        name=sample.name,
        counts=sample.counts,
        per_second=sample.counts.ok / seconds if seconds > 0 else 0.0,
        response=latency(sample.response),
        service=latency(sample.service),
        lag=latency(sample.lag),
    )


class _Sum:
    """A running sum of samples."""

    def __init__(self) -> None:
        self._counts: list[Counts] = []
        self._response = Histogram()
        self._service = Histogram()
        self._lag = Histogram()

    def add(self, sample: NameSample) -> None:
        self._counts = [add_counts((*self._counts, sample.counts))]
        self._response.add(sample.response)
        self._service.add(sample.service)
        self._lag.add(sample.lag)

    def read(self, name: str, phase: str, *, measured: bool) -> NameSample:
        return NameSample(
            name=name,
            phase=phase,
            measured=measured,
            counts=add_counts(self._counts),
            response=self._response.snapshot(),
            service=self._service.snapshot(),
            lag=self._lag.snapshot(),
        )


class Totals:
    """All of a run so far, from its marks and samples in order."""

    def __init__(self) -> None:
        self.marks: list[PhaseMark] = []
        # The same for all phases together, so that the books of the whole run can be balanced.
        self.counts = Counts()
        self._sums: dict[tuple[str, str], _Sum] = {}
        self._window: deque[Sample] = deque(maxlen=WINDOW_S)
        self._worst: WindowStatistics | None = None
        self._worst_rank = (-1, -1.0)
        self._timeline: list[TimelinePoint] = []

    def mark(self, mark: PhaseMark) -> None:
        """Note that a phase begins. A name that comes again goes on where it ended."""
        self.marks.append(mark)

    def add(self, sample: Sample) -> None:
        """Add about a second."""
        self.counts = add_counts((self.counts, sample.counts()))
        for one in sample.names:
            key = (one.phase, one.name)
            if key not in self._sums:
                self._sums[key] = _Sum()
            self._sums[key].add(one)
        self._timeline.append(timeline_point(sample))
        if len(self._timeline) > _TIMELINE_MAX:
            self._timeline = _halved(self._timeline)
        if sample.measured:
            self._window.append(sample)
            self._look_at_window()

    def _look_at_window(self) -> None:
        if len(self._window) < WINDOW_S:
            return
        parts = [name for one in self._window for name in one.names if name.measured]
        response = merged(part.response for part in parts)
        enough = _enough(99.0, response.count)
        rank = (int(enough), response.percentile_ms(99.0) if enough else response.max_ms)
        if rank <= self._worst_rank:
            return
        self._worst_rank = rank
        first = self._window[0]
        seconds = sum(one.seconds for one in self._window)
        total = merge_name_samples(parts, name=ALL_NAMES, phase=first.phase, measured=True)
        self._worst = WindowStatistics(
            start_s=first.start_s,
            seconds=seconds,
            ranked_by="p99" if enough else "max",
            total=name_statistics(total, seconds),
        )

    @property
    def worst_window(self) -> WindowStatistics | None:
        """Return the worst ten seconds of the measured part; None when it was shorter."""
        return self._worst

    @property
    def timeline(self) -> tuple[TimelinePoint, ...]:
        """Return what there is for charts."""
        return tuple(self._timeline)

    def measured(self) -> list[NameSample]:
        """Return the sums of the measured phases: the total first, then each name."""
        return self._read({mark.name for mark in self.marks if mark.measured}, "")

    def _read(self, phases: set[str], phase: str) -> list[NameSample]:
        measured = any(mark.measured for mark in self.marks if mark.name in phases)
        by_name: dict[str, list[NameSample]] = {}
        for (of_phase, name), one in self._sums.items():
            if of_phase in phases:
                by_name.setdefault(name, []).append(one.read(name, phase, measured=measured))
        names = [
            merge_name_samples(by_name[name], name=name, phase=phase, measured=measured)
            for name in sorted(by_name)
        ]
        return [
            merge_name_samples(names, name=ALL_NAMES, phase=phase, measured=measured),
            *names,
        ]

    def phases(self, end_s: float) -> tuple[PhaseStatistics, ...]:
        """Return the figures of each phase; the last one ended at ``end_s``."""
        found: dict[str, tuple[PhaseMark, float, float]] = {}
        for mark, end in self._spans(end_s):
            first, _, seconds = found.get(mark.name, (mark, 0.0, 0.0))
            found[mark.name] = (first, end, seconds + max(end - mark.start_s, 0.0))
        statistics = []
        for name, (mark, end, seconds) in found.items():
            total, *names = (name_statistics(one, seconds) for one in self._read({name}, name))
            statistics.append(
                PhaseStatistics(
                    name=name,
                    start_s=mark.start_s,
                    end_s=end,
                    measured=mark.measured,
                    total=total,
                    names=tuple(names),
                )
            )
        return tuple(statistics)

    def measured_s(self, end_s: float) -> float:
        """Return how long the measured phases were together."""
        return sum(
            max(end - mark.start_s, 0.0) for mark, end in self._spans(end_s) if mark.measured
        )

    def _spans(self, end_s: float) -> list[tuple[PhaseMark, float]]:
        ends = [mark.start_s for mark in self.marks[1:]] + [end_s]
        return list(zip(self.marks, ends, strict=False))


def timeline_point(sample: Sample) -> TimelinePoint:
    """Return a sample without its histograms."""
    total = merge_name_samples(
        sample.names, name=ALL_NAMES, phase=sample.phase, measured=sample.measured
    )
    p50, p95, p99 = total.response.percentiles_ms((50, 95, 99))
    service_p50, service_p95, service_p99 = total.service.percentiles_ms((50, 95, 99))
    lag_p50, lag_p99 = total.lag.percentiles_ms((50, 99))
    return TimelinePoint(
        start_s=sample.start_s,
        seconds=sample.seconds,
        phase=sample.phase,
        measured=sample.measured,
        users=sample.users,
        target_rate=sample.target_rate,
        in_flight=sample.in_flight,
        counts=total.counts,
        response_p50_ms=p50,
        response_p95_ms=p95,
        response_p99_ms=p99,
        response_max_ms=total.response.max_ms,
        service_p50_ms=service_p50,
        service_p95_ms=service_p95,
        service_p99_ms=service_p99,
        lag_p50_ms=lag_p50,
        lag_p99_ms=lag_p99,
        cpu_share=sample.generator.cpu_share,
    )


def _halved(points: Iterable[TimelinePoint]) -> list[TimelinePoint]:
    """Put neighbours together; times become the larger of the two, which hides no peak."""
    halved: list[TimelinePoint] = []
    pending: TimelinePoint | None = None
    for point in points:
        if pending is None:
            pending = point
        elif (pending.phase, pending.measured) != (point.phase, point.measured):
            halved.append(pending)
            pending = point
        else:
            halved.append(_joined(pending, point))
            pending = None
    return halved if pending is None else [*halved, pending]


def _joined(one: TimelinePoint, other: TimelinePoint) -> TimelinePoint:
    return TimelinePoint(
        start_s=one.start_s,
        seconds=one.seconds + other.seconds,
        phase=one.phase,
        measured=one.measured,
        users=other.users,
        target_rate=other.target_rate,
        in_flight=max(one.in_flight, other.in_flight),
        counts=add_counts((one.counts, other.counts)),
        **{field: max(getattr(one, field), getattr(other, field)) for field in _PEAKS},
    )


_PEAKS = (
    "response_p50_ms",
    "response_p95_ms",
    "response_p99_ms",
    "response_max_ms",
    "service_p50_ms",
    "service_p95_ms",
    "service_p99_ms",
    "lag_p50_ms",
    "lag_p99_ms",
    "cpu_share",
)
