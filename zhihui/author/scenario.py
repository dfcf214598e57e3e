"""Tests of a pack: stories on the simulated platform, for our runner and for pytest alike."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from kernel.plugins.archive import pack_folder
from zhihui.author.history import History
from zhihui.author.packing import code_of, pack_root
from zhihui.author.platform import Platform, on_platform

__all__ = ("FIRST_SEED", "SEED_VARIABLE", "scenario", "seeded")

# For runners that know nothing of seeds, such as pytest.
SEED_VARIABLE = "ZHIHUI_SEED"
FIRST_SEED = 1

_seed: ContextVar[int | None] = ContextVar("seed", default=None)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Play all scenarios with this seed."""
    token = _seed.set(seed)
    try:
        yield
    finally:
        _seed.reset(token)


def scenario(story: Callable[[Platform], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of a story: ``async def test_x(platform)`` becomes ``def test_x()``.

    The pack is the one in whose folder the test stands. When the story fails, its seed and what
    happened last are told with the error.
    """
    code = story.__code__

    # Not wrapped by functools: pytest would look at the story's parameter and search a fixture.
    def test() -> None:
        seed = _seed.get()
        if seed is None:
            seed = int(os.environ.get(SEED_VARIABLE, FIRST_SEED))
        history = History()
        archive = code_of(pack_folder(pack_root(Path(code.co_filename))))
        try:
            on_platform(archive, story, seed=seed, history=history)
        except Exception as error:
            error.add_note(f"seed {seed}; what happened last:\n{history.text()}")
            raise

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(test, name, getattr(story, name))
    return test
