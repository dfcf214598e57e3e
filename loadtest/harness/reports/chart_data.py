"""What the charts of the report and of the live page are drawn from: columns, few enough of them.

Rates are of one second, times are milliseconds. A second without samples has None, which is a gap
in the chart and not a zero.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec

from loadtest.harness.model import Counts, PhaseMark, add_counts
from loadtest.harness.result import (
    RunResult,
    TimelinePoint,
    WindowStatistics,
)
from loadtest.harness.statistics import ALL_NAMES, BEYOND_MIN
from loadtest.harness.thresholds import parse_threshold
from loadtest.histogram import HistogramSnapshot

__all__ = (
    "POINTS_MAX",
    "Band",
    "ChartData",
    "Columns",
    "Curve",
    "Limit",
    "bands_of",
    "chart_data",
    "columns_of",
    "limits_of",
    "thin",
    "timed",
)

# A chart is some 500 pixels wide, so more points would be drawn over each other; 600 of them take
# less than a third of the 300 KB that a report may have.
POINTS_MAX = 600

# More lines than that cannot be told apart in one chart; the rest is summed under this name.
_CODES_MAX = 6
_OTHER_CODES = "other codes"

# Ten points for each nine, up to p99.999.
_CURVE_STEPS = 50

# Percentiles of the response time that have a line.
_DRAWN = ("p50", "p95", "p99")

# A second that is shorter than this is the last moment of a run.
_SECONDS_MIN = 0.5

_Numbers = list[float | None]


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The points of a run, one list a quantity, all of one length."""

    start: list[float]
    seconds: list[float]
    target: _Numbers
    scheduled: list[float]
    ok: list[float]
    rejected: list[float]
    errors: list[float]
    dropped: list[float]
    users: list[int]
    in_flight: list[int]
    cpu_percent: list[float]
    response: dict[str, _Numbers]
    service: dict[str, _Numbers]
    lag: dict[str, _Numbers]
    codes: dict[str, list[float]]


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """A phase in the background of a chart."""

    name: str
    start: float
    end: float
    measured: bool


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold on a response time, as a line."""

    name: str
    value: float


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of the measured part, as far as there are samples enough to speak of them."""

    percents: list[float]
    response: list[float]
    service: list[float]
    lag: list[float]


class ChartData(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is drawn; ``merged`` says how many points of the run one point stands for."""

    columns: Columns
    bands: list[Band]
    curve: Curve | None = None
    limits: list[Limit] = []
    worst: tuple[float, float] | None = None
    open_loop: bool = True
    merged: int = 1


def chart_data(result: RunResult, points_max: int = POINTS_MAX) -> ChartData:
    """Return what the charts of a finished run are drawn from."""
    points, merged = thin(_whole_seconds(result.timeline), points_max)
    end_s = max((one.start_s + one.seconds for one in points), default=0.0)
    total = next((one for one in result.distributions if one.name == ALL_NAMES), None)
    return ChartData(
        columns=columns_of(points),
        bands=bands_of(result.marks, end_s),
        curve=None if total is None else _curve(total.response, total.service, total.lag),
        limits=limits_of(one.expression for one in result.thresholds),
        worst=_worst(result.worst_window),
        open_loop=any(one.target_rate is not None for one in points),
        merged=merged,
    )


def _whole_seconds(points: Sequence[TimelinePoint]) -> Sequence[TimelinePoint]:
    """Return the points with a last moment put to the second before it.

    A rate over some milliseconds of drain says nothing, and would be the highest of the chart.
    """
    if len(points) > 1 and points[-1].seconds < _SECONDS_MIN:
        return [*points[:-2], _joined(points[-2:])]
    return points


def limits_of(thresholds: Iterable[str]) -> list[Limit]:
    """Return the thresholds that a line of the chart of response times can be compared with."""
    parsed = map(parse_threshold, thresholds)
    return [
        Limit(name=one.expression, value=one.limit)
        for one in parsed
        if one.time == "response" and one.metric in _DRAWN and not one.name and not one.worst
    ]


def _worst(window: WindowStatistics | None) -> tuple[float, float] | None:
    return None if window is None else (window.start_s, window.start_s + window.seconds)


def thin(points: Sequence[TimelinePoint], limit: int) -> tuple[list[TimelinePoint], int]:
    """Return at most ``limit`` points, each for so many in a row as the second value says.

    Requests are added up. Percentiles cannot be: a point takes the highest of its parts, so a spike
    is never smoothed away.
    """
    each = max(1, math.ceil(len(points) / limit))
    groups = [points[at : at + each] for at in range(0, len(points), each)]
    return [_joined(group) if len(group) > 1 else group[0] for group in groups], each


def _joined(group: Sequence[TimelinePoint]) -> TimelinePoint:
    first, last = group[0], group[-1]
    seconds = sum(one.seconds for one in group)
    rates = [one.target_rate for one in group if one.target_rate is not None]
    highest = {
        name: max(getattr(one, name) for one in group)
        for name in TimelinePoint.__struct_fields__
        if name.endswith("_ms") or name in {"in_flight", "cpu_share"}
    }
    return msgspec.structs.replace(
        first,
        seconds=seconds,
        users=last.users,
        target_rate=sum(rates) / len(rates) if rates else None,
        counts=add_counts(one.counts for one in group),
        **highest,
    )


def columns_of(points: Sequence[TimelinePoint]) -> Columns:
    """Return points as columns; the rarer error codes are summed."""

    def rates(pick: str) -> list[float]:
        return [_short(getattr(one.counts, pick) / one.seconds) for one in points]

    def times(pick: str, samples: Callable[[Counts], int]) -> _Numbers:
        return [_short(getattr(one, pick)) if samples(one.counts) else None for one in points]

    return Columns(
        start=[round(one.start_s, 2) for one in points],
        seconds=[round(one.seconds, 2) for one in points],
        target=[_target(one) for one in points],
        scheduled=rates("scheduled"),
        ok=rates("ok"),
        rejected=rates("rejected"),
        errors=rates("errors"),
        dropped=rates("dropped"),
        users=[one.users for one in points],
        in_flight=[one.in_flight for one in points],
        cpu_percent=[_short(one.cpu_share * 100) for one in points],
        response={f"p{n}": times(f"response_p{n}_ms", timed) for n in (50, 95, 99)},
        service={f"p{n}": times(f"service_p{n}_ms", timed) for n in (50, 95, 99)},
        lag={f"p{n}": times(f"lag_p{n}_ms", lambda counts: counts.sent) for n in (50, 99)},
        codes=_codes(points),
    )


def _target(point: TimelinePoint) -> float | None:
    # A second in which the load ended was asked at a time when nothing was wanted any more.
    if point.target_rate is None or (point.target_rate == 0 and point.counts.scheduled):
        return None
    return _short(point.target_rate)


def _codes(points: Sequence[TimelinePoint]) -> dict[str, list[float]]:
    sums = add_counts(one.counts for one in points).codes
    # The most frequent first; equal ones by name, so that a report is the same each time.
    names = sorted(sums, key=lambda code: (-sums[code], code))
    shown = names if len(names) <= _CODES_MAX else names[: _CODES_MAX - 1]

    def rate(counts: Counts, codes: Iterable[str], seconds: float) -> float:
        return _short(sum(counts.codes.get(code, 0) for code in codes) / seconds)

    columns = {code: [rate(one.counts, (code,), one.seconds) for one in points] for code in shown}
    if rest := names[len(shown) :]:
        columns[_OTHER_CODES] = [rate(one.counts, rest, one.seconds) for one in points]
    return columns


def timed(counts: Counts) -> int:
    """Return how many requests have a response time; being turned away at once is no service."""
    return counts.ok + counts.rejected + counts.timed_out


def bands_of(marks: Sequence[PhaseMark], end_s: float) -> list[Band]:
    """Return the phases, each until the next begins; the last until ``end_s``."""
    ends = [mark.start_s for mark in marks[1:]] + [end_s]
    return [
        Band(name=mark.name, start=mark.start_s, end=end, measured=mark.measured)
        # Without a single mark there is one end too many.
        for mark, end in zip(marks, ends, strict=False)
        if end > mark.start_s
    ]


def _curve(
    response: HistogramSnapshot, service: HistogramSnapshot, lag: HistogramSnapshot
) -> Curve | None:
    percents = [100 * (1 - 10 ** (-step / 10)) for step in range(1, _CURVE_STEPS + 1)]
    enough = [p for p in percents if response.count * (1 - p / 100) >= BEYOND_MIN]
    if not enough:
        return None

    def times(histogram: HistogramSnapshot) -> list[float]:
        return [_short(value) for value in histogram.percentiles_ms(enough)]

    return Curve(
        percents=[round(percent, 5) for percent in enough],
        response=times(response),
        service=times(service),
        lag=times(lag),
    )


def _short(value: float) -> float:
    """Return a number of four digits, which is finer than a pixel."""
    return float(f"{value:.4g}")
