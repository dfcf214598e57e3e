"""Thresholds: read as they are written, judged by what was measured, never met by guesswork."""

import pytest

from loadtest.harness.model import Counts, NameSample
from loadtest.harness.problems import PlanUnusable
from loadtest.harness.result import NameStatistics, WindowStatistics
from loadtest.harness.statistics import name_statistics
from loadtest.harness.thresholds import parse_threshold
from loadtest.histogram import Histogram


def _statistics(name: str, count: int, *, ms: float, failed: int = 0) -> NameStatistics:
    times = Histogram()
    for _ in range(count):
        times.record(ms / 1000)
    counts = Counts(
        scheduled=count + failed + 5,
        sent=count + failed,
        dropped=5,
        ok=count,
        failed=failed,
    )
    return name_statistics(
        NameSample(
            name=name,
            phase="main",
            measured=True,
            counts=counts,
            response=times.snapshot(),
            service=times.snapshot(),
            lag=Histogram().snapshot(),
        ),
        10.0,
    )


_TOTAL = _statistics("", 2_000, ms=20, failed=2)
_PAY = _statistics("payment.create", 200, ms=40)
_WORST = WindowStatistics(
    start_s=0, seconds=10, ranked_by="p99", total=_statistics("", 1_000, ms=90)
)


@pytest.mark.parametrize(
    ("expression", "ok"),
    [
        ("p99<30ms", True),
        ("p99 < 19.9ms", False),
        ("p99<0.03s", True),
        ("p99<=30", True),
        ("service_p50>=19ms", True),
        ("mean<21ms", True),
        ("error_rate<0.1%", True),
        ("error_rate<0.05%", False),
        ("error_rate<0.001", True),
        ("error_rate<0.0005", False),
        ("dropped_rate<1%", True),
        ("rate>=200", True),
        ("rate>=201/s", False),
        ("count>=2_000", True),
        ("payment.create:p90<=50ms", True),
        ("payment.create:p90<=30ms", False),
        ("worst_p99<80ms", False),
        ("worst_p99<100ms", True),
    ],
)
def test_a_threshold_is_judged_by_what_was_measured(expression: str, ok: bool) -> None:
    """Each metric, operator and unit compares as it says."""
    verdict = parse_threshold(expression).judge(_TOTAL, [_PAY], _WORST)
    assert verdict.ok is ok
    assert verdict.value is not None


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("p99.99<1s", "insufficient samples"),
        ("payment.create:p99<1s", "insufficient samples"),
        ("no.such:p50<1s", "no request has this name"),
        ("lag_p50<1s", "insufficient samples"),
        ("lag_mean<1s", "no samples"),
    ],
)
def test_what_was_not_measured_is_not_met(expression: str, why: str) -> None:
    """Without enough samples a threshold fails, and says why."""
    verdict = parse_threshold(expression).judge(_TOTAL, [_PAY], _WORST)
    assert (verdict.ok, verdict.value) == (False, None)
    assert why in verdict.detail


def test_a_worst_window_that_is_not_there_meets_nothing() -> None:
    """A run shorter than a window has no worst one."""
    verdict = parse_threshold("worst_p99<100s").judge(_TOTAL, [], None)
    assert (verdict.ok, verdict.value) == (False, None)


@pytest.mark.parametrize(
    "expression",
    ["", "p98<3ms", "p99", "p99=3ms", "p99<3%", "rate>5ms", "error_rate<1s", "service_rate>1",
     "name:worst_p99<1s", "p99<-3ms", "count<3%"],
)  # fmt: skip
def test_what_cannot_be_read_is_said(expression: str) -> None:
    """A threshold that makes no sense is refused, with itself in the message."""
    with pytest.raises(PlanUnusable, match="threshold"):
        parse_threshold(expression)
