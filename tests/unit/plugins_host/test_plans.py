"""The verbs of an operator, as changes of the plan."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.plugins.catalog import DesiredGeneration, DesiredState, Stage, check_desired
from kernel.plugins.errors import GenerationUnknown, TransitionRefused
from kernel.plugins.memory_catalog import MemoryCatalog
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
from kernel.plugins.registry import GENERATIONS_MAX
from kernel.virtual_time import run_virtual
from schemas.errors import NotFound

_EMPTY = DesiredState(version=1)


def _loaded(count: int) -> DesiredState:
    plan = _EMPTY
    for number in range(count):
        plan = plan_load(plan, "library", f"sha-{number}", version=f"1.{number}.0")
    return plan


def _stages(plan: DesiredState) -> dict[int, str]:
    return {one.generation: one.state for one in plan.generations}


def test_an_archive_gets_the_next_number() -> None:
    """The same archive again changes nothing; a number is never given twice."""
    plan = _loaded(2)
    assert _stages(plan) == {1: "loaded", 2: "loaded"}
    assert plan_load(plan, "library", "sha-1", version="1.1.0") is plan
    plan = plan_unload(plan, "library", 2)
    plan = plan_load(plan, "library", "sha-1", version="1.1.0")
    assert _stages(plan) == {1: "loaded", 3: "loaded"}
    with pytest.raises(TransitionRefused, match="unload some first"):
        _loaded(GENERATIONS_MAX + 1)


def test_one_is_promoted_and_the_one_before_is_kept() -> None:
    """A promotion remembers what it came after, and ends a canary."""
    plan = plan_promote(_loaded(3), "library", 1)
    plan = plan_canary(plan, "library", 3, 10_000)
    plan = plan_promote(plan, "library", 2, "tested")
    assert _stages(plan) == {1: "loaded", 2: "promoted", 3: "loaded"}
    assert [one.came_after for one in plan.generations] == [0, 1, 0]
    assert plan_promote(plan, "library", 2) is plan
    assert plan.generations[1].reason == "tested"


def test_a_canary_needs_one_that_serves_the_rest() -> None:
    """There is at most one, it has a share, and a share of nothing ends it."""
    with pytest.raises(TransitionRefused, match="no version that serves the other keys"):
        plan_canary(_loaded(1), "library", 1, 1000)
    plan = plan_promote(_loaded(3), "library", 1)
    with pytest.raises(TransitionRefused, match="serves all keys already"):
        plan_canary(plan, "library", 1, 1000)
    with pytest.raises(TransitionRefused, match="is no share"):
        plan_canary(plan, "library", 2, 2_000_000)
    plan = plan_canary(plan_canary(plan, "library", 2, 1000), "library", 3, 500)
    assert _stages(plan) == {1: "promoted", 2: "loaded", 3: "canary"}
    assert plan_canary(plan, "library", 2, 0) is plan
    plan = plan_canary(plan, "library", 3, 0)
    assert _stages(plan) == {1: "promoted", 2: "loaded", 3: "loaded"}
    plan = plan_canary(plan, "library", 3, 5)
    assert _stages(plan_promote(plan, "library", 1))[3] == "loaded"


def test_a_rollback_goes_back_step_by_step() -> None:
    """To what served before, then to what served before that, then no further."""
    plan = _loaded(3)
    for number in (1, 2, 3):
        plan = plan_promote(plan, "library", number)
    plan = plan_pause(plan, "library")
    for expected in ({1: "loaded", 2: "promoted", 3: "stopped"},
                     {1: "promoted", 2: "stopped", 3: "stopped"}):  # fmt: skip
        plan = plan_rollback(plan, "library", "bad")
        assert _stages(plan) == expected
        assert [one.paused for one in plan.generations if one.state == "promoted"] == [True]
    with pytest.raises(TransitionRefused, match="no version to go back to"):
        plan_rollback(plan, "library")
    with pytest.raises(TransitionRefused, match="no version that serves"):
        plan_rollback(_loaded(1), "library")


def test_nodes_that_ask_together_go_back_once() -> None:
    """What is asked about a generation that does not serve any more changes nothing."""
    plan = _loaded(3)
    for number in (1, 2, 3):
        plan = plan_promote(plan, "library", number)
    once = plan_rollback(plan, "library", "faults", bad=3)
    assert _stages(once)[2] == "promoted"
    assert plan_rollback(once, "library", "faults", bad=3) is once
    canary = plan_canary(once, "library", 1, 1000)
    after = plan_rollback(canary, "library", "faults", bad=1)
    assert _stages(after) == {1: "stopped", 2: "promoted", 3: "stopped"}


def test_who_serves_is_neither_drained_nor_unloaded() -> None:
    """But for the last of a plugin, which goes with it."""
    plan = plan_canary(plan_promote(_loaded(2), "library", 1), "library", 2, 1000)
    for number in (1, 2):
        with pytest.raises(TransitionRefused, match="serves"):
            plan_drain(plan, "library", number)
        with pytest.raises(TransitionRefused, match="serves"):
            plan_unload(plan, "library", number)
    plan = plan_drain(plan_canary(plan, "library", 2, 0), "library", 2)
    assert _stages(plan)[2] == "stopped"
    plan = plan_unload(plan_unload(plan, "library", 2), "library", 1)
    assert plan.generations == ()
    with pytest.raises(GenerationUnknown, match="no generation 1; it has none"):
        plan_promote(plan, "library", 1)


def test_a_plugin_is_paused_and_resumed() -> None:
    """It survives a promotion, and needs something that serves."""
    plan = plan_pause(plan_promote(_loaded(2), "library", 1), "library")
    plan = plan_promote(plan, "library", 2)
    assert [one.paused for one in plan.generations] == [False, True]
    plan = plan_resume(plan, "library")
    assert not any(one.paused for one in plan.generations)
    with pytest.raises(TransitionRefused):
        plan_pause(_loaded(1), "library")


_VERBS: tuple[Callable[[DesiredState, int], DesiredState], ...] = (
    lambda plan, number: plan_load(plan, "library", f"{number} {plan.version}", version="1.0.0"),
    lambda plan, number: plan_promote(plan, "library", number),
    lambda plan, number: plan_canary(plan, "library", number, 1000),
    lambda plan, number: plan_canary(plan, "library", number, 0),
    lambda plan, number: plan_rollback(plan, "library", f"of {number}"),
    lambda plan, number: plan_rollback(plan, "library", bad=number),
    lambda plan, number: plan_drain(plan, "library", number),
    lambda plan, number: plan_unload(plan, "library", number),
    lambda plan, number: plan_pause(plan, "library", f"for {number}"),
    lambda plan, number: plan_resume(plan, "library", f"after {number}"),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(_VERBS) - 1), st.integers(1, 5)), max_size=40))
def test_no_verb_makes_a_plan_that_contradicts_itself(steps: list[tuple[int, int]]) -> None:
    """Whatever is done in whatever order: refused, unchanged, or one version further and sound."""
    plan = _EMPTY
    served = False
    for verb, number in steps:
        try:
            after = _VERBS[verb](plan, number)
        except (TransitionRefused, GenerationUnknown):
            continue
        if after is plan:
            continue
        check_desired(after)
        assert after.version == plan.version + 1
        serves = any(one.state == "promoted" for one in after.generations)
        # Only unloading the whole plugin takes away what serves.
        assert serves or not served or not after.generations
        plan, served = after, serves


@pytest.mark.parametrize(
    ("generations", "message"),
    [
        ((("a", 1, "loaded", 0), ("a", 1, "stopped", 0)), "twice"),
        ((("a", 1, "promoted", 0), ("a", 2, "promoted", 0)), "two generations that are promoted"),
        ((("a", 1, "promoted", 5),), "a canary has a share"),
        ((("a", 1, "promoted", 0), ("a", 2, "canary", 0)), "a canary has a share"),
        ((("a", 1, "canary", 5), ("b", 1, "promoted", 0)), "no version that serves the other"),
    ],
)
def test_contradictions_are_found(
    generations: tuple[tuple[str, int, Stage, int], ...], message: str
) -> None:
    """A plan that nobody could follow is named as such."""
    plan = DesiredState(
        version=1,
        generations=tuple(
            DesiredGeneration(
                name=name,
                generation=number,
                sha256="x",
                state=state,
                canary_ppm=ppm,
            )
            for name, number, state, ppm in generations
        ),
    )
    with pytest.raises(ValueError, match=message):
        check_desired(plan)


def test_a_keeper_in_memory_keeps_plan_and_archives() -> None:
    """It tells only what is new, and going back without a way back changes nothing."""

    async def main(clock: object, randomness: object) -> None:
        catalog = MemoryCatalog()
        digest = await catalog.put(b"archive")
        assert (await catalog.fetch(digest)).data == b"archive"
        with pytest.raises(NotFound):
            await catalog.fetch("nothing")
        catalog.change(lambda plan: plan_load(plan, "library", digest, version="1.0.0"))
        catalog.change(lambda plan: plan_promote(plan, "library", 1))
        plan = await catalog.read(0)
        assert plan is not None
        assert await catalog.read(plan.version) is None
        await catalog.ask_rollback("library", 1, "faults")
        assert catalog.plan is plan

    run_virtual(main)
