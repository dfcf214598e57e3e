"""Durable timers: messages that are due later, once each, whoever owns their key by then.

A timer is a row, set and cancelled by the commit of a change. Each node looks for the due ones of
the partitions that it owns, asks the actor, and ends the timer when it has a definite answer. What
is in memory here is never more than a copy: a timer that is forgotten is found again in the store,
by this node or by the next owner of its partition.

So a timer may fire more than once, and its effect happens once, because what the actor decides goes
to the journal under :attr:`~schemas.change.TimerFired.request_id`. It may also fire when it was
cancelled a moment ago; the actor decides by its state, as with any other message.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Protocol

import msgspec

from kernel.clock import Clock
from kernel.partition import partition_of
from schemas.change import TimerFired
from schemas.envelope import Reply
from schemas.errors import ErrorBody, Internal, Unavailable, ZhihuiError, error_from_body

__all__ = (
    "ANSWER_WITHIN_S",
    "FORGET_RETRIES_S",
    "IN_FLIGHT_MAX",
    "LOOK_EVERY_S",
    "RETRYING_MAX",
    "RETRY_S",
    "RETRY_S_MAX",
    "TICK_S",
    "WAITING_MAX",
    "Asker",
    "DueTimer",
    "TimerService",
    "TimerStatistics",
    "TimerStore",
)

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_error_decoder = msgspec.msgpack.Decoder(ErrorBody)
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
# Beyond the end of the calendar from wherever it is counted.
_EVERY_S_MAX = 10**12

# How often the store is asked, which is as late as a timer can be that was set for a moment before
# the next look. One index scan that finds nothing costs a tenth of a millisecond.
LOOK_EVERY_S = 0.5
# The pause between two turns while timers are under way. It is also what ends share one statement.
TICK_S = 0.02
# Timers that wait for their answers. The callers of the service have thousands under way, so that
# ten thousand timers due at once remain a small share of each batch; and an identity's queue holds
# 256, so that all of these may be for one key.
IN_FLIGHT_MAX = 200
# Timers read and not started: more are read while those of the last reading are under way.
WAITING_MAX = 2 * IN_FLIGHT_MAX
# Timers of actors that are unavailable. They are kept out of the search, or the oldest few hundred
# of an actor that is paused would hold up all others; beyond this many they do.
RETRYING_MAX = 10_000
ANSWER_WITHIN_S = 10.0
# The pause before a timer is tried again; it doubles with each attempt.
RETRY_S = 0.2
RETRY_S_MAX = 10.0
# A timer that was to be tried again and is not found any more is forgotten after this long.
FORGET_RETRIES_S = 60.0


class DueTimer(msgspec.Struct, frozen=True):
    """A timer as its row stands; ``every_s`` is 0 for one that comes once."""

    timer_id: str
    due_at: datetime
    every_s: int
    kind: str
    key: str
    type: str
    app: str
    body: bytes


class TimerStore(Protocol):
    """Where the timers are."""

    async def due_timers(
        self, partitions: list[int], now: datetime, limit: int, without: list[str]
    ) -> list[DueTimer]:
        """Return timers of these partitions that are due at ``now``, the oldest first.

        Those whose ids are in ``without`` are under way already and left out.
        """

    async def end_timers(self, ended: list[tuple[str, datetime, datetime | None]]) -> None:
        """Remove each ``(timer_id, due_at, next_due_at)``, or move it to its next time.

        A row that is not there any more, or has another ``due_at``, is left as it is.
        """


class Asker(Protocol):
    """The way to the actors; the node is one."""

    def ask_nowait(
        self, kind: str, key: str, type_: str, app: str, deadline_ms: int, body: bytes,
        callback: Callable[[Reply], None],
    ) -> None:  # fmt: skip
        """Ask the actor ``(kind, key)``; ``callback`` gets exactly one reply by the deadline."""


class TimerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; those of ``waiting``, ``in_flight`` and ``retrying`` are of now.

    ``fired`` were answered, ``rejected`` answered with a rejection, ``failed`` with ``internal``;
    ``retried`` counts attempts that found the actor unavailable, ``store_failures`` turns without
    the store. ``lag_s`` is by how many seconds the oldest known timer is overdue.
    """

    fired: int
    rejected: int
    failed: int
    retried: int
    store_failures: int
    waiting: int
    in_flight: int
    retrying: int
    lag_s: float


class _Firing:
    """A timer on its way: how often it was tried, and when it is tried again.

    ``missed`` stays as it was at the first attempt: the actor may have had its effect then.
    """

    __slots__ = ("attempts", "missed", "partition", "retry_at_s", "timer")

    def __init__(self, timer: DueTimer) -> None:
        self.timer = timer
        self.partition = partition_of(timer.kind, timer.key)
        self.attempts = 0
        self.missed = 0
        self.retry_at_s = 0.0

    def __lt__(self, other: "_Firing") -> bool:
        return self.timer.due_at < other.timer.due_at


class TimerService:
    """Fire the due timers of this node's partitions. One for each node.

    ``partitions`` returns those that the node serves at this moment. All times are the clock's.
    """

    def __init__(
        self,
        store: TimerStore,
        asker: Asker,
        clock: Clock,
        partitions: Callable[[], Iterable[int]],
    ) -> None:
        self._store = store
        self._asker = asker
        self._clock = clock
        self._partitions = partitions
        # Read and not started, a heap by due time.
        self._waiting: list[_Firing] = []
        self._in_flight: dict[str, _Firing] = {}
        self._retrying: dict[str, _Firing] = {}
        # Answered, and not yet noted in the store.
        self._ended: dict[str, tuple[str, datetime, datetime | None]] = {}
        self._look_at_s = clock.monotonic_s()
        self._store_away_until_s = self._look_at_s
        self._stopping = False
        self._counts = {"fired": 0, "rejected": 0, "failed": 0, "retried": 0, "store_failures": 0}

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            await self._turn()
            await self._clock.sleep(self._pause_s())

    async def stop(self) -> None:
        """Start no more; return when what is in flight is answered and noted.

        :meth:`run` has to go on meanwhile. What is not started is left to the next owner.
        """
        self._stopping = True
        self._waiting.clear()
        while self._in_flight or self._ended:
            await self._clock.sleep(TICK_S)

    def statistics(self) -> TimerStatistics:
        """Return the counts so far."""
        known = (*self._waiting[:1], *self._in_flight.values(), *self._retrying.values())
        oldest = min(known, default=None)
        lag = self._clock.now() - oldest.timer.due_at if oldest else timedelta()
        return TimerStatistics(
            **self._counts,
            waiting=len(self._waiting),
            in_flight=len(self._in_flight),
            retrying=len(self._retrying),
            lag_s=max(0.0, lag.total_seconds()),
        )

    def _pause_s(self) -> float:
        """Return the seconds until there may be something to do."""
        if self._in_flight or self._ended:
            return TICK_S
        pause_s = self._look_at_s - self._clock.monotonic_s()
        if self._waiting:
            due_in = self._waiting[0].timer.due_at - self._clock.now()
            pause_s = min(pause_s, due_in.total_seconds())
        # At least a tick, so that whatever the reason this never becomes a loop without a pause.
        return max(pause_s, TICK_S)

    async def _turn(self) -> None:
        if self._clock.monotonic_s() >= self._store_away_until_s:
            try:
                await self._note_ended()
                if not self._stopping and self._clock.monotonic_s() >= self._look_at_s:
                    await self._look()
            except ZhihuiError as error:
                # Nothing is lost: what is due stays so, and what was answered is noted once the
                # store is back, or fires again and is known by its request id.
                self._counts["store_failures"] += 1
                self._store_away_until_s = self._clock.monotonic_s() + LOOK_EVERY_S
                _log.warning("timers wait for the store: %s", error.message)
        if not self._stopping:
            self._start_due()

    # The store.

    async def _note_ended(self) -> None:
        if self._ended:
            ended = list(self._ended.values())
            await self._store.end_timers(ended)
            for one in ended:
                del self._ended[one[0]]

    async def _look(self) -> None:
        """Read the timers that are due before the next look, so that each can be met in time."""
        now_s = self._clock.monotonic_s()
        self._look_at_s = now_s + LOOK_EVERY_S
        partitions = list(self._partitions())
        self._forget(set(partitions), now_s)
        room = WAITING_MAX - len(self._waiting)
        resting = [name for name, one in self._retrying.items() if one.retry_at_s > now_s]
        if not partitions or len(resting) >= RETRYING_MAX:
            return
        if room < IN_FLIGHT_MAX:
            self._look_at_s = now_s
            return
        without = [*(one.timer.timer_id for one in self._waiting), *resting]
        without += [*self._in_flight, *self._ended]
        until = self._clock.now() + timedelta(seconds=LOOK_EVERY_S)
        found = await self._store.due_timers(partitions, until, room, without)
        for timer in found:
            firing = self._retrying.pop(timer.timer_id, None)
            if firing is None or firing.timer.due_at != timer.due_at:
                firing = _Firing(timer)
            heappush(self._waiting, firing)
        if len(found) == room:
            # There are more. They are read as soon as these are started.
            self._look_at_s = now_s

    def _forget(self, partitions: set[int], now_s: float) -> None:
        """Drop what another node fires now, and what was cancelled while it waited for a retry."""
        if any(one.partition not in partitions for one in self._waiting):
            # A sorted list is a heap.
            self._waiting = sorted(one for one in self._waiting if one.partition in partitions)
        for name, one in list(self._retrying.items()):
            if one.partition not in partitions or one.retry_at_s + FORGET_RETRIES_S < now_s:
                del self._retrying[name]

    # The actors.

    def _start_due(self) -> None:
        now = self._clock.now()
        owned = set(self._partitions())
        while (
            self._waiting
            and len(self._in_flight) < IN_FLIGHT_MAX
            and self._waiting[0].timer.due_at <= now
        ):
            firing = heappop(self._waiting)
            if firing.partition in owned:
                self._start(firing, now)

    def _start(self, firing: _Firing, now: datetime) -> None:
        timer = firing.timer
        firing.attempts += 1
        if timer.every_s and firing.attempts == 1:
            firing.missed = (now - timer.due_at) // _interval(timer)
        due_at_ms = (timer.due_at - _EPOCH_START) // timedelta(milliseconds=1)
        fired = TimerFired(timer.timer_id, due_at_ms, firing.missed, msgspec.Raw(timer.body))
        self._in_flight[timer.timer_id] = firing
        self._asker.ask_nowait(
            timer.kind,
            timer.key,
            timer.type,
            timer.app,
            self._clock.now_ms() + int(ANSWER_WITHIN_S * 1000),
            _encode(fired),
            lambda reply: self._answered(firing, reply),
        )

    def _answered(self, firing: _Firing, reply: Reply) -> None:
        timer = firing.timer
        del self._in_flight[timer.timer_id]
        if reply.ok:
            self._counts["fired"] += 1
        else:
            error = error_from_body(_error_decoder.decode(reply.body))
            if isinstance(error, Unavailable):
                self._retry(firing, error)
                return
            # The actor has decided, or the message is a dead letter: neither gets better.
            self._counts["failed" if isinstance(error, Internal) else "rejected"] += 1
            _log.log(
                logging.WARNING if isinstance(error, Internal) else logging.INFO,
                "timer %s of %s %r ends with %s: %s",
                *(timer.timer_id, timer.kind, timer.key, error.code, error.message),
            )
        self._ended[timer.timer_id] = (timer.timer_id, timer.due_at, _next_due(firing))

    def _retry(self, firing: _Firing, error: Unavailable) -> None:
        # Only its id stays out of the search for a while: the row is read again, as it may have
        # been cancelled meanwhile.
        self._counts["retried"] += 1
        pause_s = min(RETRY_S * 2 ** min(firing.attempts - 1, 10), RETRY_S_MAX)
        pause_s = min(max(pause_s, error.retry_after_s or 0.0), RETRY_S_MAX)
        firing.retry_at_s = self._clock.monotonic_s() + pause_s
        self._retrying[firing.timer.timer_id] = firing


def _interval(timer: DueTimer) -> timedelta:
    # A row may hold more seconds than the type can.
    return timedelta(seconds=min(timer.every_s, _EVERY_S_MAX))


def _next_due(firing: _Firing) -> datetime | None:
    """Return the first time in the grid that the firing did not stand for, or None."""
    timer = firing.timer
    if not timer.every_s:
        return None
    try:
        return timer.due_at + _interval(timer) * (firing.missed + 1)
    except OverflowError:
        # Beyond the end of the calendar: it has come for the last time.
        return None
