"""Latencies in a fixed amount of memory, with a stated error."""

__all__ = ("Histogram",)

# 128 buckets for each doubling: a bucket is at most 1/128 of its value wide, and its middle is
# reported, so a percentile is off by at most 0.4 %.
_BITS = 7
_BUCKETS = 1 << _BITS

# 2**32 microseconds are 71 minutes, beyond any deadline; longer ones land in the last bucket.
_OCTAVES = 32 - _BITS


class Histogram:
    """Counts of latencies in log-linear buckets."""

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS * (_OCTAVES + 1))
        self._max_us = 0

    def record(self, latency_s: float) -> None:
        """Count one latency in seconds."""
        us = int(latency_s * 1_000_000)
        self._max_us = max(self._max_us, us)
        # Below 2**7 a bucket is one microsecond; above, the top 7 bits after the first select it.
        shift = max(us.bit_length() - _BITS - 1, 0)
        index = (shift << _BITS) + (us >> shift)
        try:
            self._counts[index] += 1
        except IndexError:
            self._counts[-1] += 1

    @property
    def count(self) -> int:
        """Return how many latencies were recorded."""
        return sum(self._counts)

    @property
    def max_ms(self) -> float:
        """Return the largest latency, exactly, in milliseconds."""
        return self._max_us / 1000

    def percentile_ms(self, percent: float) -> float:
        """Return the latency in milliseconds that ``percent`` of the requests did not exceed.

        Zero when nothing was recorded.
        """
        wanted = self.count * percent / 100
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_middle_us(index), float(self._max_us)) / 1000
        return 0.0


def _middle_us(index: int) -> float:
    # The first two octaves share the width of one microsecond: indices 0 to 255 are the values.
    shift = max((index >> _BITS) - 1, 0)
    low = (index - (shift << _BITS)) << shift
    return low + ((1 << shift) - 1) / 2
