"""No version is unloaded that documents still need, unless they are left behind on purpose."""

from typing import Any

from tests.unit.plugin_plan.plan_lab import UNSIGNED, Office, greeter, play
from zhihui.simulation.caller import Caller
from zhihui.simulation.world import World

ONE = greeter("1.0.0", state_version=1)
TWO = greeter("2.0.0", state_version=2)


def _keep_document(world: World, state_version: int, key: str = "shop/Li") -> None:
    """Put a document there as a generation of that version would."""
    rows = world.database.rows("document")
    row = {
        "pack": "greeter", "collection": "guest", "key": key, "version": 1, "change_seq": 1,
        "state_version": state_version, "body": '{"times":1}',
    }  # fmt: skip
    rows["greeter", "guest", key] = row


def test_a_version_that_documents_need_stays() -> None:
    """Unloading it is refused with the document, and done once no document is that new."""

    async def story(world: World, office: Office) -> list[Any]:
        shop = Caller(world)
        await shop.open()
        await office.serve(ONE)
        await office.serve(TWO)
        await world.clock.sleep(2)
        await shop.call("greeter.greet", request_id="g", who="Li")
        (row,) = world.rows("document")
        assert row["state_version"] == 2
        world.node("n1")
        await office.do("rollback", name="greeter")
        # At once: those who bring documents back have not been here yet.
        refused = await office.try_("unload", name="greeter", generation=2)
        stages = await office.stages()
        _keep_document(world, 1, row["key"])
        await office.do("unload", name="greeter", generation=2)
        return [refused["error"], stages]

    error, stages = play(story, settings=UNSIGNED)
    assert error["code"] == "invalid_state"
    assert "state version 2" in error["message"]
    assert stages == {1: "promoted", 2: "stopped"}


def test_the_last_version_of_a_plugin_leaves_its_documents_only_on_purpose() -> None:
    """A plugin with documents is not withdrawn by mistake; said so, it is, and they stay."""

    async def story(world: World, office: Office) -> None:
        await office.serve(ONE)
        _keep_document(world, 1)
        refused = await office.try_("unload", name="greeter", generation=1)
        assert refused["error"]["code"] == "invalid_state"
        await office.do("unload", name="greeter", generation=1, leave_documents=True)
        assert await office.stages() == {}
        assert len(world.rows("document")) == 1
        assert await office.serve(ONE) == 2

    play(story, settings=UNSIGNED)


def test_a_version_that_cannot_read_the_documents_is_not_promoted() -> None:
    """Neither for all keys nor for some, unless one that can is loaded beside it."""

    async def story(world: World, office: Office) -> list[Any]:
        assert (await office.load(ONE))["ok"]
        _keep_document(world, 2)
        refused = await office.try_("promote", name="greeter", generation=1)
        assert (await office.load(TWO))["ok"]
        await office.do("promote", name="greeter", generation=1)
        return [refused["error"]["code"], await office.stages()]

    assert play(story, settings=UNSIGNED) == ["invalid_state", {1: "promoted", 2: "loaded"}]


def test_documents_of_other_packs_and_older_ones_are_nobodys_business() -> None:
    """A newer version goes while all documents of its pack are such as the older one reads."""

    async def story(world: World, office: Office) -> None:
        await office.serve(ONE)
        assert (await office.load(TWO))["ok"]
        _keep_document(world, 1)
        rows = world.database.rows("document")
        other = {**rows["greeter", "guest", "shop/Li"], "pack": "waiter", "state_version": 2}
        rows["waiter", "guest", "shop/Li"] = other
        await office.do("unload", name="greeter", generation=2)

    play(story, settings=UNSIGNED)
