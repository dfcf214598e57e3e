"""Versions of a pack come and go on a whole platform while its messages flow."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from kernel.plugins.archive import Archive
from kernel.plugins.generation import State
from kernel.plugins.slot import Slot
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World
from tests.unit.plugin_plan.plan_lab import UNSIGNED, Office
from zhihui.simulation.counter_pack import counter

_STORY_S_MAX = 100_000


class _Office(Office):
    """The back office, which waits for what it asked for."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._clock = world.clock

    async def number(self, archive: Archive) -> int:
        """Have an archive loaded; return its generation."""
        return int((await self.load(archive))["result"]["generation"])

    async def put(self, archive: Archive) -> int:
        """Have an archive loaded and promoted, and wait until all nodes have done so."""
        number = await self.serve(archive)
        await self.wait()
        return number

    async def wait(self, seconds: float = 3.0) -> None:
        """Wait until every node has had the time for what the plan says."""
        await self._clock.sleep(seconds)


class _Stage:
    """A world, its back office, and a shop that counts."""

    def __init__(self, world: World, office: _Office, shop: Caller) -> None:
        self.world = world
        self.office = office
        self.shop = shop
        self.numbers = 0

    async def add(self, counter_id: str, amount: int = 1, **more: Any) -> Any:
        """Add until there is an answer; return it."""
        self.numbers += 1
        return await self.shop.call(
            "counter.add", request_id=f"r{self.numbers}", counter_id=counter_id,
            amount_minor=amount, **more,
        )  # fmt: skip

    async def get(self, counter_id: str) -> Any:
        """Read a counter."""
        return await self.shop.call("counter.get", counter_id=counter_id)

    def slot(self, node: str = "n1") -> Slot:
        """Return the pack as a node has it."""
        return self.world.node(node).plugins.registry.slot("counter")

    def document(self, counter_id: str) -> dict[str, Any]:
        """Return the row of a counter."""
        (row,) = [one for one in self.world.rows("document") if one["key"] == f"shop/{counter_id}"]
        return row


def _play(story: Callable[[_Stage], Awaitable[Any]], nodes: tuple[str, ...] = ("n1",)) -> None:
    async def main(clock: VirtualClock, randomness: SeededRandomness) -> None:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks, UNSIGNED, resident=())
            for name in nodes:
                await world.start(name)
            office, shop = _Office(world), Caller(world)
            await office.open()
            await shop.open()
            with anyio.fail_after(_STORY_S_MAX):
                await story(_Stage(world, office, shop))
            tasks.cancel_scope.cancel()
        world.forget_code()

    run_virtual(main, seed=1)


def test_a_pack_comes_to_a_running_platform_and_goes() -> None:
    """Unknown before, served after its promotion, unknown again when it is unloaded."""

    async def story(stage: _Stage) -> None:
        async def code() -> str:
            answer = await stage.shop.ask(
                "counter.add", request_id="x", counter_id="c", amount_minor=1
            )
            return str(answer["error"]["code"])

        assert await code() == "unknown_operation"
        number = await stage.office.put(counter())
        assert (await stage.add("c", 5))["total"] == 5
        await stage.office.do("unload", name="counter", generation=number, leave_documents=True)
        await stage.office.wait()
        assert await code() == "unknown_operation"
        assert stage.slot().generations == {}
        plugins = stage.world.node("n1").plugins.statistics()
        assert (plugins.convergence.leaked, plugins.registry.unloaded) == (0, 1)

    _play(story)


def test_a_message_stays_with_the_version_that_began_it() -> None:
    """It is decided and committed by the old one while the new one serves the next message."""

    async def story(stage: _Stage) -> None:
        first = await stage.office.put(counter("1.0.0", before="await anyio.sleep(3)"))
        second = await stage.office.number(counter("1.1.0"))
        await stage.office.wait()
        answers = []

        async def slow() -> None:
            answers.append(await stage.add("old"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow)
            await stage.world.clock.sleep(0.1)
            await stage.office.do("promote", name="counter", generation=second)
            await stage.world.clock.sleep(1.5)
            answers.append(await stage.add("new"))
            await stage.office.do("drain", name="counter", generation=first)
            await stage.world.clock.sleep(0.2)
            assert stage.slot().generations[first].state is not State.STOPPED
        assert [one["by"] for one in answers] == ["1.1.0", "1.0.0"]
        assert (await stage.add("old"))["seen"] == "1.0.0"
        await stage.office.wait()
        assert stage.slot().generations[first].state is State.STOPPED

    _play(story)


def test_a_request_has_one_answer_whatever_version_is_asked() -> None:
    """Sent again to a version with more fields it is the same request, and not done again."""

    async def story(stage: _Stage) -> None:
        await stage.office.put(counter("1.0.0"))
        first = await stage.add("c", 7)
        await stage.office.put(
            counter("1.1.0", before="assert message.extra == 'e'", more='extra: str = "e"')
        )
        stage.numbers -= 1
        assert await stage.add("c", 7) == first
        answer = await stage.shop.ask(
            "counter.add", request_id="r1", counter_id="c", amount_minor=8
        )
        assert answer["error"]["code"] == "conflict"
        assert (await stage.add("c", 1, extra="e"))["total"] == 8

    _play(story)


def test_documents_go_forward_and_back() -> None:
    """Read by another version they are migrated; after a rollback they are written back by all."""

    async def story(stage: _Stage) -> None:
        await stage.office.put(counter("1.0.0"))
        await stage.add("c", 5)
        await stage.add("other", 3)
        second = await stage.office.put(counter("2.0.0", state_version=2))
        assert (await stage.get("c"))["total"] == 5
        assert stage.document("c")["state_version"] == 1
        assert (await stage.add("c", 2))["total"] == 7
        assert (stage.document("c")["state_version"], stage.document("c")["body"]) == (
            2, '{"parts":[7],"by":"2.0.0","rung":0}',
        )  # fmt: skip
        refused = await stage.office.try_("unload", name="counter", generation=second)
        assert refused["error"]["code"] == "invalid_state"
        await stage.office.do("rollback", name="counter")
        await stage.office.wait(6)
        # Nobody has touched it: the platform did.
        assert stage.document("c")["body"] == '{"total":7,"by":"2.0.0","rung":0}'
        assert (await stage.add("c"))["total"] == 8
        assert (await stage.add("other"))["total"] == 4
        await stage.office.do("unload", name="counter", generation=second)
        await stage.office.wait()
        assert (await stage.get("c"))["total"] == 8

    _play(story)


def test_documents_come_forward_once_the_version_has_proven_itself() -> None:
    """After its time on probation no document is left for which the old code would be needed."""

    async def story(stage: _Stage) -> None:
        first = await stage.office.put(counter("1.0.0"))
        for name in ("a", "b", "c"):
            await stage.add(name, 5)
        await stage.office.put(counter("2.0.0", state_version=2))
        for _ in range(60):
            await stage.add("busy")
        assert stage.document("a")["state_version"] == 1
        await stage.office.wait(40)
        assert {row["state_version"] for row in stage.world.rows("document")} == {2}
        assert [(await stage.get(name))["total"] for name in ("a", "b", "c")] == [5, 5, 5]
        await stage.office.do("unload", name="counter", generation=first)

    _play(story)


def test_a_version_that_crashes_is_rolled_back_without_losing_a_message() -> None:
    """Its callers are told to ask again, the guard goes back for all nodes, and all is counted."""

    async def story(stage: _Stage) -> None:
        first = await stage.office.put(counter("1.0.0"))
        await stage.add("c", 1, remind_in_s=20, tell="d")
        second = await stage.office.put(
            counter("1.1.0", before="raise ValueError(message)", on_timer="raise KeyError(body)")
        )
        assert stage.slot().promoted is stage.slot().generations[second]
        async with anyio.create_task_group() as tasks:
            for n in range(30):
                tasks.start_soon(stage.add, f"k{n}")
        assert [(await stage.get(f"k{n}"))["total"] for n in range(30)] == [1] * 30
        assert (await stage.add("c"))["by"] == "1.0.0"
        for node in ("n1", "n2"):
            assert stage.slot(node).promoted is stage.slot(node).generations[first]
        assert await stage.office.stages("counter") == {first: "promoted", second: "stopped"}
        await stage.world.clock.sleep(60)
        assert [(await stage.get(one))["rung"] for one in ("c", "d")] == [1, 1]
        assert stage.world.rows("dead_letter") == []

    _play(story, ("n1", "n2"))


def test_a_timer_waits_for_a_version_that_knows_it() -> None:
    """One that only the newer version can take is kept over a rollback and rings after all."""

    async def story(stage: _Stage) -> None:
        await stage.office.put(counter("1.0.0"))
        second = await stage.office.put(counter("1.1.0", timer="gong"))
        await stage.add("c", 1, remind_in_s=5)
        await stage.office.do("rollback", name="counter")
        await stage.office.wait(20)
        assert (await stage.get("c"))["rung"] == 0
        await stage.office.do("promote", name="counter", generation=second)
        await stage.office.wait(60)
        assert (await stage.get("c"))["rung"] == 1

    _play(story)


def test_what_fails_before_it_serves_leaves_the_old_one_serving() -> None:
    """A self-test, a migration that loses something, and code that does not load."""

    async def story(stage: _Stage) -> None:
        first = await stage.office.put(counter("1.0.0"))
        await stage.add("c", 5)
        bad = (
            counter("1.1.0", self_test="assert False, 'not today'"),
            counter("2.0.0", state_version=2, migrate="document['total'] = 0"),
            counter("1.2.0", before="pass\n    oops this is no Python"),
        )
        for archive in bad:
            number = await stage.office.number(archive)
            await stage.office.do("promote", name="counter", generation=number)
            await stage.office.wait()
            assert (await stage.add("c"))["by"] == "1.0.0"
            (trouble, *_) = stage.world.node("n1").plugins.statistics().convergence.troubles
            assert (trouble.plugin, trouble.generation) == ("counter", number)
            await stage.office.do("rollback", name="counter")
            await stage.office.do("unload", name="counter", generation=number)
            await stage.office.wait()
        assert stage.slot().promoted is stage.slot().generations[first]
        assert (await stage.get("c"))["total"] == 8

    _play(story)


def test_a_canary_has_its_share_on_every_node_and_one_that_joins_later() -> None:
    """The same keys go to it from everywhere, and a node that starts now is as the others are."""

    async def story(stage: _Stage) -> None:
        await stage.office.put(counter("1.0.0"))
        second = await stage.office.number(counter("1.1.0"))
        await stage.office.do("promote", name="counter", generation=second, canary_percent=30)
        await stage.office.wait()
        keys = [f"k{n}" for n in range(100)]
        by = {key: (await stage.add(key))["by"] for key in keys}
        assert 15 <= list(by.values()).count("1.1.0") <= 45
        await stage.world.start("n3")
        await stage.world.stop("n1")
        await stage.office.wait()
        assert {key: (await stage.add(key))["by"] for key in keys} == by
        stats = stage.world.node("n3").plugins.statistics().convergence
        assert (stats.converged, stats.troubles) == (True, ())

    _play(story, ("n1", "n2"))


def test_a_pack_gets_no_more_than_its_manifest_asks_for() -> None:
    """Without the capability the same request is a bug of the pack, and pays nothing."""

    async def story(stage: _Stage) -> None:
        names = []
        for number in range(2):
            opened = await stage.shop.call("account.open", request_id=f"a{number}", holder="Li")
            names.append(opened["account_id"])
        await stage.shop.call(
            "account.deposit", request_id="d", account_id=names[0], amount_minor=100,
            source="external:cash",
        )  # fmt: skip
        await stage.office.put(counter("1.0.0", capabilities=("schedule",)))
        answer = await stage.shop.ask(
            "counter.add", request_id="r", counter_id="c", payer=names[0], payee=names[1]
        )
        assert answer["error"]["code"] == "internal"
        await stage.office.put(counter("1.1.0"))
        await stage.add("c", payer=names[0], payee=names[1])
        found = await stage.shop.call("account.get", account_id=names[1])
        assert found["posted_minor"] == 1
        assert stage.slot().generations[1].grants.refused == 2

    _play(story)
