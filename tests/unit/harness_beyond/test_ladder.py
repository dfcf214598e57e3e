"""The search for the highest rate that holds, against a service whose capacity is known."""

import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.search.ladder import (
    CONFIRMATIONS_MAX,
    Limits,
    Outcome,
    Search,
    Stage,
    find_highest,
)

pytestmark = pytest.mark.anyio

_LIMITS = Limits(start=200, ceiling=50_000)


def _service(
    capacity: float, generator: float = float("inf")
) -> Callable[[Stage, float], Awaitable[Outcome]]:
    async def attempt(_stage: Stage, rate: float) -> Outcome:
        if rate > generator:
            return "unfit"
        return "held" if rate <= capacity else "failed"

    return attempt


def _run(coroutine: Awaitable[Search]) -> Search:
    """Run what waits for nothing."""
    with pytest.raises(StopIteration) as end:
        coroutine.__await__().send(None)
    found: Search = end.value.value
    return found


@given(st.floats(40, 40_000), st.floats(0.02, 0.2))
def test_the_capacity_is_found(capacity: float, resolution: float) -> None:
    """The rate found holds, is within the resolution of the capacity, in 25 tries or less."""
    limits = Limits(start=200, ceiling=50_000, resolution=resolution)
    found = _run(find_highest(_service(capacity), limits))
    assert found.ended == "found"
    assert found.rate is not None
    assert found.failed_rate is not None
    assert found.rate <= capacity < found.failed_rate <= found.rate * (1 + resolution) + 1e-6
    assert len(found.steps) <= 25
    assert found.steps[-1].stage == "confirm"


async def test_the_ceiling_ends_the_search() -> None:
    """A service that holds the highest rate asked for is not asked for more."""
    found = await find_highest(_service(10**9), _LIMITS)
    assert (found.ended, found.rate, found.failed_rate) == ("ceiling", 50_000, None)


async def test_nothing_holds() -> None:
    """A service that holds no rate worth trying has none."""
    found = await find_highest(_service(1), _LIMITS)
    assert (found.ended, found.rate) == ("nothing", None)


async def test_the_generator_is_told_apart_from_the_service() -> None:
    """Where the generator gives out first, the search says so and names what held below."""
    found = await find_highest(_service(10**9, generator=3_000), _LIMITS)
    assert found.ended == "generator"
    assert found.rate is not None
    assert 2_850 <= found.rate <= 3_000


async def test_wrong_books_end_everything() -> None:
    """After a violated invariant no rate is tried any more, and none is named."""

    async def attempt(_stage: Stage, rate: float) -> Outcome:
        return "violated" if rate > 500 else "held"

    found = await find_highest(attempt, _LIMITS)
    assert (found.ended, found.rate) == ("violated", None)
    assert found.steps[-1].outcome == "violated"
    assert all(step.outcome == "held" for step in found.steps[:-1])


async def test_what_does_not_stand_for_long_is_not_named() -> None:
    """A rate that held in a short try and fails in the long one is given up for a lower one."""

    async def attempt(stage: Stage, rate: float) -> Outcome:
        return "held" if rate <= (950 if stage == "confirm" else 1_000) else "failed"

    found = await find_highest(attempt, _LIMITS)
    assert found.rate is not None
    assert found.rate <= 950
    stages = [step.stage for step in found.steps]
    assert 2 <= stages.count("confirm") <= CONFIRMATIONS_MAX


async def test_a_try_that_flickers_does_not_run_for_ever() -> None:
    """With outcomes drawn at random, every search ends after a bounded number of tries."""
    for seed in range(50):
        rng = random.Random(seed)  # noqa: S311 - seeded, so that a red test is red again

        async def attempt(_stage: Stage, rate: float, rng: random.Random = rng) -> Outcome:
            return "held" if rng.random() < min(0.9, 1_000 / rate) else "failed"

        found = await find_highest(attempt, _LIMITS)
        assert len(found.steps) <= 40


@pytest.mark.parametrize(
    "limits",
    [
        Limits(start=0, ceiling=10),
        Limits(start=20, ceiling=10),
        Limits(start=1, ceiling=10, growth=1.0),
        Limits(start=1, ceiling=10, resolution=0.0),
    ],
)
async def test_limits_that_lead_nowhere_are_refused(limits: Limits) -> None:
    """A search that could not end, or not begin, raises."""
    with pytest.raises(ValueError, match="a search needs"):
        await find_highest(_service(1), limits)
