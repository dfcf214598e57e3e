"""The histogram of durations, against the sorted durations themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.histogram import Histogram


@given(st.lists(st.integers(1, 10**9), min_size=1), st.sampled_from([1, 50, 99, 100]))
def test_percentiles_are_off_by_half_a_percent_at_most(values: list[int], percent: int) -> None:
    """A percentile is the duration at its place in order, within the stated error."""
    histogram = Histogram(1e-9, 34)
    for value in values:
        histogram.record(value / 1e9)
    rank = max(-(-len(values) * percent // 100), 1)
    exact = sorted(values)[rank - 1]
    assert histogram.count == len(values)
    # One unit more, for what the division into seconds costs.
    assert histogram.percentile_s(percent) * 1e9 == pytest.approx(exact, rel=0.005, abs=1.5)
    assert histogram.max_s * 1e9 == pytest.approx(max(values), abs=1.5)


def test_what_is_beyond_the_range_lands_in_the_last_bucket() -> None:
    """A duration longer than any bucket is counted, and its maximum is told to the unit."""
    histogram = Histogram(1e-6, 8)
    histogram.record(5.0)
    histogram.record(-1.0)
    assert histogram.count == 2
    assert histogram.max_s == pytest.approx(5.0)
    assert histogram.percentile_s(1) == 0.0
    assert 0 < histogram.percentile_s(100) <= 5.0


def test_nothing_recorded_is_zero() -> None:
    """An empty histogram answers zero and does not fail."""
    histogram = Histogram()
    assert (histogram.count, histogram.max_s, histogram.percentile_s(99)) == (0, 0.0, 0.0)
