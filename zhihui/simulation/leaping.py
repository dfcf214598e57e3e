"""A wall clock that leaps over hours in which nothing is due, and one that jumps by mistake."""

from datetime import datetime, timedelta

from kernel.virtual_time import VirtualClock

__all__ = ("LeapingClock",)


class LeapingClock:
    """See :class:`kernel.clock.Clock`. Its wall time is off by what it was moved.

    Intervals stay those of virtual time, as on a machine whose date is set: what waits for a second
    waits for that second. So a year passes without the million looks that nodes take in it.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._ahead = timedelta()

    def move(self, duration: timedelta) -> None:
        """Set the wall time forward, or back."""
        self._ahead += duration

    @property
    def ahead_ms(self) -> int:
        """By how much the wall time is ahead of everybody else's, who state deadlines by theirs."""
        return self._ahead // timedelta(milliseconds=1)

    def now_ms(self) -> int:
        """Return the wall time in Unix milliseconds."""
        return self._clock.now_ms() + self.ahead_ms

    def monotonic_s(self) -> float:
        """Return seconds since the start."""
        return self._clock.monotonic_s()

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        return self._clock.now() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        await self._clock.sleep(seconds)
