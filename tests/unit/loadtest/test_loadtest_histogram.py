"""The histogram: percentiles within the stated error, and sums of them."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import Histogram, HistogramSnapshot, merged


@given(st.lists(st.integers(1, 2**42), min_size=1, max_size=50), st.integers(1, 100))
def test_a_percentile_is_within_its_stated_error(latencies_ns: list[int], percent: int) -> None:
    """Every percentile is within 0.04 % of the exact one, over all times that there can be."""
    histogram = Histogram()
    for latency_ns in latencies_ns:
        histogram.record_ns(latency_ns)
    ordered = sorted(latencies_ns)
    exact_ns = ordered[-(-len(ordered) * percent // 100) - 1]
    assert abs(histogram.percentile_ms(percent) * 1e6 - exact_ns) <= exact_ns * 0.0004


@given(
    st.lists(st.integers(0, 2**40), max_size=60),
    st.lists(st.integers(0, 2**40), max_size=60),
)
def test_two_histograms_add_up_to_one(left_ns: list[int], right_ns: list[int]) -> None:
    """Merged snapshots hold what one histogram of all times holds, and what is new can be told."""
    left, right, both = Histogram(), Histogram(), Histogram()
    for ns in left_ns:
        left.record_ns(ns)
        both.record_ns(ns)
    for ns in right_ns:
        right.record_ns(ns)
        both.record_ns(ns)
    total = merged((left.snapshot(), right.snapshot()))
    assert total == both.snapshot()
    assert total.count == len(left_ns) + len(right_ns)
    assert total.since(left.snapshot()) == right.snapshot()
    assert msgspec.json.decode(msgspec.json.encode(total), type=HistogramSnapshot) == total


@given(st.lists(st.integers(1, 2**40), min_size=1, max_size=60))
def test_mean_and_extremes_are_within_the_stated_error(latencies_ns: list[int]) -> None:
    """Mean, shortest and longest are within 0.04 % of the exact ones."""
    histogram = Histogram()
    for ns in latencies_ns:
        histogram.record_ns(ns)
    snapshot = histogram.take()
    mean_ns = sum(latencies_ns) / len(latencies_ns)
    assert abs(snapshot.mean_ms() * 1e6 - mean_ns) <= mean_ns * 0.0004
    assert abs(snapshot.max_ms * 1e6 - max(latencies_ns)) <= max(latencies_ns) * 0.0004
    assert abs(snapshot.min_ms * 1e6 - min(latencies_ns)) <= min(latencies_ns) * 0.0004
    assert histogram.count == 0


def test_the_share_within_a_limit_is_counted() -> None:
    """Of four times two are within the limit; of none all are."""
    histogram = Histogram()
    assert histogram.snapshot().share_within(1.0) == 1.0
    for ms in (1, 2, 30, 40):
        histogram.record(ms / 1000)
    assert histogram.snapshot().share_within(10.0) == 0.5


def test_nothing_recorded_is_zero() -> None:
    """Without latencies the percentiles are zero."""
    assert Histogram().percentile_ms(99) == 0
