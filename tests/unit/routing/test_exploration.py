"""From scores to parts per million, and from these to a draw."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.channels.routing.exploration import PPM, distribution, draw
from kernel.randomness import SeededRandomness
from schemas.routing import Exploration

_scores = st.lists(st.tuples(st.floats(-2.0, 1.0), st.floats(0.0, 0.3)), min_size=1, max_size=32)
_policies = st.builds(
    Exploration,
    temperature=st.floats(1e-4, 10.0),
    bonus=st.floats(0.0, 10.0),
    floor_ppm=st.integers(1, 10_000),
)


@settings(max_examples=500, deadline=None)
@given(_policies, _scores, st.sampled_from((PPM, 950_000, 777_777, 33)))
def test_the_parts_sum_to_the_total(
    policy: Exploration, standing: list[tuple[float, float]], total_ppm: int
) -> None:
    """Whatever the scores, nothing is lost by rounding and nobody is below the floor."""
    scores, sds = zip(*standing, strict=True)
    parts = distribution(policy, scores, sds, total_ppm)
    assert sum(parts) == total_ppm
    assert min(parts) >= min(policy.floor_ppm, total_ppm // len(parts)) >= 1


def test_the_better_is_the_more_probable() -> None:
    """A higher score and a larger uncertainty both make a channel more probable."""
    parts = distribution(Exploration(), (0.90, 0.91, 0.89), (0.01, 0.01, 0.01), PPM)
    assert parts[1] > parts[0] > parts[2]
    parts = distribution(Exploration(), (0.90, 0.90, 0.90), (0.01, 0.02, 0.0), PPM)
    assert parts[1] > parts[0] > parts[2]
    parts = distribution(Exploration(bonus=0.0), (0.90, 0.90), (0.01, 0.02), PPM)
    assert parts == [500_000, 500_000]


def test_a_draw_takes_the_part_that_its_number_falls_in() -> None:
    """Every number below a million belongs to exactly one part, and others are drawn again."""

    class _Said:
        def __init__(self, *numbers: int) -> None:
            self._numbers = list(numbers)

        def bits(self, count: int) -> int:
            assert count == 20
            return self._numbers.pop(0)

    parts = [1, 999_998, 1]
    for numbers, index in (((0,), 0), ((1,), 1), ((999_998,), 1), ((999_999,), 2)):
        assert draw(parts, _Said(*numbers)) == index
    assert draw(parts, _Said(1_048_575, 1_000_000, 999_999)) == 2
    seen: dict[Any, int] = {}
    randomness = SeededRandomness(3)
    for _ in range(3_000):
        index = draw([500_000, 500_000], randomness)
        seen[index] = seen.get(index, 0) + 1
    assert abs(seen[0] - 1_500) < 5 * 27.4
