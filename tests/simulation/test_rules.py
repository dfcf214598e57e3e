"""Rule sets: put by the back office, checked first, in force on every node within a second."""

from typing import Any

import anyio

from actors.rules.rule_sets import LOOK_EVERY_S
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World
from zhihui.sandbox import SandboxRules


async def _office(world: World) -> tuple[Caller, Caller]:
    office, shop = Caller(world, "ops"), Caller(world)
    await office.open()
    await shop.open()
    return office, shop


def test_rules_are_in_force_everywhere_within_a_second() -> None:
    """A put is answered with its version, seen by both nodes, and kept beside the ones before."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> None:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            nodes = [await world.start(name) for name in ("n1", "n2")]
            office, _ = await _office(world)
            for version, ahead in ((1, 60), (2, 120)):
                answer = await office.call(
                    "rules.put", request_id=f"r{version}", name="sandbox",
                    rules={"clock_ahead_s": ahead},
                )  # fmt: skip
                assert answer["version"] == version
                await clock.sleep(LOOK_EVERY_S + 0.1)
                for node in nodes:
                    rules = node._parts.rules
                    assert rules.current("sandbox") == SandboxRules(clock_ahead_s=ahead)
                    assert rules.version("sandbox") == version
            kept = [row["body"] for row in world.rows("rule_set_version")]
            assert kept == ['{"clock_ahead_s":60}', '{"clock_ahead_s":120}']
            again = await office.call("rules.get", name="sandbox")
            assert again == {"name": "sandbox", "version": 2, "rules": {"clock_ahead_s": 120}}
            tasks.cancel_scope.cancel()

    run_virtual(main, seed=1)


def test_what_is_unsound_or_not_allowed_changes_nothing() -> None:
    """An unsound document is refused by its path, and an app that is not the back office at all."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> list[Any]:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            node = await world.start("n1")
            office, shop = await _office(world)
            bodies = ({"clock_ahead_s": "x"}, {"clock_ahead_s": -1}, {"other": 1})
            answers = [
                await office.ask("rules.put", request_id=f"r{n}", name="sandbox", rules=body)
                for n, body in enumerate(bodies)
            ]
            answers.append(await office.ask("rules.put", request_id="r8", name="no", rules={}))
            answers.append(await shop.ask("rules.put", request_id="r9", name="sandbox", rules={}))
            await clock.sleep(LOOK_EVERY_S + 0.1)
            assert node._parts.rules.version("sandbox") == 0
            assert world.rows("rule_set") == []
            tasks.cancel_scope.cancel()
        return [answer["error"] for answer in answers]

    errors = run_virtual(main, seed=1)
    assert [error["code"] for error in errors] == [
        "invalid_field", "invalid_field", "invalid_field", "not_found", "forbidden",
    ]  # fmt: skip
    assert "clock_ahead_s" in errors[0]["message"]
