"""Every test of the plugin host leaves the interpreter as it found it."""

import linecache
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves a module, a finder or a path behind, and clean up after it."""
    before = (list(sys.meta_path), list(sys.path))
    modules_before, lines_before = _modules(), _lines()
    yield
    after = (list(sys.meta_path), list(sys.path))
    modules = _modules() - modules_before
    for name in modules:
        del sys.modules[name]
    sys.meta_path[:] = before[0]
    assert modules == set()
    assert _lines() - lines_before == set()
    assert after == before


def _modules() -> set[str]:
    return {name for name in sys.modules if name.startswith("_plugins")}


def _lines() -> set[str]:
    return {name for name in linecache.cache if name.startswith("<_plugins")}
