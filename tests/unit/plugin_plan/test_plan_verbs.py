"""The verbs of the back office: what each does to the plan, to the nodes, and to those who ask."""

from typing import Any

from tests.unit.plugin_plan.plan_lab import UNSIGNED, Office, greeter, play
from zhihui.simulation.caller import Caller
from zhihui.simulation.world import World

ONE = greeter("1.0.0")
TWO = greeter("1.1.0")


async def _shop(world: World) -> Caller:
    shop = Caller(world)
    await shop.open()
    return shop


async def _greeted(shop: Caller, who: str, request_id: str) -> str:
    answer = await shop.call("greeter.greet", request_id=request_id, who=who)
    return str(answer["text"])


def test_an_archive_comes_and_serves_and_is_gone_back_from() -> None:
    """Load, promote, load a second, promote it, go back, drain, unload: served as the plan says."""

    async def story(world: World, office: Office) -> None:
        shop = await _shop(world)
        loaded = (await office.load(ONE))["result"]
        assert (loaded["generation"], loaded["state"], loaded["version"]) == (1, "loaded", "1.0.0")
        nobody = await shop.ask("greeter.greet", request_id="g0", who="Li")
        assert nobody["error"]["code"] in ("unknown_operation", "not_ready")
        await office.do("promote", name="greeter", generation=1, reason="first", by="Wang")
        await world.clock.sleep(2)
        assert await _greeted(shop, "Li", "g1") == "1.0.0 Li"
        assert await office.serve(TWO) == 2
        await world.clock.sleep(2)
        assert await _greeted(shop, "Li", "g2") == "1.1.0 Li"
        assert await office.stages() == {1: "loaded", 2: "promoted"}
        back = await office.do("rollback", name="greeter", reason="too rude")
        assert (back["generation"], back["previous"], back["state"]) == (1, 2, "promoted")
        await world.clock.sleep(2)
        assert await _greeted(shop, "Li", "g3") == "1.0.0 Li"
        assert await office.stages() == {1: "promoted", 2: "stopped"}
        gone = await office.do("unload", name="greeter", generation=2)
        assert (gone["state"], gone["generation"]) == ("unloaded", 2)
        await world.clock.sleep(2)
        statistics = world.node("n1").plugins.statistics()
        assert statistics.convergence.converged
        assert [one.generation for one in statistics.registry.plugins[0].generations] == [1]

    play(story, settings=UNSIGNED)


def test_all_nodes_follow_and_the_plan_has_one_version_for_each_change() -> None:
    """Each change is the next version, for everybody; asking again with an id changes nothing."""

    async def story(world: World, office: Office) -> None:
        first = await office.load(ONE)
        same = await office.try_(
            "load", name="greeter", sha256=ONE.sha256, request_id=f"r-{office._requests}"
        )
        assert same == first
        again = await office.try_("load", name="greeter", sha256=ONE.sha256)
        assert again["result"]["generation"] == 1
        promote = {"name": "greeter", "generation": 1, "request_id": "same"}
        answers = [await office.try_("promote", **promote) for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        other = await office.try_("promote", **{**promote, "generation": 2})
        assert other["error"]["code"] == "conflict"
        plan = await office.do("list")
        assert plan["plan_version"] == 2 == world.rows("plugin_plan")[0]["version"]
        await world.clock.sleep(2)
        for name in ("n1", "n2", "n3"):
            convergence = world.node(name).plugins.statistics().convergence
            assert (convergence.planned, convergence.converged) == (2, True)
            assert convergence.troubles == ()

    play(story, settings=UNSIGNED, nodes=3)


def test_a_canary_serves_its_share_and_is_ended() -> None:
    """A share in percent or in ppm serves so many keys; 0 ends it; both at once are refused."""

    async def story(world: World, office: Office) -> None:
        shop = await _shop(world)
        await office.serve(ONE)
        assert (await office.load(TWO))["ok"]
        canary = await office.do("promote", name="greeter", generation=2, canary_percent=50)
        assert (canary["state"], canary["canary_ppm"]) == ("canary", 500_000)
        await world.clock.sleep(2)
        texts = [await _greeted(shop, f"w{n}", f"c{n}") for n in range(100)]
        versions = {text.split()[0] for text in texts}
        share = sum(text.startswith("1.1.0") for text in texts)
        assert versions == {"1.0.0", "1.1.0"}
        assert 25 < share < 75
        few = await office.do("promote", name="greeter", generation=2, canary_ppm=10)
        assert few["canary_ppm"] == 10
        both = await office.try_(
            "promote", name="greeter", generation=2, canary_percent=1, canary_ppm=1
        )
        assert (both["error"]["code"], both["error"]["field"]) == ("invalid_field", "canary_ppm")
        over = await office.do("promote", name="greeter", generation=2, canary_percent=0)
        assert over["state"] == "loaded"
        assert await office.stages() == {1: "promoted", 2: "loaded"}

    play(story, settings=UNSIGNED)


def test_a_paused_plugin_answers_not_ready() -> None:
    """Paused it takes nothing, resumed it does; a pause outlives a promotion."""

    async def story(world: World, office: Office) -> None:
        shop = await _shop(world)
        await office.serve(ONE)
        await world.clock.sleep(2)
        paused = await office.do("pause", name="greeter", reason="a look")
        assert paused["paused"]
        await world.clock.sleep(2)
        refused = await shop.ask("greeter.greet", request_id="p1", who="Li")
        assert refused["error"]["code"] == "not_ready"
        await office.serve(TWO)
        assert (await office.do("list"))["plugins"][0]["paused"]
        await office.do("resume", name="greeter")
        await world.clock.sleep(2)
        assert await _greeted(shop, "Li", "p2") == "1.1.0 Li"

    play(story, settings=UNSIGNED)


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    """Unknown plugins, generations and archives, verbs out of turn, and apps that may not ask."""

    async def story(world: World, office: Office) -> list[Any]:
        shop = await _shop(world)
        await office.serve(ONE)
        before = await office.do("list")
        digest = "0" * 64
        answers = [
            await office.try_("load", name="greeter", sha256=digest),
            await office.try_("load", name="waiter", sha256=ONE.sha256),
            await office.try_("promote", name="greeter", generation=7),
            await office.try_("promote", name="waiter", generation=1),
            await office.try_("drain", name="greeter", generation=1),
            await office.try_("rollback", name="greeter"),
            await office.try_("pause", name="waiter"),
            await office.try_("show", name="waiter"),
            await shop.ask("plugin.list"),
            await office.try_("offer_bundled", name="greeter", version="9.0.0", sha256=digest),
        ]
        assert await office.do("list") == before
        return answers

    errors = [one["error"] for one in play(story, settings=UNSIGNED)]
    assert [error["code"] for error in errors] == [
        "not_found", "invalid_field", "not_found", "not_found", "invalid_state", "invalid_state",
        "invalid_state", "not_found", "forbidden", "unknown_operation",
    ]  # fmt: skip
    assert "generation 7" in errors[2]["message"]


def test_every_change_is_told_with_who_and_why() -> None:
    """The back office hears of each change in order; what changes nothing is told to nobody."""

    async def story(world: World, office: Office) -> list[Any]:
        await office.load(ONE)
        await office.do("promote", name="greeter", generation=1, reason="go", by="Wang")
        await office.do("promote", name="greeter", generation=1, reason="once more")
        await office.load(TWO)
        await office.do("promote", name="greeter", generation=2, canary_percent=10)
        await office.do("promote", name="greeter", generation=2)
        await office.do("rollback", name="greeter")
        await office.do("drain", name="greeter", generation=2)
        await office.do("pause", name="greeter")
        await office.do("resume", name="greeter")
        await office.do("unload", name="greeter", generation=2)
        await world.clock.sleep(1)
        events = await office.call("event.list")
        return [one for one in events["events"] if one["type"].startswith("zhihui.plugin.")]

    events = play(story, settings=UNSIGNED)
    assert [one["type"].removeprefix("zhihui.") for one in events] == [
        "plugin.loaded", "plugin.promoted", "plugin.loaded", "plugin.canary_set",
        "plugin.promoted", "plugin.rolled_back", "plugin.paused", "plugin.resumed",
        "plugin.unloaded",
    ]  # fmt: skip
    assert events[1]["data"] == {
        "name": "greeter", "generation": 1, "version": "1.0.0", "sha256": ONE.sha256,
        "state": "promoted", "canary_ppm": 0, "paused": False, "previous": 0, "plan_version": 2,
        "reason": "go", "who": "ops: Wang",
    }  # fmt: skip
    assert events[5]["data"]["previous"] == 2
    assert [one["data"]["plan_version"] for one in events] == list(range(1, 10))


def test_a_plugin_is_shown_with_what_its_archives_say() -> None:
    """Name, versions, size, document versions and operations stand there for each generation."""

    async def story(world: World, office: Office) -> Any:
        await office.serve(greeter("1.0.0", state_version=3))
        return await office.do("show", name="greeter")

    shown = play(story, settings=UNSIGNED)
    (entry,) = shown["generations"]
    assert shown["highest_version"] == "1.0.0"
    assert entry["archive"]["state_versions"] == {"guest": 3}
    assert entry["archive"]["operations"] == ["greeter.greet"]
    assert entry["archive"]["vouched_by"] == ""
    assert entry["generation"]["state"] == "promoted"
