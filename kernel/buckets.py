"""Counts of values by fixed upper bounds, as a monitoring system wants them: cheap to add to."""

from bisect import bisect_left

import msgspec

__all__ = ("BATCH_BOUNDS", "LATENCY_BOUNDS_S", "SLO_S", "BucketStatistics", "Buckets")

# What the service promises for 99 of 100 requests at 60 % of its maximum. It is a bound of every
# histogram of latencies, so the share of those within it is counted and not interpolated.
SLO_S = 0.03
# About two or three for each decade, from a lone request to the latest deadline honoured.
LATENCY_BOUNDS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, SLO_S, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
# Up to the largest batch of the journal.
BATCH_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class BucketStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How many values were at most each bound and above the one before; the last has no bound."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class Buckets:
    """A value belongs to the first bound that it does not exceed."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS_S) -> None:
        assert list(bounds) == sorted(set(bounds)), "bounds ascend"
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def statistics(self) -> BucketStatistics:
        """Return the counts so far."""
        return BucketStatistics(bounds=self._bounds, counts=tuple(self._counts), total=self._total)
