"""Response times by what was going on: quiet, loading, switching, unloading, a bad version."""

import statistics
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec

__all__ = ("AFTER_SWITCH_S", "KINDS", "Latencies", "Windows", "percentile_ms", "summarised")

# What a switch disturbs may show for a moment after it is done.
AFTER_SWITCH_S = 0.5
# In the order in which they win where they overlap.
KINDS = ("bad", "switch", "load", "unload", "steady")


class _Window(msgspec.Struct):
    kind: str
    block: int
    from_s: float
    until_s: float = float("inf")


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """Response times of one kind, in ms: medians over the blocks of each block's percentile."""

    count: int
    p50_ms: float
    p99_ms: float
    p99_ms_least: float
    p99_ms_most: float
    max_ms: float


class Windows:
    """What was going on when. What no window covers is ``steady``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: list[_Window] = []
        self.block = 0
        self._blocks: list[float] = []

    def begin_block(self) -> None:
        """Begin the next block: what is compared is compared within a block."""
        self._blocks.append(self._clock())

    @contextmanager
    def during(self, kind: str, *, after_s: float = 0.0) -> Iterator[None]:
        """Note what goes on within, and for ``after_s`` seconds after it."""
        window = _Window(kind, len(self._blocks), self._clock())
        self._windows.append(window)
        try:
            yield
        finally:
            window.until_s = self._clock() + after_s

    def kind_at(self, at_s: float) -> tuple[int, str]:
        """Return the block and what was going on at a moment; block 0 is before the first."""
        block = sum(began_s <= at_s for began_s in self._blocks)
        going_on = {one.kind for one in self._windows if one.from_s <= at_s <= one.until_s}
        return block, next((kind for kind in KINDS if kind in going_on), "steady")


def percentile_ms(values_s: list[float], percent: float) -> float:
    """Return the latency in ms that ``percent`` of the values do not exceed (nearest rank)."""
    ordered = sorted(values_s)
    rank = max(-(-len(ordered) * percent // 100), 1)
    return ordered[int(rank) - 1] * 1000


def summarised(blocks: Iterable[list[float]]) -> Latencies | None:
    """Return the figures of one kind from the values of each block; None when there are none."""
    filled = [one for one in blocks if one]
    if not filled:
        return None
    p99 = [percentile_ms(one, 99) for one in filled]
    return Latencies(
        count=sum(map(len, filled)),
        p50_ms=statistics.median(percentile_ms(one, 50) for one in filled),
        p99_ms=statistics.median(p99),
        p99_ms_least=min(p99),
        p99_ms_most=max(p99),
        max_ms=max(map(max, filled)) * 1000,
    )
