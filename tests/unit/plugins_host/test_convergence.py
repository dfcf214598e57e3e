"""Every node does what the plan says, in whatever order things happen."""

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from kernel.plugins.archive import Archive
from kernel.plugins.errors import NothingServes, PluginPaused, TurnCutOff
from kernel.plugins.plans import (
    plan_canary,
    plan_drain,
    plan_load,
    plan_pause,
    plan_promote,
    plan_resume,
    plan_rollback,
    plan_unload,
)
from kernel.plugins.proofs import REMAINS_MAX
from tests.unit.plugins_host.convergence_lab import Node, World, run
from tests.unit.plugins_host.lab import TERMS, changed, library

_V1, _V2 = library(1), library(2)


def _stages(node: Node) -> dict[int, str]:
    return {number: str(one.state) for number, one in node.slot.generations.items()}


def test_a_node_follows_the_plan_through_a_whole_life() -> None:
    """Load, promote, canary, promote, drain, rollback, unload: each is brought about."""

    async def main(world: World) -> None:
        node = world.node
        await node.settle()
        assert node.statistics().planned == 1
        assert node.statistics().converged
        await world.load(_V1)
        await node.settle()
        assert _stages(node) == {1: "running"}
        with pytest.raises(NothingServes):
            await node.edition()
        world.change(plan_promote, 1)
        await node.settle()
        assert await node.edition() == 1
        await world.load(_V2)
        world.change(plan_canary, 2, 400_000)
        await node.settle()
        assert {node.slot.pick(f"k{number}").number for number in range(40)} == {1, 2}
        world.change(plan_promote, 2)
        await node.settle()
        assert await node.edition() == 2
        world.change(plan_drain, 1)
        await node.settle()
        assert _stages(node) == {1: "stopped", 2: "running"}
        world.change(plan_rollback)
        await node.settle()
        assert await node.edition() == 1
        assert _stages(node) == {1: "running", 2: "stopped"}
        world.change(plan_unload, 2)
        await node.settle(10.0)
        assert _stages(node) == {1: "running"}
        world.change(plan_unload, 1)
        await node.settle(10.0)
        assert _stages(node) == {}
        found = node.statistics()
        assert found.converged
        assert found.planned == world.catalog.plan.version
        assert (found.unproven, found.leaked, found.troubles) == (0, 0, ())

    run(main)


def test_nothing_is_done_twice() -> None:
    """A node that is as the plan says does nothing, however often it looks."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        before = len(world.node.news.all)
        await world.node.settle(60.0)
        assert len(world.node.news.all) == before
        assert world.node.statistics().rounds > 50

    run(main)


def test_a_node_that_joins_later_ends_in_the_same_state() -> None:
    """It knows nothing of the way there, and what serves is there first."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        await world.serve(_V2, 2)
        await world.load(changed(_V2, {"note.txt": "third"}))
        world.change(plan_canary, 3, 1000)
        world.change(plan_drain, 1)
        await world.node.settle()
        old = world.node.registry.statistics().plugins[0]
        node = world.new_node()
        order: list[int] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(node.convergence.run)
            await node.convergence.wait_round()
            order = [one.generation for one in node.news.all if hasattr(one, "generation")]
            await anyio.sleep(3.0)
            tasks.cancel_scope.cancel()
        new = node.registry.statistics().plugins[0]
        assert node.statistics().converged
        assert (new.promoted, new.canary, new.canary_ppm) == (
            old.promoted, old.canary, old.canary_ppm,
        )  # fmt: skip
        assert {one.generation: (one.state, one.sha256) for one in new.generations} == {
            one.generation: (one.state, one.sha256) for one in old.generations
        }
        assert list(dict.fromkeys(order)) == [2, 3, 1]

    run(main)


def test_pause_and_resume_reach_the_node() -> None:
    """Also one that joins while the plugin is paused."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        world.change(plan_pause)
        other = world.new_node()
        for node in world.nodes:
            await node.settle()
            with pytest.raises(PluginPaused):
                await node.edition()
            assert node.statistics().converged
        world.change(plan_resume)
        await other.settle()
        assert await other.edition() == 1

    run(main)


_PACK = _V2.files["pack.py"].decode()


@pytest.mark.parametrize(
    ("archive", "sign", "error"),
    [
        (changed(_V2, {"pack.py": "1 / 0\n"}), True, "ZeroDivisionError"),
        (changed(_V2, {"pack.py": _PACK.replace("assert per", "assert not per")}), True, "Self"),
        (_V2, False, "SignatureRefused: library 2.0.0 is not signed"),
    ],
    ids=["crash", "self-test", "unsigned"],
)
def test_a_version_that_does_not_load_leaves_the_old_one(
    archive: Archive, sign: bool, error: str
) -> None:
    """The trouble is named, tried again ever more rarely, and over when the plan changes."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        await world.load(archive, sign=sign)
        world.change(plan_promote, 2)
        # Somebody was too sure: by the plan the old one is to go already.
        world.change(plan_drain, 1)
        await world.node.settle(20.0)
        found = world.node.statistics()
        assert not found.converged
        assert [(one.plugin, one.generation) for one in found.troubles] == [("library", 2)]
        assert error in found.troubles[0].error
        # After 0, 1, 3, 7 and 15 seconds.
        assert found.troubles[0].attempts == 5
        assert await world.node.edition() == 1
        assert _stages(world.node) == {1: "running"}
        world.change(plan_rollback)
        world.change(plan_unload, 2)
        await world.node.settle()
        assert world.node.statistics().converged
        assert await world.node.edition() == 1

    run(main)


def test_a_bad_version_does_not_stop_other_plugins() -> None:
    """Each plugin has its own troubles; a slow start holds up nobody else."""
    slow = changed(
        _V1,
        {
            "plugin.toml": _V1.files["plugin.toml"].decode().replace("library", "museum"),
            "pack.py": _V1.files["pack.py"]
            .decode()
            .replace('"library"', '"museum"')
            .replace("library.lent", "museum.lent")
            .replace(
                "        assert per_reader_max() >= 1\n",
                "        import anyio\n        await anyio.sleep(999)\n",
            ),
        },
    )

    async def main(world: World) -> None:
        sha256 = await world.put(slow)
        world.catalog.change(lambda plan: plan_load(plan, "museum", sha256, version="1.0.0"))
        world.catalog.change(lambda plan: plan_promote(plan, "museum", 1))
        await world.load(_V1)
        world.change(plan_promote, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.node.convergence.run)
            await anyio.sleep(0.5)
            assert await world.node.edition() == 1
            await anyio.sleep(5)
            tasks.cancel_scope.cancel()
        troubles = world.node.statistics().troubles
        assert [one.plugin for one in troubles] == ["museum"]

    run(main)


def test_an_outage_of_the_keeper_stops_nothing() -> None:
    """What serves goes on, and the plan is followed when the keeper is back."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        world.catalog.away = True
        await world.load(_V2)
        world.change(plan_promote, 2)
        await world.node.settle(10.0)
        assert await world.node.edition() == 1
        world.catalog.away = False
        world.catalog.lost.add(_V2.sha256)
        await world.node.settle(3.0)
        assert await world.node.edition() == 1
        assert "out of reach" in world.node.statistics().troubles[0].error
        world.catalog.lost.clear()
        await world.node.settle(10.0)
        assert await world.node.edition() == 2
        assert world.node.statistics().converged

    run(main)


def test_a_node_does_not_start_without_what_the_store_owes_it() -> None:
    """Until it gets at the archive of what serves, it would refuse good requests for good."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        world.catalog.lost.add(_V1.sha256)
        node = world.new_node()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(node.convergence.run)
            with anyio.move_on_after(5.0) as patience:
                await node.convergence.wait_round()
            assert patience.cancelled_caught
            world.catalog.lost.clear()
            with anyio.fail_after(20.0):
                await node.convergence.wait_round()
            assert await node.edition() == 1
            tasks.cancel_scope.cancel()

    run(main)


def test_a_round_that_is_cut_off_leaves_nothing_to_repair() -> None:
    """Wherever a node is interrupted, going on from there ends at the plan."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        await world.load(_V2)
        world.change(plan_promote, 2)
        world.change(plan_drain, 1)
        for steps in range(40):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(world.node.convergence.round)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert await world.node.edition() in (1, 2)
        await world.node.settle(5.0)
        assert world.node.statistics().converged
        assert await world.node.edition() == 2
        assert _stages(world.node) == {1: "stopped", 2: "running"}

    run(main)


_FAILS = changed(
    _V2,
    {
        "pack.py": _PACK.replace(
            "        copies = () if book is None else book.copies", "        copies = 1 / 0"
        )
    },
)


def test_a_guard_takes_the_whole_plan_back() -> None:
    """The node goes back at once, then all nodes do, and nobody promotes it again."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        await world.serve(_FAILS, 2)
        other = world.new_node()
        await other.settle()
        assert other.slot.statistics().promoted == 2
        world.catalog.away = True
        for _ in range(TERMS.guard.consecutive_max):
            with pytest.raises(ZeroDivisionError):
                await world.node.edition()
        # The keeper is out of reach, and the old plan still says 2.
        await world.node.settle(5.0)
        assert await world.node.edition() == 1
        assert world.node.statistics().vetoed == 1
        assert world.node.statistics().troubles == ()
        assert _stages(world.node) == {1: "running", 2: "faulted"}
        assert not world.node.statistics().converged
        world.catalog.away = False
        await world.node.settle(5.0)
        assert world.catalog.asked == [("library", 2)]
        assert [one.state for one in world.catalog.plan.generations] == ["promoted", "stopped"]
        assert world.catalog.plan.generations[1].reason == "5 faults one after the other"
        assert await world.node.edition() == 1
        found = world.node.statistics()
        assert found.converged
        assert found.vetoed == 0
        assert _stages(world.node) == {1: "running", 2: "stopped"}
        # A node that never saw a fault goes back with it.
        await other.settle(5.0)
        assert await other.edition() == 1

    run(main)


def test_an_operator_may_insist() -> None:
    """What was taken back may be promoted again, and starts with its self-test."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        await world.serve(_FAILS, 2)
        for _ in range(TERMS.guard.consecutive_max):
            with pytest.raises(ZeroDivisionError):
                await world.node.edition()
        await world.node.settle(5.0)
        world.change(plan_promote, 2)
        await world.node.settle(5.0)
        assert world.node.slot.statistics().promoted == 2
        assert world.node.statistics().converged

    run(main)


def test_work_that_does_not_end_is_cut_off() -> None:
    """When the patience of the settings is over; then the generation stops."""
    slow = changed(
        _V1, {"plugin.toml": _V1.files["plugin.toml"].decode().replace("= 500", "= 30000")}
    )

    async def main(world: World) -> None:
        await world.serve(slow, 1)
        await world.serve(_V2, 2)
        cut: list[float] = []

        async def work() -> None:
            with pytest.raises(TurnCutOff), world.node.slot.find(1).lease() as turn:
                await turn.run(_forever())
            cut.append(world.clock.monotonic_s())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.sleep(0.1)
            world.change(plan_unload, 1)
            began_s = world.clock.monotonic_s()
            await world.node.settle(20.0)
        assert 5.0 <= cut[0] - began_s <= 8.0
        assert _stages(world.node) == {2: "running"}
        assert world.node.statistics().converged

    run(main)


async def _forever() -> None:
    await anyio.sleep_forever()


def test_a_plan_that_contradicts_itself_is_not_followed() -> None:
    """The node stays with the plan before, and says which one it refused."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        good = world.catalog.plan
        twice = (*good.generations, *good.generations)
        world.catalog.plan = replace(good, version=99, generations=twice)
        await world.node.settle(5.0)
        assert world.node.statistics().refused == 99
        assert world.node.statistics().planned == good.version
        assert await world.node.edition() == 1

    run(main)


def test_a_number_means_one_archive() -> None:
    """A plan that gives a number to another archive is trouble, and nothing is replaced."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        await world.put(_V2)
        plan = world.catalog.plan
        other = replace(plan.generations[0], sha256=_V2.sha256)
        world.catalog.plan = replace(plan, version=plan.version + 1, generations=(other,))
        await world.node.settle()
        assert "a number is given once" in world.node.statistics().troubles[0].error
        assert await world.node.edition() == 1

    run(main)


def test_an_archive_of_another_plugin_is_refused() -> None:
    """What the plan says is in an archive must be in it."""

    async def main(world: World) -> None:
        sha256 = await world.put(_V1)
        world.catalog.change(lambda plan: plan_load(plan, "museum", sha256, version="1.0.0"))
        await world.node.settle()
        assert "is of 'library', and the plan says 'museum'" in (
            world.node.statistics().troubles[0].error
        )

    run(main)


def test_without_a_ring_unsigned_archives_are_taken() -> None:
    """For development, where the author is the operator."""

    async def main(world: World) -> None:
        node = world.new_node(keys=None)
        await world.load(_V1, sign=False)
        world.change(plan_promote, 1)
        await node.settle()
        assert await node.edition() == 1

    run(main)


def test_what_is_held_is_reported_as_a_leak() -> None:
    """An unloaded version that something keeps alive is counted, and the holder named."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        kept = [world.node.slot.find(1).find("state:Book")(isbn="i", copies=1)]
        world.change(plan_unload, 1)
        await world.node.settle(1.5)
        assert world.node.statistics().unproven == 1
        await world.node.settle(10.0)
        found = world.node.statistics()
        assert (found.unproven, found.leaked) == (0, 1)
        assert found.holders
        del kept

    run(main)


def test_versions_do_not_pile_up_in_memory() -> None:
    """When they come faster than the proofs, a few dead ones are all that a node has to hold."""

    async def main(world: World) -> None:
        await world.serve(_V1, 1)
        unproven = []
        for number in range(2, 12):
            await world.load(_V2 if number % 2 == 0 else _V1)
            await world.node.settle(0.05)
            world.change(plan_promote, number)
            await world.node.settle(0.05)
            world.change(plan_unload, number - 1)
            await world.node.settle(0.05)
            assert _stages(world.node) == {number: "running"}
            unproven.append(world.node.statistics().unproven)
        assert max(unproven) == REMAINS_MAX, unproven

    run(main)
