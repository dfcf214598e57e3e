"""The histogram: percentiles within the stated error, in a fixed amount of memory."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import Histogram


@given(st.lists(st.integers(1, 2**31), min_size=1, max_size=50), st.integers(1, 100))
def test_a_percentile_is_within_half_a_percent(latencies_us: list[int], percent: int) -> None:
    """Every percentile is within 0.5 % (or a microsecond) of the exact one."""
    histogram = Histogram()
    for latency_us in latencies_us:
        histogram.record(latency_us / 1e6)
    ordered = sorted(latencies_us)
    exact_us = ordered[-(-len(ordered) * percent // 100) - 1]
    assert abs(histogram.percentile_ms(percent) * 1000 - exact_us) <= max(1.5, exact_us * 0.005)


def test_the_largest_is_exact() -> None:
    """The maximum is not rounded to a bucket."""
    histogram = Histogram()
    histogram.record(0.123457)
    assert abs(histogram.max_ms - 123.457) < 0.0015


def test_an_endless_latency_is_counted() -> None:
    """A latency beyond the last bucket counts as one in the last bucket."""
    histogram = Histogram()
    histogram.record(1e9)
    assert histogram.count == 1
    assert histogram.percentile_ms(50) > 3_000_000


def test_nothing_recorded_is_zero() -> None:
    """Without latencies the percentiles are zero."""
    assert Histogram().percentile_ms(99) == 0
