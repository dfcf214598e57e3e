"""Sums over the last while, cut into buckets: what the velocity rules count."""

from collections import deque

__all__ = ("SHANGHAI_OFFSET_S", "Window", "bucket_of")

# Shanghai is eight hours ahead of UTC and has no summer time; so its days are whole buckets.
SHANGHAI_OFFSET_S = 8 * 3600


def bucket_of(at_s: int, width_s: int) -> int:
    """Return the number of the bucket in which a moment (Unix seconds) lies."""
    return (at_s + SHANGHAI_OFFSET_S) // width_s


class Window:
    """Count and amount of the newest ``buckets`` buckets; what is older is forgotten.

    Moments may come out of order, since several nodes stamp them: the newest one seen decides what
    is old.
    """

    __slots__ = ("_amount", "_buckets", "_count", "_kept", "_newest")

    def __init__(self, buckets: int) -> None:
        self._buckets = buckets
        # [number, count, amount], oldest first.
        self._kept: deque[list[int]] = deque()
        self._newest = 0
        self._count = 0
        self._amount = 0

    def sums(self, bucket: int) -> tuple[int, int]:
        """Return count and amount (minor units) of the window that ends with ``bucket``."""
        self._forget(bucket)
        return self._count, self._amount

    def add(self, bucket: int, count: int, amount_minor: int) -> None:
        """Count in a bucket; one that is too old already is not taken."""
        self._forget(bucket)
        if bucket <= self._newest - self._buckets:
            return
        kept = self._kept
        place = len(kept)
        while place and kept[place - 1][0] > bucket:
            place -= 1
        if place and kept[place - 1][0] == bucket:
            kept[place - 1][1] += count
            kept[place - 1][2] += amount_minor
        else:
            kept.insert(place, [bucket, count, amount_minor])
        self._count += count
        self._amount += amount_minor

    def _forget(self, bucket: int) -> None:
        if bucket <= self._newest:
            return
        self._newest = bucket
        kept = self._kept
        oldest = bucket - self._buckets
        while kept and kept[0][0] <= oldest:
            _, count, amount_minor = kept.popleft()
            self._count -= count
            self._amount -= amount_minor
