"""Users' vocabulary: tasks with weights and tags, waits, and turns by weight."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import User, between, constant, constant_pacing, constant_throughput, tag, task
from loadtest.harness.engines import Mix, turns
from loadtest.harness.users import pacing_s, tasks_of


class _Base(User):
    @tag("read", "cheap")
    @task
    async def look(self) -> None:
        """Look."""


class _Driver(_Base):
    wait_time = between(1.0, 2.0)

    @task(3)
    async def exit_lot(self) -> None:
        """Drive out."""

    async def not_a_task(self) -> None:
        """Do nothing."""


def _names(**tags: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(one.__name__, weight) for one, weight in tasks_of(_Driver, **tags)]


def test_tasks_are_found_with_their_weights_and_tags() -> None:
    """Inherited tasks count, and tags choose among them."""
    assert _names() == [("exit_lot", 3), ("look", 1)]
    assert _names(tags=("read", "other")) == [("look", 1)]
    assert _names(exclude_tags=("cheap",)) == [("exit_lot", 3)]
    assert _names(tags=("nobody",)) == []


def test_marks_that_make_no_sense_are_refused() -> None:
    """A weight below one and a tag without a name are errors where they stand."""
    with pytest.raises(ValueError, match="weight"):
        task(0)
    with pytest.raises(ValueError, match="tag"):
        tag()


def test_waits_are_as_long_as_they_say() -> None:
    """Between stays between, constant is constant, and pacing tells its pace."""
    user = _Driver()
    user.random = random.Random(1)  # noqa: S311 - seeded, as in a run
    waits = [user.wait_time() for _ in range(200)]
    assert 1.0 <= min(waits) < 1.2
    assert 1.8 < max(waits) <= 2.0
    assert constant(0.5)(user) == 0.5

    class Paced(User):
        wait_time = constant_pacing(0.25)

    class Throttled(User):
        wait_time = constant_throughput(4)

    assert pacing_s(Paced) == pacing_s(Throttled) == 0.25
    assert pacing_s(_Driver) is None


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(1, 60))
def test_any_number_of_users_is_near_the_weights(weights: list[int], count: int) -> None:
    """Of the first users, each class has its share, within one a class."""
    order = turns(list(enumerate(weights)))
    assert Counter(order) == dict(enumerate(weights))
    first = Counter((order * count)[:count])
    for index, weight in enumerate(weights):
        assert abs(first[index] - count * weight / sum(weights)) <= len(weights)


def test_a_mix_draws_by_weight() -> None:
    """Three times the weight comes three times as often."""
    mix = Mix([("a", 3), ("b", 1)], random.Random(5))  # noqa: S311 - seeded, as in a run
    drawn = Counter(mix.draw() for _ in range(4_000))
    assert abs(drawn["a"] / 4_000 - 0.75) < 0.03
