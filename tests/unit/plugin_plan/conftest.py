"""Every test of the plan leaves the interpreter as it found it."""

import gc
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test after which a module or a class of a pack is there that was not before."""
    modules, classes = _modules(), {id(one) for one in _classes()}
    yield
    assert _modules() - modules == set()
    gc.collect()
    assert [one for one in _classes() if id(one) not in classes] == []


def _modules() -> set[str]:
    return {name for name in sys.modules if name.startswith("_plugins.")}


def _classes() -> list[type]:
    return [
        one
        for one in gc.get_objects()
        if isinstance(one, type) and str(one.__module__).startswith("_plugins.")
    ]
