"""Executors decide when something begins: at planned moments (open), or when users please (closed).

An open executor keeps to its schedule whatever the service does, so a stall shows in all requests
that it held up. In a closed one a slow service slows its users down, and the load with them: it
answers what so many people experience, and not what a rate of requests does.
"""

import math
import time
from collections.abc import Callable
from typing import Protocol

from loadtest.harness.arrivals import Schedule
from loadtest.harness.engines import Engine
from loadtest.harness.pacer import Pacer

__all__ = ("LATE_NS", "ClosedExecutor", "Executor", "OpenExecutor")

_NS_PER_S = 1_000_000_000

# An arrival that leaves later than this after its moment was late. It is far above what the timer
# and the loop of an idle machine are (0.1 ms), and below what anybody calls a slow payment.
LATE_NS = 10_000_000


class Executor(Protocol):
    """Drives an engine."""

    def set_users(self, users: int, spawn_rate: float, from_ns: int) -> None:
        """Change how many users there are; an open one ignores it."""

    @property
    def pending(self) -> bool:
        """Tell whether something is still to begin that was due before the stop."""

    def stop(self, at_ns: int) -> None:
        """Begin nothing that is due at this moment or later."""

    def give_up(self) -> None:
        """Count what has not begun as dropped."""

    def rate_at(self, at_ns: int) -> float | None:
        """Return the planned arrivals a second of all processes; None in a closed run."""

    def take_late(self) -> int:
        """Return how many began late since the last call."""


class OpenExecutor:
    """Arrivals at the moments of a schedule."""

    def __init__(self, engine: Engine, pacer: Pacer) -> None:
        self._engine = engine
        self._pacer = pacer
        self._schedule: Schedule | None = None
        self._start_ns = 0
        self._stop_ns: float = math.inf
        # The moment that is next; None when there is none.
        self._next_ns: int | None = None
        # Tells calls of the pacer that are out of date after a change.
        self._version = 0
        self._late = 0
        self._over = False

    def begin(self, schedule: Schedule, start_ns: int) -> None:
        """Start at a moment."""
        self._schedule, self._start_ns = schedule, start_ns
        self._plan_next()

    def _plan_next(self) -> None:
        assert self._schedule is not None
        moment_s = next(self._schedule, None)
        if moment_s is None:
            self._next_ns = None
            return
        self._next_ns = due_ns = self._start_ns + int(moment_s * _NS_PER_S)
        self._pacer.at(due_ns, self._call())

    def _call(self) -> Callable[[int], None]:
        version = self._version
        return lambda due_ns: self._arrive(due_ns, version)

    def _arrive(self, due_ns: int, version: int) -> None:
        if version != self._version or self._over:
            return
        if due_ns >= self._stop_ns:
            self._next_ns = None
            return
        if time.perf_counter_ns() - due_ns > LATE_NS:
            self._late += 1
        self._engine.fire(due_ns)
        self._plan_next()

    def set_users(self, users: int, spawn_rate: float, from_ns: int) -> None:
        """Do nothing: arrivals decide."""

    def set_rate(self, at_ns: int, rate: float) -> None:
        """Let another rate hold from a moment on."""
        if self._schedule is None or self._over:
            return
        unused = None if self._next_ns is None else (self._next_ns - self._start_ns) / _NS_PER_S
        at_s = (at_ns - self._start_ns) / _NS_PER_S
        self._schedule.change(at_s, rate, unused=unused)
        if unused is None or unused >= at_s:
            self._version += 1
            self._plan_next()

    @property
    def pending(self) -> bool:
        """Tell whether arrivals that were due have not begun."""
        return self._next_ns is not None and self._next_ns < self._stop_ns

    def stop(self, at_ns: int) -> None:
        """Begin nothing that is due at this moment or later."""
        self._stop_ns = at_ns

    def give_up(self) -> None:
        """Count the arrivals that were due and have not begun as dropped."""
        self._over = True
        while self.pending:
            self._engine.drop()
            assert self._schedule is not None
            moment_s = next(self._schedule, None)
            self._next_ns = None if moment_s is None else self._start_ns + int(moment_s * _NS_PER_S)

    def rate_at(self, at_ns: int) -> float | None:
        """Return the planned arrivals a second of all processes."""
        if self._schedule is None or at_ns >= self._stop_ns:
            return 0.0
        return self._schedule.rate_at((at_ns - self._start_ns) / _NS_PER_S)

    def take_late(self) -> int:
        """Return how many arrivals began late since the last call."""
        late, self._late = self._late, 0
        return late


class ClosedExecutor:
    """A number of users, who come and go at a rate. Of those of all processes it makes its share.

    Users are numbered over all processes; user ``n`` lives in process ``n mod of``.
    """

    def __init__(self, engine: Engine, pacer: Pacer, *, share: int, of: int) -> None:
        self._engine = engine
        self._pacer = pacer
        self._share, self._of = share, of
        self._wanted = 0
        self._count = 0
        self._gap_ns = 0
        self._busy = False
        self._stop_ns: float = math.inf

    def set_users(self, users: int, spawn_rate: float, from_ns: int) -> None:
        """Let ``users`` live in all processes together, who come and go so many a second."""
        self._wanted = max(users - self._share + self._of - 1, 0) // self._of
        self._gap_ns = int(_NS_PER_S * self._of / max(spawn_rate, 1e-6))
        if not self._busy:
            self._busy = True
            # The processes take turns, as one alone would let users come.
            self._pacer.at(from_ns + self._gap_ns * self._share // self._of, self._step)

    def _step(self, due_ns: int) -> None:
        if due_ns >= self._stop_ns or self._count == self._wanted:
            self._busy = False
            return
        if self._count < self._wanted:
            self._engine.add_user(self._count * self._of + self._share, due_ns)
            self._count += 1
        else:
            self._engine.remove_user()
            self._count -= 1
        self._pacer.at(due_ns + self._gap_ns, self._step)

    @property
    def complete(self) -> bool:
        """Tell whether all users that are wanted are there."""
        return self._count == self._wanted

    @property
    def pending(self) -> bool:
        """Tell that nothing is due: users begin when they please."""
        return False

    def stop(self, at_ns: int) -> None:
        """Let nobody come from this moment on."""
        self._stop_ns = at_ns

    def give_up(self) -> None:
        """Do nothing: nobody was promised a moment."""

    def rate_at(self, at_ns: int) -> float | None:
        """Return None: there is no plan of a rate."""
        return None

    def take_late(self) -> int:
        """Return 0: without a plan nothing is late."""
        return 0
