"""Nodes that stand still while the world goes on, as a stopped process does.

All tasks of a node run in one context, and so does what it hears. A loop that knows which node a
step belongs to keeps the steps of a paused one until it is resumed: its timers come due and do not
ring, what it waits for arrives and is not looked at. When it goes on it finds that time has passed.
What it had sent before is on its way, and arrives.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime
from typing import Any, TypeVar, TypeVarTuple

from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, VirtualTimeLoop

__all__ = ("RUNS_ON", "PausableLoop", "context_of", "run_pausable")

T = TypeVar("T")
_Ts = TypeVarTuple("_Ts")

# The node that a task belongs to; '' is the world around them.
RUNS_ON: ContextVar[str] = ContextVar("node", default="")

_START = datetime(2026, 1, 1, tzinfo=UTC)


def context_of(node: str) -> Context:
    """Return a context for what happens on a node, or in the world around them for ''."""
    context = copy_context()
    context.run(RUNS_ON.set, node)
    return context


class _Ring:
    """A timer of a node: it rings now, or when the node goes on."""

    __slots__ = ("args", "callback", "loop", "timer")

    def __init__(
        self, loop: "PausableLoop", callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self.loop = loop
        self.callback = callback
        self.args = args
        self.timer: asyncio.TimerHandle | None = None

    def __call__(self) -> None:
        if self.loop.is_paused(RUNS_ON.get()):
            self.loop.call_soon(self)
        elif self.timer is None or not self.timer.cancelled():
            self.callback(*self.args)


class PausableLoop(VirtualTimeLoop):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, list[asyncio.Handle]] = {}
        self._ready: deque[asyncio.Handle]

    def is_paused(self, node: str) -> bool:
        """Tell whether a node stands still."""
        return node in self._kept

    def pause(self, node: str) -> None:
        """Let a node stand still from the next turn on."""
        self._kept.setdefault(node, [])

    def resume(self, node: str) -> None:
        """Let a node go on with all that came due meanwhile, in the order in which it did."""
        self._ready.extend(self._kept.pop(node, ()))

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a step in the next turn, or when its node goes on."""
        if self._kept:
            node = RUNS_ON.get() if context is None else context.get(RUNS_ON, "")
            if node in self._kept:
                handle = asyncio.Handle(callback, args, self, context)
                self._kept[node].append(handle)
                return handle
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a step at a time, or when its node goes on after it."""
        node = RUNS_ON.get() if context is None else context.get(RUNS_ON, "")
        if not node:
            return super().call_at(when, callback, *args, context=context)
        ring = _Ring(self, callback, args)
        ring.timer = super().call_at(when, ring, context=context)
        return ring.timer


def run_pausable(
    main: Callable[[VirtualClock, SeededRandomness, PausableLoop], Coroutine[Any, Any, T]],
    *,
    seed: int,
) -> T:
    """Run ``main`` on a loop of its own, as :func:`kernel.virtual_time.run_virtual` does."""
    loops: list[PausableLoop] = []

    def make() -> PausableLoop:
        loops.append(PausableLoop())
        return loops[-1]

    with asyncio.Runner(loop_factory=make) as runner:
        clock = VirtualClock(runner.get_loop(), _START)
        return runner.run(main(clock, SeededRandomness(seed), loops[0]))
