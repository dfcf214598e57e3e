"""Virtual time: an event loop that jumps to the next thing that is due instead of waiting for it.

Everything that waits through the loop follows it: ``call_later``, anyio's sleeps and timeouts,
asyncio's. A day passes as fast as its work can be done, and the same seed gives the same day.

It has no sockets, no threads, no signals and no child processes: what they do takes real time.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Never, TypeVar

import anyio

from kernel.randomness import SeededRandomness

__all__ = (
    "STANDSTILL_TURNS_MAX",
    "Deadlock",
    "Standstill",
    "VirtualClock",
    "VirtualTimeLoop",
    "run_virtual",
)

T = TypeVar("T")

# Turns of the loop without any time passing. The busiest moment of a simulation takes some
# thousands; what takes more is a loop that never waits.
STANDSTILL_TURNS_MAX = 1_000_000
_NAMED_MAX = 20

_START = datetime(2026, 1, 1, tzinfo=UTC)


class Deadlock(RuntimeError):
    """Nothing is ready, nothing is due, and the main task has not ended."""


class Standstill(RuntimeError):
    """Tasks keep each other busy and let no time pass."""


class _NoSelector:
    """Takes the place of the selector: instead of waiting it lets the time pass."""

    def __init__(self, loop: "VirtualTimeLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Never]:
        """Let ``timeout`` seconds pass."""
        self._loop.let_pass(timeout)
        return []

    def close(self) -> None:
        """There is nothing to close."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time, which begins at 0."""

    def __init__(self) -> None:
        super().__init__()
        self._elapsed_s = 0.0
        self._turns = 0
        self._scheduled: list[asyncio.TimerHandle]
        # The loop asks its selector for events and how long to wait for them.
        self._selector = _NoSelector(self)

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self._elapsed_s

    def let_pass(self, seconds: float | None) -> None:
        """Move the time forward; None means that nothing is due ever.

        Raise :class:`Deadlock`, or :class:`Standstill` when no time has passed for too many turns.
        """
        if seconds is None:
            raise Deadlock(f"nothing is due and nobody is ready; waiting: {self._waiting()}")
        if seconds > 0:
            # Exactly to what is due next: a sum of differences may fall short of it by a rounding,
            # and then nothing would ever come due.
            self._elapsed_s = self._scheduled[0].when()
            # The loop runs what is due within this, and less than a step of the number is nothing.
            self._clock_resolution = math.ulp(self._elapsed_s)
            self._turns = 0
            return
        self._turns += 1
        if self._turns > STANDSTILL_TURNS_MAX:
            self._turns = 0  # so that the tasks can be cancelled
            raise Standstill(
                f"{STANDSTILL_TURNS_MAX} turns at {self._elapsed_s:.6f} s;"
                f" waiting: {self._waiting()}"
            )

    def _waiting(self) -> str:
        names = sorted(
            f"{task.get_name()} in {getattr(task.get_coro(), '__qualname__', '?')}"
            for task in asyncio.all_tasks(self)
        )
        more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
        return ", ".join(names[:_NAMED_MAX]) + more

    # What the base class leaves to the kinds of loops.

    def _process_events(self, event_list: list[Never]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        raise RuntimeError("threads do not follow virtual time")

    def run_in_executor(self, executor: object, func: object, *args: object) -> Never:
        """Refuse: a thread takes real time, in which virtual time would run away."""
        raise RuntimeError("threads do not follow virtual time")

    def close(self) -> None:
        """Close the loop."""
        super().close()
        self._selector.close()


class VirtualClock:
    """See :class:`kernel.clock.Clock`. It is ``start`` when the loop's time is 0."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime = _START) -> None:
        assert start.tzinfo is not None
        self._loop = loop
        self._start = start.astimezone(UTC)

    def now_ms(self) -> int:
        """Return the wall time in Unix milliseconds."""
        return int((self.now() - datetime.fromtimestamp(0, UTC)) / timedelta(milliseconds=1))

    def monotonic_s(self) -> float:
        """Return seconds since the start."""
        return self._loop.time()

    def now(self) -> datetime:
        """Return the wall time in UTC."""
        return self._start + timedelta(seconds=self._loop.time())

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        await anyio.sleep(seconds)


def run_virtual(
    main: Callable[[VirtualClock, SeededRandomness], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    start: datetime = _START,
) -> T:
    """Run ``main`` on a loop of its own in virtual time, and return what it returns.

    All that happens depends on ``main``, ``seed`` and ``start`` alone. Raise :class:`Deadlock` when
    nothing can happen any more.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        clock = VirtualClock(runner.get_loop(), start)
        return runner.run(main(clock, SeededRandomness(seed)))
