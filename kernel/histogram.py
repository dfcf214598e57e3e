"""Durations in bounded memory, with a stated error."""

__all__ = ("Histogram",)

# 128 buckets for each doubling: a bucket is at most 1/128 of its value wide, and its middle is
# reported, so a percentile is off by at most 0.4 %.
_BITS = 7
_BUCKETS = 1 << _BITS


class Histogram:
    """Counts of durations in log-linear buckets.

    ``unit_s`` is the finest difference it tells, in seconds; ``doublings`` how many times the unit
    may double before a duration lands in the last bucket: 32 of a microsecond are 71 minutes, 34 of
    a nanosecond 17 seconds.
    """

    def __init__(self, unit_s: float = 1e-6, doublings: int = 32) -> None:
        assert unit_s > 0
        assert doublings > _BITS
        self._unit_s = unit_s
        self._per_s = 1 / unit_s
        self._counts = [0] * (_BUCKETS * (doublings - _BITS + 1))
        self._max = 0

    def record(self, duration_s: float) -> None:
        """Count one duration in seconds; one below zero, of a clock that was set, counts as 0."""
        value = max(int(duration_s * self._per_s), 0)
        self._max = max(self._max, value)
        # Below 2**7 a bucket is one unit; above, the top 7 bits after the first select it.
        shift = value.bit_length() - _BITS - 1
        index = (shift << _BITS) + (value >> shift) if shift > 0 else value
        try:
            self._counts[index] += 1
        except IndexError:
            self._counts[-1] += 1

    @property
    def count(self) -> int:
        """Return how many durations were recorded."""
        return sum(self._counts)

    @property
    def max_s(self) -> float:
        """Return the longest duration in seconds, to the unit."""
        return self._max * self._unit_s

    def percentile_s(self, percent: float) -> float:
        """Return the seconds that ``percent`` of the durations did not exceed; 0 when none is."""
        wanted = self.count * percent / 100
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_middle(index), float(self._max)) * self._unit_s
        return 0.0


def _middle(index: int) -> float:
    # The first two octaves share the width of one unit: indices 0 to 255 are the values.
    shift = max((index >> _BITS) - 1, 0)
    low = (index - (shift << _BITS)) << shift
    return low + ((1 << shift) - 1) / 2
