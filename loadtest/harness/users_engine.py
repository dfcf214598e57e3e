"""The users' engine: a scenario's User classes, through the public client.

An idle user is an object and an entry of the pacer; only while it does something does it have a
task. So a thousand users who wait take well under two megabytes, and all of them are woken by the
one timer that is exact.
"""

import asyncio
import random
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from loadtest.harness.claims import Claims
from loadtest.harness.engines import Mix, turns
from loadtest.harness.measured import MeasuredClient, Meter
from loadtest.harness.pacer import Pacer
from loadtest.harness.users import Task, User, pacing_s, tasks_of
from schemas.errors import ZhihuiError

__all__ = ("UsersEngine",)

_NS_PER_S = 1_000_000_000

# Different errors of the scenario's own code that are told apart; each is printed once.
_ERRORS_MAX = 20


class _Kind:
    """A User class with all that is worked out once."""

    def __init__(
        self,
        user_class: type[User],
        tasks: list[tuple[Task, int]],
        rng: random.Random,
    ) -> None:
        self.user_class = user_class
        self.draw = Mix(tasks, rng).draw
        self.starts = user_class.on_start is not User.on_start
        self.stops = user_class.on_stop is not User.on_stop
        pacing = pacing_s(user_class)
        self.pacing_ns = None if pacing is None else int(pacing * _NS_PER_S)
        # Who waits for an arrival, in an open run.
        self.idle: deque[_Seat] = deque()


class _Seat:
    """A user, and where it is: idle, doing something, or gone."""

    __slots__ = ("due_ns", "gone", "kind", "task", "user")

    def __init__(self, kind: _Kind, user: User) -> None:
        self.kind = kind
        self.user = user
        self.due_ns = 0
        self.gone = False
        self.task: asyncio.Task[None] | None = None


class UsersEngine:
    """See :class:`loadtest.harness.engines.Engine`."""

    def __init__(
        self,
        classes: list[type[User]],
        meter: Meter,
        claims: Claims,
        pacer: Pacer,
        *,
        tags: tuple[str, ...],
        exclude_tags: tuple[str, ...],
        data: Any,
        settings: Mapping[str, str],
        in_flight_max: int,
        rng: random.Random,
        numbers: Callable[[], int],
    ) -> None:
        kinds = []
        for one in classes:
            tasks = tasks_of(one, tags=tags, exclude_tags=exclude_tags)
            if tasks:
                kinds.append((_Kind(one, tasks, rng), one.weight))
        self._order = turns(kinds)
        self._draw = Mix(kinds, rng).draw
        self._meter = meter
        self._claims = claims
        self._pacer = pacer
        self._data = data
        self._settings = settings
        self._in_flight_max = in_flight_max
        self._rng = rng
        self._numbers = numbers
        self._running: set[asyncio.Task[None]] = set()
        # Of a closed run, by number, so the last to come is the last.
        self._seats: dict[int, _Seat] = {}
        self._pool = 0
        self._ended = False
        self._interrupted = False
        self.errors: dict[str, int] = {}

    async def open(self, preallocate: int) -> None:
        """Make the users who wait for arrivals."""
        seats = [
            self._new_seat(self._order[number % len(self._order)]) for number in range(preallocate)
        ]
        await asyncio.gather(*(self._guarded(s, s.user.on_start()) for s in seats if s.kind.starts))
        for seat in seats:
            seat.kind.idle.append(seat)
        self._pool = len(seats)

    def _new_seat(self, kind: _Kind, number: int | None = None) -> _Seat:
        user = kind.user_class()
        user.number = self._numbers() if number is None else number
        user.client = MeasuredClient(self._meter)
        user.claims = self._claims
        user.random = self._rng
        user.data = self._data
        user.settings = self._settings
        return _Seat(kind, user)

    # Open: an arrival is one task of one user.

    def fire(self, due_ns: int) -> None:
        """Let a user do one of its tasks."""
        kind = self._draw()
        task = kind.draw()
        if len(self._running) >= self._in_flight_max:
            self._meter.recorder.book(_name_of(task)).dropped()
            return
        new = not kind.idle
        seat = self._new_seat(kind) if new else kind.idle.popleft()
        self._pool += new
        self._begin(seat, self._serve(seat, task, due_ns, new=new))

    def drop(self) -> None:
        """Count an arrival that nobody served."""
        self._meter.recorder.book(_name_of(self._draw().draw())).dropped()

    async def _serve(self, seat: _Seat, task: Task, due_ns: int, *, new: bool) -> None:
        if new and seat.kind.starts:
            await self._guarded(seat, seat.user.on_start())
        seat.user.client.due_ns = due_ns
        await self._guarded(seat, task(seat.user))
        seat.kind.idle.append(seat)

    # Closed: a user does one task after another.

    def add_user(self, number: int, due_ns: int) -> None:
        """Let another user begin."""
        seat = self._new_seat(self._order[number % len(self._order)], number)
        seat.due_ns = due_ns
        self._seats[number] = seat
        if seat.kind.starts:
            self._begin(seat, self._start(seat))
        else:
            self._begin(seat, self._iterate(seat))

    async def _start(self, seat: _Seat) -> None:
        await self._guarded(seat, seat.user.on_start())
        seat.due_ns = time.perf_counter_ns()
        await self._iterate(seat)

    def _due(self, seat: _Seat, _due_ns: int) -> None:
        if not seat.gone and not self._ended:
            self._begin(seat, self._iterate(seat))

    async def _iterate(self, seat: _Seat) -> None:
        user, kind = seat.user, seat.kind
        user.client.due_ns = seat.due_ns
        await self._guarded(seat, kind.draw()(user))
        if seat.gone:
            if kind.stops:
                await self._guarded(seat, user.on_stop())
            return
        if self._ended:
            return
        now_ns = time.perf_counter_ns()
        if kind.pacing_ns is not None:
            seat.due_ns += kind.pacing_ns
        else:
            seat.due_ns = now_ns + int(user.wait_time() * _NS_PER_S)
        self._pacer.at(max(seat.due_ns, now_ns), partial(self._due, seat))

    def remove_user(self) -> None:
        """Let the user who came last end."""
        if self._seats:
            _, seat = self._seats.popitem()
            seat.gone = True
            if seat.task is None and seat.kind.stops:
                self._begin(seat, self._guarded(seat, seat.user.on_stop()))

    # All that runs.

    def _begin(self, seat: _Seat, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        seat.task = task
        self._running.add(task)
        task.add_done_callback(partial(self._over, seat))

    def _over(self, seat: _Seat, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if seat.task is task:
            seat.task = None
        if not task.cancelled():
            # Everything is caught inside, so this is a fault of ours: let the loop tell it.
            task.result()

    async def _guarded(self, seat: _Seat, work: Any) -> None:
        """Run the scenario's code; what it raises ends its task, and neither the user nor the run.

        Answers of the service are counted where they came, so they say nothing new here.
        """
        try:
            await work
        except ZhihuiError:
            pass
        except asyncio.CancelledError:
            if not self._interrupted:
                self._note_error(seat, asyncio.CancelledError())
            raise
        except Exception as error:  # noqa: BLE001 - whatever the scenario's author wrote
            self._note_error(seat, error)

    def _note_error(self, seat: _Seat, error: BaseException) -> None:
        what = f"{type(seat.user).__name__}: {type(error).__name__}: {error}"
        if what not in self.errors:
            if len(self.errors) >= _ERRORS_MAX:
                what = "(other errors)"
            else:
                # Once each, with its place, into the log of this process.
                traceback.print_exception(error, file=sys.stderr)
        self.errors[what] = self.errors.get(what, 0) + 1
        self._meter.events.user_error.fire(user=seat.user, exception=error)

    @property
    def user_count(self) -> int:
        """Return how many users there are."""
        return len(self._seats) or self._pool

    @property
    def busy(self) -> bool:
        """Tell whether anything is under way."""
        return bool(self._running)

    def end_users(self) -> None:
        """Let nobody begin anything any more."""
        self._ended = True

    async def interrupt(self) -> None:
        """Give up on what is still under way; then let every user end."""
        self._interrupted = True
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        seats = [*self._seats.values(), *(s for kind in set(self._order) for s in kind.idle)]
        stopping = [self._guarded(s, s.user.on_stop()) for s in seats if s.kind.stops]
        await asyncio.gather(*stopping)

    async def close(self) -> None:
        """Leave the client to those who opened it."""


def _name_of(task: Task) -> str:
    return getattr(task, "__name__", "task")
