"""Which generation serves, and that whoever served before does when a step goes wrong."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from kernel.plugins.archive import Archive
from kernel.plugins.errors import (
    GenerationUnknown,
    ImportRefused,
    LoadFailed,
    ManifestInvalid,
    NothingServes,
    PluginPaused,
    SelfTestFailed,
    TransitionRefused,
)
from kernel.plugins.generation import State
from kernel.plugins.registry import GENERATIONS_MAX, Registry
from kernel.plugins.slot import PPM, Slot
from kernel.virtual_time import VirtualClock, run_virtual
from tests.unit.plugins_host.lab import TERMS, Desk, News, changed, library

_V1, _V2 = library(1), library(2)


class _World:
    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.news = News()
        self.registry = Registry(TERMS, clock, self.news)
        self.slot = self.registry.slot("library")
        self.desk = Desk(self.registry, clock)

    async def serve(self, archive: Archive, number: int) -> None:
        await self.registry.load(archive, number)
        self.registry.promote("library", number)

    async def ask(self) -> int:
        """Return the edition that answers for one book."""
        await self.desk.send("add", request_id="r", isbn="i-1", copies=1)
        answer = await self.desk.send("get", isbn="i-1")
        edition: int = answer["edition"]
        return edition


def _run(main: Callable[[_World], Awaitable[None]]) -> News:
    async def run(clock: VirtualClock, randomness: object) -> News:
        world = _World(clock)
        try:
            await main(world)
        finally:
            await anyio.lowlevel.checkpoint()
            world.registry.withdraw("library")
            for number in list(world.slot.generations):
                if world.slot.generations[number].state is not State.STOPPED:
                    await world.registry.drain("library", number, 1.0)
                await world.registry.unload("library", number)
        return world.news

    return run_virtual(run)


def test_loading_serves_nobody() -> None:
    """Only promotion does; before it there is an answer that says so."""

    async def main(world: _World) -> None:
        with pytest.raises(NothingServes):
            world.slot.pick("i-1")
        await world.registry.load(_V1, 1)
        with pytest.raises(NothingServes, match="no version of library serves yet"):
            await world.ask()
        world.registry.promote("library", 1)
        assert await world.ask() == 1
        await world.registry.load(_V2, 2)
        assert await world.ask() == 1
        world.registry.promote("library", 2)
        assert await world.ask() == 2

    assert _run(main).switches()[:2] == ["promoted", "promoted"]


def test_a_step_that_is_done_is_not_done_again() -> None:
    """Promoting what is promoted changes and tells nothing."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        before = len(world.news.all)
        world.registry.promote("library", 1)
        world.registry.resume("library")
        assert len(world.news.all) == before

    _run(main)


_BROKEN_PACK = _V2.files["pack.py"].decode()


def _broken(find: str, put: str) -> Archive:
    assert find in _BROKEN_PACK
    return changed(_V2, {"pack.py": _BROKEN_PACK.replace(find, put)})


_CHECK = "        assert per_reader_max() >= 1\n"


@pytest.mark.parametrize(
    ("archive", "error"),
    [
        (changed(_V2, {"pack.py": "1 / 0\n"}), LoadFailed),
        (changed(_V2, {"spy.py": "import kernel.node\n"}), ImportRefused),
        (_broken(_CHECK, "        raise ValueError('no')\n"), SelfTestFailed),
        (_broken(_CHECK, "        import anyio\n        await anyio.sleep(99)\n"), SelfTestFailed),
        (_broken('name = "library"', 'name = "museum"'), LoadFailed),
        (
            changed(
                _V2, {"plugin.toml": _V2.files["plugin.toml"].decode().replace("<0.2", "<0.1")}
            ),
            ManifestInvalid,
        ),
        (
            changed(
                _V2, {"plugin.toml": _V2.files["plugin.toml"].decode().replace("notify", "fly")}
            ),
            ManifestInvalid,
        ),
    ],
    ids=["crash", "import", "self-test", "slow start", "other name", "api", "capability"],
)
def test_a_load_that_fails_leaves_the_old_one_serving(
    archive: Archive, error: type[Exception]
) -> None:
    """The new one is gone without a trace, its number is free, and messages are answered."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        answers: list[int] = []

        async def ask() -> None:
            while True:
                answers.append(await world.ask())
                await anyio.sleep(0.05)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            with pytest.raises(error):
                await world.registry.load(archive, 2)
            await anyio.sleep(0.2)
            tasks.cancel_scope.cancel()
        assert set(answers) == {1}
        assert list(world.slot.generations) == [1]
        assert world.registry.statistics().load_failures == 1
        await world.registry.load(_V2, 2)

    _run(main)


def test_a_number_is_used_once_at_a_time() -> None:
    """Two loads of one number do not mix, and there are not more than a node can hold."""

    async def main(world: _World) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.registry.load, _V1, 1)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(TransitionRefused, match="has a generation 1 already"):
                await world.registry.load(_V2, 1)
        with pytest.raises(TransitionRefused, match="has a generation 1 already"):
            await world.registry.load(_V2, 1)
        for number in range(2, GENERATIONS_MAX + 1):
            await world.registry.load(_V1, number)
        with pytest.raises(TransitionRefused, match="unload some first"):
            await world.registry.load(_V1, 99)

    _run(main)


def test_who_does_not_run_does_not_serve() -> None:
    """Promotion of a stopped, an unknown or a faulty one is refused; the old one serves."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        await world.registry.load(_V2, 2)
        await world.registry.drain("library", 2, 1.0)
        with pytest.raises(TransitionRefused, match="is stopped and cannot serve"):
            world.registry.promote("library", 2)
        with pytest.raises(TransitionRefused):
            world.registry.set_canary("library", 2, 1000)
        with pytest.raises(GenerationUnknown, match="no generation 3 on this node; it has 1, 2"):
            world.registry.promote("library", 3)
        with pytest.raises(GenerationUnknown, match="no plugin 'museum'"):
            world.registry.promote("museum", 1)
        assert await world.ask() == 1
        await world.registry.start("library", 2)
        world.registry.fault("library", 2, "an operator said so")
        with pytest.raises(TransitionRefused, match="is faulted"):
            world.registry.promote("library", 2)
        assert await world.ask() == 1

    _run(main)


def test_who_serves_is_not_taken_away() -> None:
    """Draining or unloading the promoted one or the canary is refused."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        await world.registry.load(_V2, 2)
        world.registry.set_canary("library", 2, 1000)
        for number in (1, 2):
            with pytest.raises(TransitionRefused, match="serves"):
                await world.registry.drain("library", number, 1.0)
            with pytest.raises(TransitionRefused, match="serves"):
                await world.registry.unload("library", number)
        assert await world.ask() in (1, 2)

    _run(main)


def test_a_canary_serves_its_share_of_keys() -> None:
    """The share is close to what was asked, a key stays, and a larger share only adds keys."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        await world.registry.load(_V2, 2)
        keys = [f"book-{number}" for number in range(20_000)]
        before: set[str] = set()
        for ppm in (1_000, 10_000, 100_000, 500_000, PPM):
            world.registry.set_canary("library", 2, ppm)
            now = {key for key in keys if world.slot.pick(key).number == 2}
            assert before <= now
            assert len(now) == pytest.approx(len(keys) * ppm / PPM, rel=0.4)
            before = now
        world.registry.set_canary("library", 2, 0)
        assert not any(world.slot.pick(key).number == 2 for key in keys)
        for bad in (-1, PPM + 1):
            with pytest.raises(TransitionRefused, match="is no share"):
                world.registry.set_canary("library", 2, bad)

    _run(main)


def test_shares_of_plugins_are_not_the_same_keys() -> None:
    """The same keys are not always the first to be tried on."""
    keys = [f"key-{number}" for number in range(10_000)]
    shares = [{key for key in keys if Slot(name).in_share(key, 100_000)} for name in ("a", "b")]
    assert len(shares[0] & shares[1]) < len(shares[0]) / 3


def test_a_canary_becomes_the_promoted_one() -> None:
    """It then serves all keys and is no canary any more."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        await world.registry.load(_V2, 2)
        world.registry.set_canary("library", 2, 1000)
        world.registry.promote("library", 2)
        with pytest.raises(TransitionRefused, match="serves all keys already"):
            world.registry.set_canary("library", 2, 1000)
        found = world.slot.statistics()
        assert (found.promoted, found.canary, found.canary_ppm, found.previous) == (2, 0, 0, 1)

    _run(main)


def test_a_rollback_is_at_once() -> None:
    """The one before serves from the next message on, also when it was draining already."""

    async def main(world: _World) -> None:
        with pytest.raises(GenerationUnknown):
            world.registry.rollback("nothing")
        await world.serve(_V1, 1)
        with pytest.raises(TransitionRefused, match="no version to go back to"):
            world.registry.rollback("library")
        await world.serve(_V2, 2)
        async with anyio.create_task_group() as tasks:
            with world.slot.find(1).lease():
                drained: list[str] = []

                async def drain() -> None:
                    try:
                        await world.registry.drain("library", 1, 5.0)
                    except TransitionRefused:
                        drained.append("taken back")

                tasks.start_soon(drain)
                await anyio.sleep(0.1)
                assert world.slot.find(1).state is State.DRAINING
                assert world.registry.rollback("library", "because").number == 1
        assert drained == ["taken back"]
        assert await world.ask() == 1
        assert world.slot.statistics().rollbacks == 1

    assert "rolled_back" in _run(main).switches()


def test_work_under_way_stays_where_it_began() -> None:
    """A message that began before the switch is finished by the code that began it."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        world.desk.commit_s = 1.0
        answers: list[Any] = []

        async def add() -> None:
            answers.append(await world.desk.send("add", request_id="r", isbn="i-1", copies=2))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add)
            await anyio.sleep(0.1)
            await world.serve(_V2, 2)
            tasks.start_soon(world.registry.drain, "library", 1, 5.0)
            await anyio.sleep(0.1)
            assert world.slot.find(1).state is State.DRAINING
        assert answers[0]["edition"] == 1
        assert world.slot.find(1).state is State.STOPPED
        assert (await world.desk.send("get", isbn="i-1"))["edition"] == 2
        assert (await world.desk.send("get", isbn="i-1"))["on_shelf"] == 2

    _run(main)


def test_a_paused_plugin_takes_no_new_work() -> None:
    """It says so, through a promotion as well, until it is resumed."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        with world.slot.lease("i-1") as turn:
            world.registry.pause("library", "the shelves are counted")
            with pytest.raises(PluginPaused):
                await world.ask()
            await turn.run(anyio.sleep(0.1))
        await world.serve(_V2, 2)
        with pytest.raises(PluginPaused):
            await world.ask()
        world.registry.resume("library")
        assert await world.ask() == 2

    assert _run(main).switches()[:4] == ["promoted", "paused", "promoted", "resumed"]


def test_what_is_withdrawn_serves_nobody() -> None:
    """Messages may be sent again later, and going back is still possible."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        world.registry.withdraw("library", "closed")
        with pytest.raises(NothingServes):
            await world.ask()
        world.registry.rollback("library")
        assert await world.ask() == 1

    _run(main)


_FAILS = _broken("        copies = () if book is None else book.copies", "        copies = 1 / 0")


def test_the_guard_goes_back_by_itself() -> None:
    """A version that fails serves a handful of messages; the one before then serves them all."""

    async def main(world: _World) -> None:
        told: list[tuple[int, str]] = []
        world.registry.on_trip(lambda one, reason: told.append((one.number, reason)))
        await world.serve(_V1, 1)
        await world.serve(_FAILS, 2)
        for _ in range(TERMS.guard.consecutive_max):
            with pytest.raises(ZeroDivisionError):
                await world.ask()
        assert await world.ask() == 1
        assert told == [(2, "5 faults one after the other")]
        assert world.slot.find(2).state is State.FAULTED
        with pytest.raises(TransitionRefused, match="no version to go back to"):
            world.registry.rollback("library")

    news = _run(main)
    assert news.switches()[:3] == ["promoted", "promoted", "rolled_back"]


def test_the_guard_withdraws_a_canary() -> None:
    """The promoted one serves its keys as before."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        await world.registry.load(_FAILS, 2)
        world.registry.set_canary("library", 2, PPM)
        for _ in range(TERMS.guard.consecutive_max):
            with pytest.raises(ZeroDivisionError):
                await world.ask()
        assert await world.ask() == 1
        assert world.slot.canary is None

    _run(main)


def test_without_a_version_before_the_faulty_one_serves_on() -> None:
    """Half of the answers are better than none; whoever listens is told."""

    async def main(world: _World) -> None:
        await world.serve(_FAILS, 1)
        for _ in range(TERMS.guard.consecutive_max + 2):
            with pytest.raises(ZeroDivisionError):
                await world.ask()
        assert world.slot.find(1).state is State.RUNNING

    assert _run(main).switches()[:2] == ["promoted", "unguarded"]


def test_late_faults_of_one_that_is_out_change_nothing() -> None:
    """Work that began before the rollback may still fail, and nobody goes back twice."""

    async def main(world: _World) -> None:
        await world.serve(_V1, 1)
        await world.serve(_V2, 2)
        bad = world.slot.find(2)
        turns = [bad.lease() for _ in range(8)]
        for turn in turns:
            turn.__enter__()
        for turn in turns:
            turn.__exit__(ValueError, ValueError("late"), None)
        assert world.slot.statistics().promoted == 1
        assert world.slot.statistics().rollbacks == 1

    _run(main)


def test_a_listener_that_fails_stops_nothing() -> None:
    """What is told has happened already."""

    async def run(clock: VirtualClock, randomness: object) -> None:
        def fail(news: object) -> None:
            raise ValueError("cannot listen")

        registry = Registry(TERMS, clock, fail)
        await registry.load(_V1, 1)
        registry.promote("library", 1)
        assert registry.slot("library").pick("x").number == 1
        registry.withdraw("library")
        await registry.drain("library", 1, 1.0)
        await registry.unload("library", 1)

    run_virtual(run)
