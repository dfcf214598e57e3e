"""Randomness and identifiers as ports."""

import re

from kernel.clock import ManualClock
from kernel.randomness import IdFactory, SeededRandomness, SystemRandomness
from tests.unit.kernel.harness import START


def test_ids_sort_by_time_and_order() -> None:
    """An id made later is greater: within a millisecond, and from one to the next."""
    clock = ManualClock(START)
    ids = IdFactory(clock, SeededRandomness(1))
    made = []
    for _ in range(20):
        made += [ids.new("pay") for _ in range(50)]
        clock.advance(0.001)
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"pay_[0-9a-f]{27}", one) for one in made)


def test_ids_of_two_processes_differ() -> None:
    """Two processes never make the same id at the same time."""
    clock = ManualClock(START)
    one, other = (IdFactory(clock, SystemRandomness()) for _ in range(2))
    assert {one.new("x") for _ in range(100)}.isdisjoint({other.new("x") for _ in range(100)})


def test_seed_reproduces() -> None:
    """The same seed and clock give the same ids."""
    first, second = (IdFactory(ManualClock(START), SeededRandomness(5)) for _ in range(2))
    assert [first.new("a") for _ in range(5)] == [second.new("a") for _ in range(5)]
    assert SeededRandomness(1).bits(64) != SeededRandomness(2).bits(64)


def test_bits_are_within_the_count() -> None:
    """A number of ``count`` bits has no more, for any count, and is not always the same."""
    for count in (1, 7, 8, 9, 40, 63):
        drawn = {SystemRandomness().bits(count) for _ in range(64)}
        assert all(0 <= value < 2**count for value in drawn)
        assert len(drawn) > 1
