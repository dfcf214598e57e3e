"""The turns that are under way in one generation: how many, how long, and whose fault it was."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from kernel.clock import Clock
from kernel.plugins.errors import (
    DocumentTooLarge,
    TooManyTurns,
    TransitionRefused,
    TurnCutOff,
    TurnTimedOut,
)
from kernel.plugins.manifest import Limits

__all__ = ("Observer", "Turn", "TurnStatistics", "Turns")

T = TypeVar("T")

# What one that was refused for want of a place should wait: some turns end within this.
_BUSY_RETRY_S = 0.05
# Called with what a turn ended with and whether it was slower than it may be.
Observer = Callable[[BaseException | None, bool], None]


class TurnStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``slow`` turns took too long and came to an end by themselves."""

    under_way: int
    under_way_max: int
    begun: int
    refused_busy: int
    timed_out: int
    cut_off: int
    slow: int
    documents_too_large: int


class Turn:
    """One piece of work that stays with its generation. Use it as a context manager.

    From entering to leaving the generation cannot be stopped. Within, :meth:`run` runs the pack's
    code under its time limit; what the host does besides, such as committing, is not cut short.
    """

    __slots__ = ("_cancelling", "_due_s", "_reason", "_slow", "_task", "_turns")

    def __init__(self, turns: "Turns") -> None:
        self._turns = turns
        self._slow = False
        self._due_s = 0.0
        self._task: asyncio.Task[Any] | None = None
        self._reason: type[TurnTimedOut | TurnCutOff] | None = None
        self._cancelling = 0

    def __enter__(self) -> Self:
        self._turns.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turns.leave(error, self._slow)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` returns; raise :class:`TurnTimedOut` when it takes too long.

        Work that never waits cannot be cancelled: its result stands, and it counts as slow.
        """
        turns = self._turns
        self._task = task = asyncio.current_task()
        assert task is not None
        began_s = turns.clock.monotonic_s()
        self._due_s = began_s + turns.limit_s
        turns.watch(self)
        try:
            result = await work
        except asyncio.CancelledError:
            if self._reason is not None and task.uncancel() <= self._cancelling:
                raise self._cut() from None
            raise
        except BaseException:
            if self._reason is not None:
                task.uncancel()
            raise
        else:
            if self._reason is not None:
                # It did not let itself be cancelled, and its result comes too late.
                task.uncancel()
                raise self._cut()
        finally:
            turns.unwatch(self)
            self._task = None
        if turns.clock.monotonic_s() - began_s > turns.limit_s:
            self._slow = True
            turns.slow += 1
        return result

    def _cut(self) -> TurnTimedOut | TurnCutOff:
        assert self._reason is not None
        if self._reason is TurnCutOff:
            self._turns.cut += 1
            return TurnCutOff(f"{self._turns.name} had to stop; nothing was committed")
        self._slow = True
        self._turns.timed_out += 1
        return TurnTimedOut(
            f"{self._turns.name} took longer than {self._turns.limit_s:g} s; nothing was committed"
        )

    def is_due(self, now_s: float) -> bool:
        """Tell whether its time is over."""
        return self._due_s <= now_s

    def due_in_s(self, now_s: float) -> float:
        """Return the seconds it has left."""
        return max(0.0, self._due_s - now_s)

    def cancel(self, reason: type[TurnTimedOut | TurnCutOff]) -> None:
        """Cancel what runs, as :func:`asyncio.timeout` does."""
        if self._task is not None and self._reason is None:
            self._reason = reason
            self._cancelling = self._task.cancelling()
            self._task.cancel()


class Turns:
    """All turns of one generation on this node.

    A cancel scope for each turn would cost more than most turns take, 14 µs. All have the same
    limit, so the one that began first is due first, and one timer for all of them is enough.
    """

    def __init__(self, name: str, limits: Limits, clock: Clock, observe: Observer) -> None:
        self.name = name
        self.clock = clock
        self.limit_s = limits.handler_ms / 1000
        self._limits = limits
        self._observe = observe
        self._running: dict[Turn, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.Event | None = None
        self._refusal: Callable[[], Exception] | None = self._not_open
        self.under_way = 0
        self._under_way_max = 0
        self._begun = 0
        self._busy = 0
        self.timed_out = 0
        self.cut = 0
        self.slow = 0
        self._too_large = 0

    def _not_open(self) -> Exception:
        return TransitionRefused(f"{self.name} does not take work")

    def open(self) -> None:
        """Let turns begin; nobody has to wait any more for them to end."""
        self._refusal = None
        self._wake()

    def close(self, refusal: Callable[[], Exception]) -> None:
        """Let no more turns begin; those under way go on. ``refusal`` makes what is raised."""
        self._refusal = refusal

    def enter(self) -> None:
        """Count a turn as begun, or raise why it may not begin."""
        if self._refusal is not None:
            raise self._refusal()
        if self.under_way >= self._limits.concurrency:
            self._busy += 1
            raise TooManyTurns(
                f"{self.name} has {self.under_way} messages in work", retry_after_s=_BUSY_RETRY_S
            )
        self.under_way += 1
        self._begun += 1
        self._under_way_max = max(self._under_way_max, self.under_way)

    def leave(self, error: BaseException | None, slow: bool) -> None:
        """Count a turn as over."""
        self.under_way -= 1
        if self.under_way == 0:
            self._wake()
        self._observe(error, slow)

    def watch(self, turn: Turn) -> None:
        """Cancel the turn when its time is over."""
        self._running[turn] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.limit_s, self._look)

    def unwatch(self, turn: Turn) -> None:
        """Leave the turn alone."""
        self._running.pop(turn, None)

    def _look(self) -> None:
        self._timer = None
        now_s = self.clock.monotonic_s()
        while self._running:
            oldest = next(iter(self._running))
            if not oldest.is_due(now_s):
                self._timer = asyncio.get_running_loop().call_later(
                    oldest.due_in_s(now_s), self._look
                )
                return
            del self._running[oldest]
            oldest.cancel(TurnTimedOut)

    def cut_off(self) -> int:
        """Cancel what the pack is doing now; return how many turns that were.

        What its host is committing for it goes on.
        """
        running, self._running = list(self._running), {}
        for turn in running:
            turn.cancel(TurnCutOff)
        return len(running)

    async def wait_idle(self) -> None:
        """Wait until no turn is under way, or turns may begin again."""
        while self.under_way and self._refusal is not None:
            if self._idle is None:
                self._idle = asyncio.Event()
            await self._idle.wait()

    def _wake(self) -> None:
        if self._idle is not None:
            self._idle.set()
            self._idle = None

    def stop(self) -> None:
        """Forget the timer; nothing is under way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def check_document(self, body: bytes | str) -> None:
        """Raise :class:`DocumentTooLarge` for a document beyond the limit."""
        size = len(body) if isinstance(body, bytes) else len(body.encode())
        if size > self._limits.document_bytes:
            self._too_large += 1
            raise DocumentTooLarge(
                f"{self.name} wrote a document of {size} bytes; "
                f"its manifest allows {self._limits.document_bytes}"
            )

    def statistics(self) -> TurnStatistics:
        """Return the counts so far."""
        return TurnStatistics(
            under_way=self.under_way,
            under_way_max=self._under_way_max,
            begun=self._begun,
            refused_busy=self._busy,
            timed_out=self.timed_out,
            cut_off=self.cut,
            slow=self.slow,
            documents_too_large=self._too_large,
        )
