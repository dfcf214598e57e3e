"""Many seeds on several processors, and what they come to."""

import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from actors.customers.keyring import ensure_keyring
from kernel.randomness import SeededRandomness
from zhihui.simulation.bugs import BUGS
from zhihui.simulation.day import Result, play_day

__all__ = ("SEEDS_A_TASK", "Tally", "data_keys", "play_many", "play_seed")

# A few at a time, so that neither handing them out costs much nor the last ones keep all waiting.
SEEDS_A_TASK = 4

_KEYS_MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Tally(msgspec.Struct, kw_only=True):
    """What the seeds so far come to; ``wrong`` are those that failed, with the reasons."""

    seeds: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    wrong: dict[int, list[str]] = msgspec.field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a seed."""
        self.seeds += 1
        self.steps += result.steps
        self.virtual_s += result.virtual_s
        self.faults.update(result.faults)
        self.outcomes.update(result.outcomes)
        if result.wrong:
            self.wrong[result.seed] = result.wrong


@contextmanager
def data_keys() -> Iterator[Path]:
    """Provide a file of data keys, the same one every time, for as long as it is needed."""
    with TemporaryDirectory(prefix="zhihui-simulate-") as folder:
        path = Path(folder) / "keys.json"
        ensure_keyring(path, SeededRandomness(1), _KEYS_MADE_AT)
        yield path


def play_seed(seed: int, steps: int, keys: Path, bug: str = "", *, trace: bool = False) -> Result:
    """Play one seed, on a build with that bug if one is named; what it raises is a failure too."""
    with BUGS[bug]() if bug else nullcontext():
        try:
            return play_day(seed, steps, keys, trace=trace)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed has found it
            return Result(
                seed=seed, steps=steps, wrong=[f"raised {_named(error)}"], faults={}, outcomes={},
                virtual_s=0.0, digest="",
            )  # fmt: skip


def _named(error: BaseException) -> str:
    """Return what was raised, out of the groups that it came in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def play_many(
    seeds: Iterable[int], steps: int, *, jobs: int, bug: str, on_result: Callable[[Result], None],
    first_only: bool = False,
) -> Tally:  # fmt: skip
    """Play all seeds, or as many as it takes to find one that fails.

    ``on_result`` is called with each as it ends, in no order when there are several ``jobs``.
    """
    tally = Tally()
    with data_keys() as keys:
        for result in _results(list(seeds), steps, jobs, bug, keys):
            tally.add(result)
            on_result(result)
            if first_only and tally.wrong:
                break
    return tally


def _results(seeds: list[int], steps: int, jobs: int, bug: str, keys: Path) -> Iterator[Result]:
    if jobs == 1:
        for seed in seeds:
            yield play_seed(seed, steps, keys, bug)
        return
    # A fresh program for each: nothing of this one's threads and files may come along.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin)
    try:
        tasks = [
            pool.submit(_play_some, seeds[first : first + SEEDS_A_TASK], steps, keys, bug)
            for first in range(0, len(seeds), SEEDS_A_TASK)
        ]
        for task in as_completed(tasks):
            yield from task.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Prepare a process: whoever started it ends it, also when a terminal interrupts them all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a node has to say about its faults is no news here, and it is a lot.
    logging.disable()


def _play_some(seeds: list[int], steps: int, keys: Path, bug: str) -> list[Result]:
    return [play_seed(seed, steps, keys, bug) for seed in seeds]
