"""Simulated days: clean builds pass, broken ones are found, and a seed is always the same."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.tidy.source import ROOT
from zhihui.simulation.bugs import BUGS
from zhihui.simulation.day import Result
from zhihui.simulation.faults import make_schedule
from zhihui.simulation.many import Tally, data_keys, play_many, play_seed
from zhihui.simulation.workload import KINDS, make_workload

_STEPS = 80
# The other thousand are those of `make simulate`.
_SEEDS = range(20)
_FOUND_WITHIN = 200


@pytest.fixture(scope="module")
def keys() -> Iterator[Path]:
    """Return the data keys that all seeds share."""
    with data_keys() as path:
        yield path


@pytest.fixture(scope="module")
def played(keys: Path) -> Callable[[int], Result]:
    """Return how to get what a seed comes to on a sound build; each is played once."""

    @cache
    def play(seed: int) -> Result:
        return play_seed(seed, _STEPS, keys)

    return play


@pytest.mark.parametrize("first", range(0, len(_SEEDS), 5))
def test_days_end_as_the_model_says(first: int, played: Callable[[int], Result]) -> None:
    """With nodes dying, messages and commits lost, all that was said is true in the end."""
    for seed in _SEEDS[first : first + 5]:
        assert played(seed).wrong == [], f"seed {seed}"


def test_the_faults_do_happen(played: Callable[[int], Result]) -> None:
    """These seeds have every kind of fault and of step, and requests that end in every way."""
    tally = Tally()
    for seed in _SEEDS:
        tally.add(played(seed))
    assert set(tally.faults) == {
        "message_lost", "message_doubled", "message_delayed", "commit_lost", "commit_done_lost",
        "read_lost", "crash", "crash_at_commit", "crash_at_commit_done", "pause", "cut_bus",
        "cut_store",
    }  # fmt: skip
    assert set(tally.outcomes) >= {
        "committed", "insufficient_funds", "invalid_state", "limit_exceeded", "self_payment",
        "conflict",
    }  # fmt: skip
    assert tally.outcomes["committed"] > tally.outcomes.total() / 2
    steps = {step.kind for seed in _SEEDS for step in make_workload(seed, _STEPS).steps}
    assert steps >= set(KINDS)


@pytest.mark.parametrize("bug", BUGS)
def test_a_broken_build_is_found(bug: str, keys: Path) -> None:
    """Within 200 seeds, by a seed that fails again in the same way, and not on a sound build."""
    found: Result | None = None
    for seed in range(_FOUND_WITHIN):
        found = play_seed(seed, _STEPS, keys, bug)
        if found.wrong:
            break
    assert found is not None
    assert found.wrong, f"{bug} was not found within {_FOUND_WITHIN} seeds"
    assert play_seed(found.seed, _STEPS, keys, bug) == found
    assert play_seed(found.seed, _STEPS, keys).wrong == []


def test_a_seed_is_all_there_is_to_a_day() -> None:
    """What is asked for and what goes wrong is made from the seed, and differs with it."""
    assert make_workload(7, 60) == make_workload(7, 60)
    assert make_schedule(7, 30.0) == make_schedule(7, 30.0)
    assert make_workload(7, 60) != make_workload(8, 60)
    assert make_schedule(7, 30.0) != make_schedule(8, 30.0)


def test_the_same_day_in_another_process(keys: Path) -> None:
    """In programs in which sets have other orders, every message goes out at the same moment."""
    program = (
        "import logging, sys; from pathlib import Path; logging.disable();"
        "from zhihui.simulation.many import play_seed;"
        "print([play_seed(seed, 40, Path(sys.argv[1])).digest for seed in (3, 14)])"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-c", program, str(keys)],
            env={**os.environ, "PYTHONHASHSEED": number}, cwd=ROOT, check=True,
            capture_output=True, timeout=55,
        ).stdout.decode().strip()
        for number in ("1", "2")
    }  # fmt: skip
    assert prints == {str([play_seed(seed, 40, keys).digest for seed in (3, 14)])}


def test_several_processes_find_what_one_does() -> None:
    """What is printed of sound seeds does not depend on how many processes share them."""
    said = {
        subprocess.run(
            [sys.executable, "-m", "zhihui", "simulate", "--seeds", "8", "--steps", "20",
             "--jobs", jobs],
            cwd=ROOT, check=True, capture_output=True, timeout=55,
        ).stdout.decode()
        for jobs in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1
    assert "nothing was done twice" in said.pop()


def test_the_first_seed_that_fails_is_enough() -> None:
    """A search for a broken build ends with the seed that finds it."""
    heard: list[int] = []
    tally = play_many(
        range(_FOUND_WITHIN), 40, jobs=1, bug="lost-update", first_only=True,
        on_result=lambda result: heard.append(result.seed),
    )  # fmt: skip
    assert list(tally.wrong) == heard[-1:]
    assert heard == list(range(tally.seeds))
