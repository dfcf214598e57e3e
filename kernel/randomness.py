"""Randomness as a port, and the identifiers made from it."""

import os
import random
from typing import Protocol

from kernel.clock import Clock

__all__ = ("IdFactory", "Randomness", "SeededRandomness", "SystemRandomness")

# 36 bits of counter would outlast any process; 24 bits keep an id short and wrap only after
# 16 million ids within one millisecond.
_COUNTER_MASK = 0xFFFFFF


class Randomness(Protocol):
    """A source of random bits."""

    def bits(self, count: int) -> int:
        """Return a uniformly random integer of ``count`` bits."""


class SystemRandomness:
    """The operating system's source."""

    def bits(self, count: int) -> int:
        """Return a uniformly random integer of ``count`` bits."""
        return int.from_bytes(os.urandom((count + 7) // 8), "big") >> (-count % 8)


class SeededRandomness:
    """A reproducible source for tests and simulation."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose

    def bits(self, count: int) -> int:
        """Return a pseudo-random integer of ``count`` bits."""
        return self._random.getrandbits(count)


class IdFactory:
    """Make identifiers that sort by time and are unique across processes.

    An id is a prefix, 11 hex digits of Unix milliseconds, 10 of the process (40 random bits drawn
    at its start) and 6 of a counter. Sorting by time keeps index pages hot: new ids land at the
    right edge of an index instead of all over it.
    """

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self._clock = clock
        self._process = f"{randomness.bits(40):010x}"
        self._counter = 0

    def new(self, prefix: str) -> str:
        """Return ``<prefix>_<27 hex digits>``."""
        self._counter = (self._counter + 1) & _COUNTER_MASK
        return f"{prefix}_{self._clock.now_ms():011x}{self._process}{self._counter:06x}"
