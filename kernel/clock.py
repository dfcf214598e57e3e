"""Time as a port: the system's clock, and one that a test moves by hand."""

import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio
import anyio.lowlevel

__all__ = ("Clock", "ManualClock", "ShiftedClock", "SystemClock")


class Clock(Protocol):
    """The two times a program needs."""

    def now_ms(self) -> int:
        """Return the wall time in Unix milliseconds; deadlines and timestamps use it."""

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards; intervals use it."""

    def now(self) -> datetime:
        """Return the wall time as an aware datetime in UTC."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait for ``seconds``."""


class SystemClock:
    """The clock of the operating system."""

    # By how much the wall time is ahead of everybody else's, who state deadlines by theirs.
    ahead_ms = 0

    def now_ms(self) -> int:
        """Return the wall time in Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        await anyio.sleep(seconds)


class ShiftedClock(SystemClock):
    """The clock of the operating system with its wall time moved forward.

    For trying out what takes days. Intervals stay those of the system: nothing that waits for
    seconds must wake up or give up because the date has changed.
    """

    def __init__(self) -> None:
        self._shift_s = 0

    def shift_to(self, seconds: int) -> None:
        """Be ``seconds`` ahead of the system; a shift that is smaller than before is ignored."""
        self._shift_s = max(self._shift_s, seconds)
        self.ahead_ms = self._shift_s * 1000

    def now_ms(self) -> int:
        """Return the moved wall time in Unix milliseconds."""
        return super().now_ms() + self._shift_s * 1000

    def now(self) -> datetime:
        """Return the moved wall time in UTC."""
        return super().now() + timedelta(seconds=self._shift_s)


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._elapsed_s = 0.0

    def advance(self, seconds: float) -> None:
        """Move both times forward by ``seconds``."""
        assert seconds >= 0
        self._elapsed_s += seconds

    def now_ms(self) -> int:
        """Return the wall time in Unix milliseconds."""
        return int(self.now().timestamp() * 1000)

    def monotonic_s(self) -> float:
        """Return seconds since the start."""
        return self._elapsed_s

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        return self._start + timedelta(seconds=self._elapsed_s)

    async def sleep(self, seconds: float) -> None:
        """Let the others run once, and move the time forward by ``seconds``."""
        await anyio.lowlevel.checkpoint()
        self.advance(seconds)
