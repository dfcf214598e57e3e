"""What nodes do with the plan: offer what came with them, fetch, and ask to go back."""

from pathlib import Path

import orjson
import pytest

from actors.plugins.plan_actor import BUNDLED_REASON
from actors.plugins.trust import OPERATOR_KEY_SETTING
from kernel.plugins.registry import GENERATIONS_MAX
from kernel.plugins.signature import SigningKey
from schemas.errors import NotFound
from tests.unit.plugin_plan.plan_lab import UNSIGNED, Office, greeter, play
from zhihui.simulation.caller import Caller
from zhihui.simulation.world import World

ONE = greeter("1.0.0")
TWO = greeter("1.1.0")


def test_what_came_with_the_program_is_served_from_the_start() -> None:
    """The first node brings it, once however many start, and says where it came from."""

    async def story(world: World, office: Office) -> None:
        shop = Caller(world)
        await shop.open()
        answer = await shop.call("greeter.greet", request_id="g", who="Li")
        assert answer["text"] == "1.0.0 Li"
        plan = await office.do("list")
        assert plan["plan_version"] == 1
        (one,) = plan["plugins"][0]["generations"]
        assert (one["state"], one["reason"]) == ("promoted", BUNDLED_REASON)
        await world.clock.sleep(1)
        events = (await office.call("event.list"))["events"]
        plan = [one for one in events if "node" not in one["data"]]
        assert [one["type"] for one in plan] == ["zhihui.plugin.loaded", "zhihui.plugin.promoted"]
        assert plan[1]["data"]["who"] == "node n1"
        moved = [one["data"] for one in events if one["type"] == "zhihui.plugin.generation_moved"]
        for node in ("n1", "n2", "n3"):
            states = [one["after"] for one in moved if one["node"] == node]
            assert states == ["loaded", "starting", "running"]
        switched = [one for one in events if one["type"] == "zhihui.plugin.node_switched"]
        assert {one["data"]["node"] for one in switched} == {"n1", "n2", "n3"}

    play(story, archives=(ONE,), nodes=3)


def test_a_newer_program_brings_its_version_and_an_older_one_changes_nothing() -> None:
    """Only a version above all that the plan ever had is taken; a rollback is not undone."""

    async def story(world: World, office: Office) -> None:
        world._archives = (TWO,)
        await world.start("n2")
        assert await office.stages() == {1: "loaded", 2: "promoted"}
        await office.do("rollback", name="greeter")
        await world.start("n3")
        world._archives = (greeter("0.9.0"),)
        await world.start("n4")
        assert await office.stages() == {1: "promoted", 2: "stopped"}
        await office.do("unload", name="greeter", generation=2)
        world._archives = (TWO,)
        await world.start("n5")
        assert await office.stages() == {1: "promoted"}

    play(story, archives=(ONE,))


def test_two_nodes_that_bring_the_same_at_once_bring_it_once() -> None:
    """The one that comes second changes nothing, though it saw a plan without it."""

    async def story(world: World, office: Office) -> None:
        before = await office.do("list")
        for name in ("n1", "n2"):
            await world.node(name).plugins._catalog._offer(ONE)
        await world.node("n1").plugins._catalog._offer(greeter("0.9.0"))
        assert await office.do("list") == before

    play(story, archives=(ONE,), nodes=2)


def test_nodes_of_an_older_program_take_the_newer_version(tmp_path: Path) -> None:
    """Signed with the operator's key where there is one, else on the word of the database.

    So do nodes of the newer program take the older version, to which they may have to go back.
    """
    key = tmp_path / "operator.pem"
    key.write_bytes(SigningKey.generate().pem)

    async def story(world: World, office: Office) -> list[bool]:
        world._archives = (TWO,)
        await world.start("n2")
        await world.clock.sleep(3)
        signed = [row["body"] for row in world.rows("plugin_archive")]
        for name in ("n1", "n2"):
            assert world.node(name).plugins.statistics().convergence.converged
        return ['"signature":null' not in body for body in signed]

    settings = {OPERATOR_KEY_SETTING: str(key)}
    assert play(story, archives=(ONE,), settings=settings) == [True, True]
    assert play(story, archives=(ONE,)) == [False, False]


def test_with_the_operators_key_the_database_brings_no_code(tmp_path: Path) -> None:
    """A row that says it came with a program is not taken without that key's signature."""
    key = tmp_path / "operator.pem"
    key.write_bytes(SigningKey.generate().pem)

    async def story(world: World, office: Office) -> str:
        for row in world.database.rows("plugin_archive").values():
            stored = orjson.loads(row["body"])
            row["body"] = orjson.dumps({**stored, "signature": None}).decode()
        world._archives = ()
        await world.start("n2")
        return world.node("n2").plugins.statistics().convergence.troubles[0].error

    settings = {OPERATOR_KEY_SETTING: str(key)}
    assert "SignatureRefused" in play(story, archives=(ONE,), settings=settings)


def test_the_ninth_upgrade_finds_room() -> None:
    """The oldest generations that nothing needs make way, and what can be gone back to stays."""

    async def story(world: World, office: Office) -> None:
        for number in range(1, GENERATIONS_MAX + 2):
            world._archives = (greeter(f"1.{number}.0"),)
            await world.start(f"m{number}")
            await world.stop(f"m{number}")
        stages = await office.stages()
        assert len(stages) == GENERATIONS_MAX
        newest = max(stages)
        assert newest == GENERATIONS_MAX + 2
        assert (stages[newest], stages[newest - 1]) == ("promoted", "loaded")
        await office.do("rollback", name="greeter")

    play(story, archives=(ONE,))


def test_a_broker_that_forgot_gets_the_archive_from_the_database() -> None:
    """A node that joins after the object store was lost loads, and puts it there for the others."""

    async def story(world: World, office: Office) -> None:
        await office.serve(ONE)
        await world.clock.sleep(2)
        await world.objects.delete(ONE.sha256)
        with pytest.raises(NotFound):
            await world.objects.get(ONE.sha256)
        await world.start("n2")
        assert world.node("n2").plugins.statistics().convergence.converged
        assert await world.objects.get(ONE.sha256) == ONE.data
        await world.start("n3")
        fetched = [world.node(name).plugins._catalog.statistics() for name in ("n2", "n3")]
        assert [(one.from_database, one.from_objects) for one in fetched] == [(1, 0), (0, 1)]

    play(story, settings=UNSIGNED)


def test_a_version_whose_self_test_fails_serves_nobody() -> None:
    """The plan stands, the node says what is wrong with it, and what served before still does."""

    async def story(world: World, office: Office) -> None:
        shop = Caller(world)
        await shop.open()
        await office.serve(ONE)
        await world.clock.sleep(2)
        await office.serve(greeter("1.2.0", self_test='raise ValueError("the rates are empty")'))
        await world.clock.sleep(3)
        # One that joins now has never served the version before, and does so all the same.
        await world.start("n2")
        world.kill("n1")
        await world.clock.sleep(15)
        convergence = world.node("n2").plugins.statistics().convergence
        assert not convergence.converged
        assert "the rates are empty" in convergence.troubles[0].error
        answer = await shop.call("greeter.greet", request_id="g", who="Li")
        assert answer["text"] == "1.0.0 Li"
        await office.do("rollback", name="greeter")
        await world.clock.sleep(2)
        statistics = world.node("n2").plugins.statistics()
        assert statistics.registry.plugins[0].promoted == 1

    play(story, settings=UNSIGNED)


def test_a_node_that_went_back_takes_the_others_with_it() -> None:
    """What a guard takes out of service on one node is stopped for all, and said by whom and why.

    Said again it changes nothing, nor where there is nothing to go back to.
    """

    async def story(world: World, office: Office) -> None:
        catalog = world.node("n1").plugins._catalog
        await office.serve(ONE)
        await catalog.ask_rollback("greeter", 1, "alone")
        assert await office.stages() == {1: "promoted"}
        await office.serve(TWO)
        await world.clock.sleep(2)
        await catalog.ask_rollback("greeter", 2, "11 of 100 failed")
        await world.node("n2").plugins._catalog.ask_rollback("greeter", 2, "12 of 100 failed")
        assert await office.stages() == {1: "promoted", 2: "stopped"}
        await world.clock.sleep(2)
        for name in ("n1", "n2"):
            assert world.node(name).plugins.statistics().convergence.converged
        events = (await office.call("event.list"))["events"]
        (told,) = [one["data"] for one in events if one["type"] == "zhihui.plugin.rolled_back"]
        assert (told["who"], told["reason"]) == ("node n1", "11 of 100 failed")
        assert (told["generation"], told["previous"]) == (1, 2)
        third = await office.load(greeter("1.2.0"))
        number = third["result"]["generation"]
        await office.do("promote", name="greeter", generation=number, canary_percent=5)
        await catalog.ask_rollback("greeter", number, "slow")
        assert await office.stages() == {1: "promoted", 2: "stopped", number: "stopped"}

    play(story, settings=UNSIGNED, nodes=2)


@pytest.mark.parametrize("seed", range(3))
def test_the_plan_stands_in_a_hostile_world(seed: int) -> None:
    """Lost messages and commits, nodes that are killed: each verb happens once, all follow."""

    async def story(world: World, office: Office) -> None:
        world.hostile = True
        assert await office.serve(ONE) == 1
        world.kill("n1")
        await world.start("n4")
        assert await office.serve(TWO) == 2
        await office.do("rollback", name="greeter")
        world.hostile = False
        await world.clock.sleep(15)
        assert await office.stages() == {1: "promoted", 2: "stopped"}
        plan = world.rows("plugin_plan")[0]["version"]
        assert plan == 5
        for name in world.names():
            convergence = world.node(name).plugins.statistics().convergence
            assert (convergence.planned, convergence.converged) == (plan, True)

    play(story, settings=UNSIGNED, nodes=3, seed=seed)
