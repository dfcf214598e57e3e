"""The timer service on virtual time, with a store in memory and actors that answer as told."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.clock import ManualClock
from kernel.partition import PARTITIONS, partition_of
from kernel.timers import (
    ANSWER_WITHIN_S,
    IN_FLIGHT_MAX,
    LOOK_EVERY_S,
    RETRYING_MAX,
    TICK_S,
    DueTimer,
    TimerService,
)
from schemas.change import TimerFired
from schemas.envelope import Reply
from schemas.errors import Busy, Internal, InvalidState, NotReady, ZhihuiError
from tests.eventually import turns
from tests.unit.kernel.harness import START

pytestmark = pytest.mark.anyio

_encode = msgspec.msgpack.encode
_Callback = Callable[[Reply], None]
_OK = Reply(0, True, msgspec.Raw(_encode(None)))


def _failure(error: ZhihuiError) -> Reply:
    return Reply(0, False, msgspec.Raw(_encode(error.body())))


class _Ask(msgspec.Struct, frozen=True):
    """A question as the actor got it, and when, in seconds since the start."""

    at_s: float
    kind: str
    key: str
    type: str
    app: str
    deadline_ms: int
    fired: TimerFired


class _Clock(ManualClock):
    """A clock that moves from one sleeper's time to the next."""

    def __init__(self) -> None:
        super().__init__(START)
        self._sleepers: list[tuple[float, anyio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        """Wait until the time is moved that far."""
        sleeper = (self.monotonic_s() + seconds, anyio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    async def run_until(self, seconds: float) -> None:
        """Wake each sleeper at its time, up to ``seconds`` since the start."""
        while True:
            await turns(5)
            next_s, event = min(self._sleepers, key=lambda one: one[0])
            self.advance(max(0.0, min(next_s, seconds) - self.monotonic_s()))
            if next_s > seconds:
                return
            event.set()


class _World:
    """Rows, actors and the time; ``answer`` says what an actor answers, None is nothing yet."""

    def __init__(self) -> None:
        self.clock = _Clock()
        self.rows: dict[str, DueTimer] = {}
        self.partitions = set(range(PARTITIONS))
        self.asked: list[_Ask] = []
        self.open: list[tuple[_Ask, _Callback]] = []
        self.answer: Callable[[_Ask], Reply | None] = lambda _ask: _OK
        self.store_away = False
        self.looks = 0
        self.in_flight_max = 0
        self.service = TimerService(self, self, self.clock, lambda: self.partitions)

    def set(
        self, timer_id: str, due_s: float, *, every_s: int = 0, kind: str = "clerk", key: str = "k"
    ) -> None:
        due_at = START + timedelta(seconds=due_s)
        body = _encode(timer_id)
        self.rows[timer_id] = DueTimer(timer_id, due_at, every_s, kind, key, "ring", "shop", body)

    def due_s(self, timer_id: str) -> float:
        return (self.rows[timer_id].due_at - START).total_seconds()

    async def due_timers(
        self, partitions: list[int], now: datetime, limit: int, without: list[str]
    ) -> list[DueTimer]:
        self.looks += 1
        if self.store_away:
            raise NotReady("the store is away")
        assert limit > 0
        hidden = set(without)
        found = [
            row
            for row in self.rows.values()
            if row.due_at <= now
            and row.timer_id not in hidden
            and partition_of(row.kind, row.key) in partitions
        ]
        return sorted(found, key=lambda row: row.due_at)[:limit]

    async def end_timers(self, ended: list[tuple[str, datetime, datetime | None]]) -> None:
        if self.store_away:
            raise NotReady("the store is away")
        for timer_id, due_at, next_due_at in ended:
            row = self.rows.get(timer_id)
            if row is None or row.due_at != due_at:
                continue
            if next_due_at is None:
                del self.rows[timer_id]
            else:
                self.rows[timer_id] = msgspec.structs.replace(row, due_at=next_due_at)

    def ask_nowait(
        self, kind: str, key: str, type_: str, app: str, deadline_ms: int, body: bytes,
        callback: _Callback,
    ) -> None:  # fmt: skip
        fired = msgspec.msgpack.decode(body, type=TimerFired)
        ask = _Ask(self.clock.monotonic_s(), kind, key, type_, app, deadline_ms, fired)
        self.asked.append(ask)
        reply = self.answer(ask)
        if reply is not None:
            callback(reply)
        else:
            self.open.append((ask, callback))
            self.in_flight_max = max(self.in_flight_max, len(self.open))

    def answer_open(self, reply: Reply = _OK) -> None:
        waiting, self.open = self.open, []
        for _, callback in waiting:
            callback(reply)

    async def run_until(self, seconds: float) -> None:
        """Run the service until that time; nothing is lost when it is run again."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.service.run)
            await self.clock.run_until(seconds)
            tasks.cancel_scope.cancel()

    def names(self) -> list[str]:
        return [ask.fired.timer_id for ask in self.asked]


async def test_a_timer_fires_once_at_its_time() -> None:
    """The actor gets the message with its name, app and a deadline; then the row is gone."""
    world = _World()
    world.set("t1", 2.25)
    await world.run_until(2.2)
    assert world.asked == []
    await world.run_until(5)
    (ask,) = world.asked
    assert 2.25 <= ask.at_s <= 2.25 + 2 * TICK_S
    assert (ask.kind, ask.key, ask.type, ask.app) == ("clerk", "k", "ring", "shop")
    assert ask.deadline_ms == int(START.timestamp() * 1000 + (ask.at_s + ANSWER_WITHIN_S) * 1000)
    assert msgspec.msgpack.decode(ask.fired.body) == "t1"
    assert ask.fired.due_at_ms == int(START.timestamp() * 1000) + 2250
    assert ask.fired.missed == 0
    assert world.rows == {}
    assert world.service.statistics().fired == 1


async def test_a_timer_set_for_the_next_moment_is_hardly_late() -> None:
    """What is set between two looks is fired at the latest at the next one."""
    world = _World()
    await world.run_until(1.1)
    world.set("t1", 1.15)
    await world.run_until(3)
    (ask,) = world.asked
    assert 1.15 <= ask.at_s <= 1.15 + LOOK_EVERY_S


async def test_looking_for_nothing_is_rare() -> None:
    """With nothing due the store is asked once an interval."""
    world = _World()
    await world.run_until(20)
    assert world.looks <= 20 / LOOK_EVERY_S + 1


async def test_a_recurring_timer_keeps_to_its_grid() -> None:
    """It comes at each time of its grid, under a request id of its own each time."""
    world = _World()
    world.set("t1", 1.0, every_s=2)
    await world.run_until(8)
    assert [round(ask.at_s) for ask in world.asked] == [1, 3, 5, 7]
    assert len({ask.fired.request_id for ask in world.asked}) == 4
    assert world.due_s("t1") == 9.0


async def test_times_missed_in_an_outage_come_as_one() -> None:
    """The first missed time is fired with the number of those after it, then the grid goes on."""
    world = _World()
    world.set("t1", -10.0, every_s=3)
    await world.run_until(1)
    (ask,) = world.asked
    assert ask.fired.missed == 3
    assert ask.fired.due_at_ms == int(START.timestamp() * 1000) - 10_000
    assert world.due_s("t1") == 2.0


async def test_a_retry_stands_for_the_same_times() -> None:
    """What the first attempt stood for stays, and no time is left out although many pass."""
    world = _World()
    world.set("t1", -2.0, every_s=1)
    world.answer = lambda ask: _failure(Busy("full")) if ask.at_s < 6 else _OK
    await world.run_until(20.5)
    assert {ask.fired.missed for ask in world.asked if ask.at_s < 6} == {2}
    effects = {ask.fired.request_id: ask.fired.missed + 1 for ask in world.asked if ask.at_s >= 6}
    assert sum(effects.values()) == world.due_s("t1") + 2


async def test_a_recurrence_beyond_the_calendar_ends() -> None:
    """An interval that leads out of the calendar does not stop the others."""
    world = _World()
    world.set("t1", -1.0, every_s=400_000_000_000)
    world.set("t2", 0.0, every_s=2**63 - 1)
    world.set("t3", 1.0)
    await world.run_until(2)
    assert world.names() == ["t1", "t2", "t3"]
    assert world.rows == {}


@pytest.mark.parametrize("error", [InvalidState("captured already"), Internal("a bug")])
async def test_a_definite_failure_ends_a_timer(error: ZhihuiError) -> None:
    """A rejection, and a message that is kept as a dead letter, are answers."""
    world = _World()
    world.set("t1", 1.0)
    world.set("t2", 1.0, every_s=60)
    world.answer = lambda _ask: _failure(error)
    await world.run_until(30)
    assert sorted(world.names()) == ["t1", "t2"]
    assert list(world.rows) == ["t2"]
    assert world.due_s("t2") == 61.0
    statistics = world.service.statistics()
    assert statistics.rejected + statistics.failed == 2
    assert statistics.fired == 0


async def test_an_unavailable_actor_is_asked_again_after_growing_pauses() -> None:
    """Attempts get rarer up to a limit, all under one request id, and the last has its effect."""
    world = _World()
    world.set("t1", 1.0)
    world.answer = lambda ask: _failure(NotReady("paused")) if ask.at_s < 30 else _OK
    await world.run_until(60)
    times = [ask.at_s for ask in world.asked]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert 4 <= len(pauses) <= 12
    assert pauses[-1] > 5 * pauses[0]
    assert max(pauses) <= 11
    assert len({ask.fired.request_id for ask in world.asked}) == 1
    assert world.rows == {}
    assert world.service.statistics().retried == len(pauses)


async def test_what_was_cancelled_while_it_waits_for_a_retry_does_not_fire() -> None:
    """The row is read again before the next attempt, and what is gone is forgotten."""
    world = _World()
    world.set("t1", 1.0)
    world.answer = lambda _ask: _failure(Busy("full"))
    await world.run_until(1.3)
    asked = len(world.asked)
    assert asked > 0
    del world.rows["t1"]
    await world.run_until(100)
    assert len(world.asked) == asked
    assert world.service.statistics().retrying == 0


async def test_a_flood_is_bounded_and_goes_oldest_first() -> None:
    """However many are due, so many are in flight; each of them once, in the order of the times."""
    world = _World()
    for number in range(1_000):
        world.set(f"t{number:04}", -number, key=f"k{number}")
    world.answer = lambda _ask: None
    await world.run_until(3)
    assert world.in_flight_max == IN_FLIGHT_MAX
    assert world.names() == [f"t{number:04}" for number in range(999, 999 - IN_FLIGHT_MAX, -1)]
    seconds = 3.0
    while world.open:
        assert world.service.statistics().in_flight == len(world.open)
        world.answer_open()
        seconds += 0.1
        await world.run_until(seconds)
    assert world.names() == [f"t{number:04}" for number in range(999, -1, -1)]
    assert world.in_flight_max == IN_FLIGHT_MAX
    assert world.rows == {}


async def test_a_flood_does_not_wait_for_the_next_look() -> None:
    """While there are more due ones the store is asked as soon as there is room."""
    world = _World()
    for number in range(4_000):
        world.set(f"t{number:04}", -1.0, key=f"k{number}")
    await world.run_until(1.0)
    assert sorted(world.names()) == sorted(set(world.names()))
    assert len(world.asked) == 4_000
    assert world.rows == {}


async def test_an_actor_that_is_away_does_not_hold_up_the_others() -> None:
    """Thousands of older timers of one that is not ready leave the way free."""
    world = _World()
    for number in range(3 * IN_FLIGHT_MAX):
        world.set(f"old{number}", -100.0, kind="away", key=f"k{number}")
    world.set("new", 0.0)
    world.answer = lambda ask: _failure(NotReady("paused")) if ask.kind == "away" else _OK
    assert 3 * IN_FLIGHT_MAX < RETRYING_MAX
    await world.run_until(2)
    assert "new" in world.names()


async def test_timers_of_others_partitions_are_left_to_them() -> None:
    """What moved away before it was started is not fired here; what comes back is."""
    world = _World()
    world.set("t1", 1.4)
    world.set("t2", 1.4, key="other")
    mine, others = partition_of("clerk", "k"), partition_of("clerk", "other")
    assert mine != others
    # Read at 1.0 to be fired at 1.4, and lost in between.
    await world.run_until(1.1)
    world.partitions.discard(mine)
    await world.run_until(5)
    assert world.names() == ["t2"]
    world.partitions = {mine}
    await world.run_until(6)
    assert world.names() == ["t2", "t1"]
    world.partitions.clear()
    looks = world.looks
    await world.run_until(9)
    assert world.looks == looks


async def test_a_lost_retry_is_left_to_the_next_owner() -> None:
    """A timer whose partition moves while it waits for a retry is forgotten here."""
    world = _World()
    world.set("t1", 1.0)
    world.answer = lambda _ask: _failure(Busy("full"))
    await world.run_until(2)
    world.partitions.clear()
    await world.run_until(3)
    asked = len(world.asked)
    await world.run_until(20)
    assert len(world.asked) == asked
    assert list(world.rows) == ["t1"]
    assert world.service.statistics().retrying == 0


async def test_a_store_that_is_away_loses_nothing() -> None:
    """What was answered meanwhile is noted when the store is back, and does not fire again."""
    world = _World()
    world.set("t1", 1.0)
    world.set("t2", 8.0)
    world.answer = lambda _ask: None
    await world.run_until(2)
    world.store_away = True
    world.answer_open()
    await world.run_until(9)
    failures = world.service.statistics().store_failures
    assert 1 <= failures <= 7 / LOOK_EVERY_S + 1
    assert list(world.rows) == ["t1", "t2"]
    world.store_away = False
    world.answer = lambda _ask: _OK
    await world.run_until(12)
    assert world.names() == ["t1", "t2"]
    assert world.rows == {}


async def test_stopping_waits_for_what_is_in_flight() -> None:
    """After a stop nothing is started, and what was in flight is answered and noted."""
    world = _World()
    world.set("t1", 0.5)
    world.set("t2", 1.5, every_s=1)
    world.answer = lambda _ask: None
    await world.run_until(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.service.run)
        stopped = anyio.Event()

        async def stop() -> None:
            await world.service.stop()
            stopped.set()

        tasks.start_soon(stop)
        await world.clock.run_until(5)
        assert not stopped.is_set()
        world.answer_open()
        await world.clock.run_until(6)
        assert stopped.is_set()
        tasks.cancel_scope.cancel()
    assert world.names() == ["t1"]
    assert list(world.rows) == ["t2"]


async def test_the_lag_is_that_of_the_oldest() -> None:
    """Statistics tell by how much the oldest known timer is overdue."""
    world = _World()
    assert world.service.statistics().lag_s == 0
    world.set("old", -50.0)
    world.set("new", 0.0)
    world.answer = lambda _ask: _failure(NotReady("paused"))
    await world.run_until(10)
    assert 59 <= world.service.statistics().lag_s <= 61
    world.answer = lambda _ask: _OK
    await world.run_until(40)
    assert world.service.statistics().lag_s == 0


_Setting = tuple[int, int]
_timers = st.lists(st.tuples(st.integers(-60, 20), st.sampled_from([0, 0, 1, 3, 7])), max_size=30)
_faults = st.lists(st.sampled_from(["ok", "busy", "silent", "unheard", "away"]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(_timers, _faults)
def test_every_time_has_its_effect_once(timers: list[_Setting], faults: list[str]) -> None:
    """Whatever fails on the way, each time of each timer is stood for by one effect."""
    anyio.run(partial(_check_effects, timers, faults))


async def _check_effects(timers: list[_Setting], faults: list[str]) -> None:
    world = _World()
    for number, (due_s, every_s) in enumerate(timers):
        world.set(f"t{number}", due_s, every_s=every_s, key=f"k{number % 7}")
    effects: dict[str, tuple[str, int]] = {}

    def answer(ask: _Ask) -> Reply | None:
        fault = faults.pop() if faults else "ok"
        world.store_away = fault == "away"
        if fault == "busy":
            return _failure(Busy("full"))
        if fault != "silent":
            # The journal's part: the same request id has its effect once.
            effects.setdefault(ask.fired.request_id, (ask.fired.timer_id, ask.fired.missed + 1))
        return None if fault in ("silent", "unheard") else _OK

    world.answer = answer
    for second in range(1, 100, 3):
        await world.run_until(second)
        world.answer_open(_failure(NotReady("no answer by the deadline")))
        world.store_away = False
    await world.run_until(100.5)
    for number, (due_s, every_s) in enumerate(timers):
        name = f"t{number}"
        times = sum(count for owner, count in effects.values() if owner == name)
        if every_s:
            assert times == (world.due_s(name) - due_s) / every_s
            assert world.due_s(name) > 80
        else:
            assert (times, name in world.rows) == (1, False)
