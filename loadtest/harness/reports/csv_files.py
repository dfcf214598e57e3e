"""A run as CSV: one file with a line a name, one with a line a second.

Columns are only ever added, at the end. Times are milliseconds; an empty field is a percentile for
which there were too few samples, never a zero.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from loadtest.harness.reports.chart_data import timed
from loadtest.harness.result import PERCENTS, Latency, NameStatistics, RunResult, TimelinePoint

__all__ = ("NAMES_FILE", "SECONDS_FILE", "TOTAL_NAME", "write_csv")

NAMES_FILE = "names.csv"
SECONDS_FILE = "seconds.csv"

# The line of all names together, which stands last.
TOTAL_NAME = "Aggregated"

_COUNTS = ("scheduled", "sent", "dropped", "ok", "rejected", "failed", "timed_out", "unknown")
_TIMES = ("response", "service", "lag")
_EXTREMES = ("mean_ms", "min_ms", "max_ms")


def write_csv(result: RunResult, directory: Path) -> list[Path]:
    """Write both files into a folder, made when it is not there; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    names = [*result.names, result.total]
    return [
        _write(
            directory / NAMES_FILE,
            _name_columns(),
            (_name_line(one, TOTAL_NAME if one is result.total else one.name) for one in names),
        ),
        _write(
            directory / SECONDS_FILE,
            _second_columns(),
            map(_second_line, result.timeline),
        ),
    ]


def _write(path: Path, columns: list[str], lines: Iterable[list[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(lines)
    return path


def _name_columns() -> list[str]:
    times = [
        f"{time}_{what}"
        for time in _TIMES
        for what in (*_EXTREMES, *(f"p{percent:g}_ms" for percent in PERCENTS))
    ]
    return ["name", *_COUNTS, "ok_per_second", *times]


def _name_line(one: NameStatistics, name: str) -> list[object]:
    counts = [getattr(one.counts, field) for field in _COUNTS]
    times = [value for time in _TIMES for value in _time_fields(getattr(one, time))]
    return [_cell(name), *counts, f"{one.per_second:.3f}", *times]


def _cell(name: str) -> str:
    """Return a name so that a spreadsheet takes it for text and for no formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _time_fields(latency: Latency) -> list[str]:
    values = [getattr(latency, field) for field in _EXTREMES]
    values += [latency.percentile_ms(percent) for percent in PERCENTS]
    return ["" if value is None else f"{value:.4f}" for value in values]


_POINT_TIMES = tuple(name for name in TimelinePoint.__struct_fields__ if name.endswith("_ms"))


def _second_columns() -> list[str]:
    plain = ("start_s", "seconds", "phase", "measured", "users", "target_rate", "in_flight")
    return [*plain, *_COUNTS, *_POINT_TIMES, "cpu_share"]


def _second_line(one: TimelinePoint) -> list[object]:
    counts = one.counts
    seen = {"response": timed(counts), "service": timed(counts), "lag": counts.sent}
    times = [
        f"{getattr(one, name):.4f}" if seen[name.partition("_")[0]] else "" for name in _POINT_TIMES
    ]
    return [
        f"{one.start_s:.3f}",
        f"{one.seconds:.3f}",
        _cell(one.phase),
        int(one.measured),
        one.users,
        "" if one.target_rate is None else f"{one.target_rate:.3f}",
        one.in_flight,
        *(getattr(counts, field) for field in _COUNTS),
        *times,
        f"{one.cpu_share:.4f}",
    ]
