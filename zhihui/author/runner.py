"""Runs the tests of a pack where no test tool is installed, as on a machine of the service."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import TracebackException
from types import ModuleType
from typing import Any

import msgspec

from kernel.clock import Clock
from zhihui.author.assertions import compiled
from zhihui.author.scenario import scenario, seeded
from zhihui.errors import SetupError

__all__ = ("TESTS", "FoundTest", "Told", "find_tests", "run_test")

TESTS = "tests"
_OURS = str(Path(__file__).parents[1])


class FoundTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test, by the file and the function's name."""

    name: str
    claim: str
    function: Callable[[], None]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How a test ended; ``failure`` is empty when it passed."""

    name: str
    seed: int
    seconds: float
    failure: str


@contextmanager
def find_tests(folder: Path) -> Iterator[list[FoundTest]]:
    """Give the tests of the pack in a folder, in the order in which they are written.

    Their modules are imported as pytest does it, below the first folder that is no package, and are
    gone afterwards. Raise :class:`SetupError` when there is none, or one cannot be imported.
    """
    tests = folder / TESTS
    paths = sorted(tests.rglob("test_*.py"))
    if not paths:
        raise SetupError(f"There are no tests in {tests}: no file there is called test_*.py.")
    base = tests
    while (base / "__init__.py").is_file():
        base = base.parent
    known = set(sys.modules)
    sys.path.insert(0, str(base))
    try:
        yield [test for path in paths for test in _tests_of(_imported(path, base), path, folder)]
    finally:
        sys.path.remove(str(base))
        for name in [one for one in sys.modules if one not in known and _is_below(one, base)]:
            del sys.modules[name]


def _is_below(name: str, base: Path) -> bool:
    file = getattr(sys.modules[name], "__file__", None)
    return file is not None and Path(file).is_relative_to(base)


def _imported(path: Path, base: Path) -> ModuleType:
    name = ".".join(path.relative_to(base).with_suffix("").parts)
    module = ModuleType(name)
    module.__file__ = str(path)
    module.__package__ = name.rpartition(".")[0]
    try:
        if module.__package__:
            importlib.import_module(module.__package__)
        code, helps = compiled(path.read_bytes(), str(path))
        vars(module).update(helps)
        sys.modules[name] = module
        exec(code, vars(module))  # noqa: S102 - the author's own tests
    except Exception as error:
        raise SetupError(f"{path} cannot be imported:\n{_text(error)}") from error
    return module


def _tests_of(module: ModuleType, path: Path, folder: Path) -> Iterator[FoundTest]:
    for name, function in vars(module).items():
        if not name.startswith("test") or not inspect.isfunction(function):
            continue
        claim = (inspect.getdoc(function) or "").partition("\n")[0]
        if inspect.iscoroutinefunction(function):
            function = scenario(function)  # noqa: PLW2901 - one that was not marked
        yield FoundTest(
            name=f"{path.relative_to(folder).as_posix()}::{name}", claim=claim, function=function
        )


def run_test(test: FoundTest, seed: int, clock: Clock) -> Told:
    """Run a test and return how it ended."""
    began_s = clock.monotonic_s()
    failure = ""
    try:
        with seeded(seed):
            test.function()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this test's
        failure = _text(error)
    return Told(name=test.name, seed=seed, seconds=clock.monotonic_s() - began_s, failure=failure)


def _text(error: BaseException) -> str:
    """Return an error with its notes, and of its way what the author wrote."""
    told = TracebackException.from_exception(error, capture_locals=False)
    _shorten(told)
    return "".join(told.format(chain=False)).rstrip()


def _shorten(told: Any) -> None:
    own = [frame for frame in told.stack if not frame.filename.startswith((_OURS, "<frozen"))]
    kept = [frame for frame in own if f"{TESTS}/" in frame.filename] or own[-3:]
    told.stack[:] = kept
