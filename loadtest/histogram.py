"""Times in log-linear buckets: a stated error, little memory, and histograms that add up.

A time is counted in whole nanoseconds. Below 4,096 ns each bucket is one nanosecond; above, each
doubling has 2,048 buckets, so a bucket is at most 1/2,048 of its value wide and its middle, which
is what is reported, is at most 0.025 % off. Only buckets that were hit take memory; nothing else is
kept, because every field that :meth:`Histogram.record_ns` touched would cost a third of it again.
"""

import math
from collections.abc import Iterable

import msgspec

__all__ = ("Histogram", "HistogramSnapshot", "merged", "middle_ns")

_BITS = 11

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000


class HistogramSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a histogram held at one moment: bucket → how many times were in it.

    It travels between processes as it is, and :meth:`Histogram.add` sums them up. All it answers is
    worked out from the buckets at each call.
    """

    counts: dict[int, int] = {}

    @property
    def count(self) -> int:
        """Return how many times were recorded."""
        return sum(self.counts.values())

    @property
    def min_ms(self) -> float:
        """Return the shortest time in milliseconds; zero when nothing was recorded."""
        return middle_ns(min(self.counts)) / _NS_PER_MS if self.counts else 0.0

    @property
    def max_ms(self) -> float:
        """Return the longest time in milliseconds; zero when nothing was recorded."""
        return middle_ns(max(self.counts)) / _NS_PER_MS if self.counts else 0.0

    def mean_ms(self) -> float:
        """Return the mean in milliseconds; zero when nothing was recorded."""
        if not self.counts:
            return 0.0
        total = sum(middle_ns(index) * n for index, n in self.counts.items())
        return total / self.count / _NS_PER_MS

    def percentile_ms(self, percent: float) -> float:
        """Return the time in milliseconds that ``percent`` of the samples did not exceed.

        Zero when nothing was recorded.
        """
        return self.percentiles_ms((percent,))[0]

    def percentiles_ms(self, percents: Iterable[float]) -> list[float]:
        """Return :meth:`percentile_ms` of each, given in rising order, in one pass."""
        buckets = iter(sorted(self.counts.items()))
        count = self.count
        seen, index = 0, 0
        found = []
        for percent in percents:
            # The tolerance undoes what floats add to a rank that is whole.
            wanted = max(math.ceil(count * percent / 100 - 1e-9), 1)
            while seen < wanted:
                one = next(buckets, None)
                if one is None:
                    break
                index = one[0]
                seen += one[1]
            found.append(middle_ns(index) / _NS_PER_MS)
        return found

    def share_within(self, limit_ms: float) -> float:
        """Return the share of samples, 0 to 1, that did not take longer; 1 when there are none."""
        if not self.counts:
            return 1.0
        limit_ns = limit_ms * _NS_PER_MS
        within = sum(n for index, n in self.counts.items() if middle_ns(index) <= limit_ns)
        return within / self.count

    def since(self, earlier: "HistogramSnapshot") -> "HistogramSnapshot":
        """Return what was recorded after ``earlier``, a snapshot of the same histogram."""
        before = earlier.counts
        return HistogramSnapshot(
            counts={
                index: left
                for index, n in self.counts.items()
                if (left := n - before.get(index, 0))
            }
        )


class Histogram:
    """Counts of times in log-linear buckets."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def record(self, latency_s: float) -> None:
        """Count one time in seconds, not negative."""
        self.record_ns(int(latency_s * _NS_PER_S))

    def record_ns(self, ns: int) -> None:
        """Count one time in nanoseconds, not negative."""
        # The top 12 bits select the bucket; below 2**12 they are the value itself.
        shift = ns.bit_length() - 12
        index = (shift << 11) + (ns >> shift) if shift > 0 else ns
        try:
            self._counts[index] += 1
        except KeyError:
            self._counts[index] = 1

    def add(self, other: HistogramSnapshot) -> None:
        """Add what another histogram held."""
        counts = self._counts
        for index, n in other.counts.items():
            counts[index] = counts.get(index, 0) + n

    def snapshot(self) -> HistogramSnapshot:
        """Return a copy of what it holds."""
        return HistogramSnapshot(counts=dict(self._counts))

    def take(self) -> HistogramSnapshot:
        """Return what it holds and start again from nothing, without copying."""
        taken = HistogramSnapshot(counts=self._counts)
        self._counts = {}
        return taken

    @property
    def count(self) -> int:
        """Return how many times were recorded."""
        return sum(self._counts.values())

    @property
    def max_ms(self) -> float:
        """Return the longest time in milliseconds; zero when nothing was recorded."""
        return HistogramSnapshot(counts=self._counts).max_ms

    def percentile_ms(self, percent: float) -> float:
        """Return :meth:`HistogramSnapshot.percentile_ms` of what it holds now."""
        return HistogramSnapshot(counts=self._counts).percentile_ms(percent)


def middle_ns(index: int) -> float:
    """Return the middle of a bucket in nanoseconds, given its key in a snapshot."""
    # The first two octaves share the width of one nanosecond: indices 0 to 4,095 are the values.
    shift = max((index >> _BITS) - 1, 0)
    low = (index - (shift << _BITS)) << shift
    return low + ((1 << shift) - 1) / 2


def merged(snapshots: Iterable[HistogramSnapshot]) -> HistogramSnapshot:
    """Return the sum of several snapshots."""
    total = Histogram()
    for one in snapshots:
        total.add(one)
    return total.take()
