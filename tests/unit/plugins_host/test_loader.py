"""Code from bytes: under a name of its own, beside other generations, and away again."""

import gc
import linecache
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from kernel.clock import ManualClock
from kernel.plugins.archive import Archive
from kernel.plugins.errors import ImportRefused, LoadFailed
from kernel.plugins.loader import LoadedCode, load_code
from kernel.plugins.remains import Remains
from kernel.virtual_time import run_virtual
from tests.unit.plugins_host.lab import RULES, changed, library

_V1 = library(1)


def _modules() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("_plugins"))


def _load(archive: Archive = _V1, number: int = 1) -> LoadedCode:
    async def main(clock: object, randomness: object) -> LoadedCode:
        return await load_code(archive, number=number, rules=RULES)

    return run_virtual(main)


def _gone(code: LoadedCode) -> bool:
    return code.unload().collect()


def test_modules_have_the_name_of_their_generation() -> None:
    """All modules of the archive are loaded, under one package."""
    code = _load(number=7)
    assert _modules() == [
        "_plugins",
        "_plugins.library",
        *(
            f"_plugins.library.g7{rest}"
            for rest in ("", ".messages", ".pack", ".rules", ".rules.loans", ".state")
        ),
    ]
    assert code.find("pack:EDITION") == 1
    assert sys.modules["_plugins.library.g7.pack"].__file__ == "<_plugins.library.g7>/pack.py"
    assert _gone(code)


def test_constants_of_plain_values_hold_nothing() -> None:
    """A struct that the collector of cycles does not look at keeps no module alive."""
    text = _V1.files["state.py"].decode()
    text += """

class Plain(msgspec.Struct, frozen=True):
    number: int = 0

    def double(self):
        return NOTHING


NOTHING = Plain()
"""
    code = _load(changed(_V1, {"state.py": text}))
    assert code.find("state:NOTHING").double() is code.find("state:NOTHING")
    assert _gone(code)


def test_relative_imports_and_data_are_the_packs_own() -> None:
    """Modules see each other, and the files that travel with them."""
    code = _load(changed(_V1, {"rules/loans.toml": "per_reader_max = 5\n"}))
    assert code.find("rules.loans:per_reader_max")() == 5
    assert code.find("rules.loans:Book") is code.find("state:Book")
    assert _gone(code)


def test_data_is_read_as_from_a_folder() -> None:
    """What ``importlib.resources`` offers for a folder works for an archive."""
    text = (
        "from importlib.resources import as_file, files\n"
        "top = files(__package__)\n"
        "names = sorted(one.name for one in top.iterdir())\n"
        "deep = (top / 'data' / 'a' / 'x.txt').read_text()\n"
        "with top.joinpath('data/a/x.txt').open('rb') as file: raw = file.read()\n"
        "with top.joinpath('data/a/x.txt').open() as file: lines = file.readlines()\n"
        "with as_file(top / 'data' / 'a' / 'x.txt') as path: copied = path.read_text()\n"
        "kinds = (top.is_dir(), (top / 'data').is_dir(), (top / 'data').is_file(),\n"
        "         (top / 'pack.py').is_file(), (top / 'none').is_dir())\n"
        "missing = []\n"
        "for bad in ('none', '../x', 'data'):\n"
        "    try: (top / bad).read_bytes()\n"
        "    except (OSError, ValueError) as error: missing.append(type(error).__name__)\n"
    )
    code = _load(changed(_V1, {"reads.py": text, "data/a/x.txt": "one\ntwo\n"}))
    assert {"data", "pack.py", "plugin.toml", "rules"} <= set(code.find("reads:names"))
    assert code.find("reads:deep") == code.find("reads:copied") == "one\ntwo\n"
    assert code.find("reads:raw") == b"one\ntwo\n"
    assert code.find("reads:lines") == ["one\n", "two\n"]
    assert code.find("reads:kinds") == (True, True, False, True, False)
    assert code.find("reads:missing") == ["FileNotFoundError", "ValueError", "FileNotFoundError"]
    assert _gone(code)


def test_generations_live_side_by_side() -> None:
    """Each has its own classes and its own state of modules, and one goes without the other."""
    first, second = _load(number=1), _load(library(2), number=2)
    assert first.find("pack:EDITION") == 1
    assert second.find("pack:EDITION") == 2
    assert first.find("state:Book") is not second.find("state:Book")
    assert _gone(first)
    assert second.find("rules.loans:per_reader_max")() == 2
    with pytest.raises(LoadFailed):
        first.find("pack:EDITION")
    assert _gone(second)


def test_a_generation_does_not_see_another() -> None:
    """The package above holds none of them, and an import of another is refused."""
    first = _load(number=1)
    assert not [name for name in vars(sys.modules["_plugins.library"]) if name.startswith("g")]
    for text in ("from ..g1 import pack", "import _plugins.library.g1.pack as x"):
        with pytest.raises(ImportRefused):
            _load(changed(_V1, {"spy.py": text + "\n"}), number=2)
    with pytest.raises(LoadFailed):
        _load(changed(_V1, {"broken.py": "1 / 0\n"}), number=3)
    assert not [name for name in vars(sys.modules["_plugins.library"]) if name.startswith("g")]
    assert _gone(first)


def test_a_number_is_taken_once() -> None:
    """What is loaded is never replaced."""
    code = _load()
    with pytest.raises(LoadFailed, match="loaded already"):
        _load(library(2))
    assert code.find("pack:EDITION") == 1
    assert _gone(code)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n1 / 0\n", "broken.py:2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", "broken.py:2: SystemExit: 3"),
        ("from .state import Nothing\n", "broken.py:1: ImportError: cannot import name 'Nothing'"),
        ("from .nothing import x\n", "broken.py:1: ModuleNotFoundError"),
        ("import surely_not_installed\n", "broken.py:1: ModuleNotFoundError"),
        ("raise BaseExceptionGroup('x', [ValueError('y')])\n", "broken.py:1: ExceptionGroup"),
        ("def f(:\n", "broken.py:1: invalid syntax"),
        ("return\n", "broken.py: 'return' outside function"),
        ("from kernel.node import Node\n", "broken.py:1: a pack may not import kernel.node.Node"),
    ],
)
def test_a_crash_at_import_leaves_nothing(text: str, message: str) -> None:
    """The error says where and why, and neither modules nor classes stay."""
    with pytest.raises(LoadFailed) as caught:
        _load(changed(_V1, {"broken.py": text}))
    assert caught.value.message.startswith(message)
    assert _modules() == []
    caught = None  # type: ignore[assignment]
    gc.collect()
    assert not [one for one in gc.get_objects() if _is_of_the_library(one)]


def _is_of_the_library(thing: Any) -> bool:
    return isinstance(thing, type) and str(thing.__module__).startswith("_plugins.")


def test_a_traceback_shows_the_lines_of_the_pack() -> None:
    """An operator reads the pack's own lines, and they are forgotten with it."""
    code = _load(changed(_V1, {"late.py": "def fail():\n    raise ValueError('late')  # here\n"}))
    text = ""
    try:
        code.find("late:fail")()
    except ValueError:
        text = traceback.format_exc()
    assert "raise ValueError('late')  # here" in text
    assert "<_plugins.library.g1>/late.py" in linecache.cache
    assert _gone(code)


def test_loggers_are_forgotten() -> None:
    """A logger named after a module does not outlive it."""
    code = _load()
    assert "_plugins.library.g1.pack" in logging.Logger.manager.loggerDict
    assert _gone(code)
    assert "_plugins.library.g1.pack" not in logging.Logger.manager.loggerDict
    above = logging.Logger.manager.loggerDict["_plugins.library"]
    assert isinstance(above, logging.PlaceHolder)
    assert not above.loggerMap


def _remains(text: str, use: str) -> Remains:
    """Load a module with this text, call ``use`` of it, and unload."""
    code = _load(changed(_V1, {"habits.py": text}))
    code.find(f"habits:{use}")()
    return code.unload()


@pytest.mark.parametrize(
    "text",
    [
        # Each is remembered by a library that nobody asked to.
        "from typing import Optional, Union\nOptional[A]; Union[A, B]\n",
        'msgspec.json.decode(b\'{"type":"A","x":1}\', type=A | B)\n',
        "msgspec.convert({'x': {'x': 1}}, Nested)\n",
        "msgspec.json.schema(Nested)\n",
        "class Local(msgspec.Struct):\n    x: Nested\nmsgspec.json.Decoder(Local | None)\n",
        "import typing\ntyping.get_type_hints(Nested)\n",
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    x: Nested\n",
        "import enum\nclass E(enum.Enum):\n    A = Nested\n",
        "import abc\nclass C(abc.ABC): pass\nC.register(A); issubclass(B, C)\n",
        "import functools\n@functools.lru_cache\ndef f(x): return x\nf(A)\n",
        "import logging\nlogging.getLogger(__name__).info('%s', A)\n",
        "import inspect\ninspect.signature(A.method); inspect.getsource(A)\n",
        "import re\nre.compile('library' + A.__name__)\n",
    ],
)
def test_nothing_that_libraries_remember_holds_a_generation(text: str) -> None:
    """What a pack may reasonably do with its classes does not keep them alive."""
    head = (
        "import msgspec\n"
        "class A(msgspec.Struct, tag=True):\n    x: int\n    def method(self): return A\n"
        "class B(msgspec.Struct, tag=True):\n    y: int\n"
        "class Nested(msgspec.Struct):\n    x: A\n    z: 'A | B | None' = None\n"
        "def use():\n"
    )
    body = "".join(f"    {line}\n" for line in text.splitlines())
    remains = _remains(head + body, "use")
    assert remains.alive()
    assert remains.collect(), (remains.alive(), remains.holders())


def test_what_holds_a_generation_is_named() -> None:
    """Someone who keeps a class, an instance or a function is found, by name."""
    shelf = ModuleType("tests.the_shelf")
    sys.modules["tests.the_shelf"] = shelf
    try:
        for reference, make in (
            ("state:Book", lambda kind: kind),
            ("state:Book", lambda kind: kind(isbn="i", copies=1)),
            ("rules.loans:may_lend", lambda function: function),
            ("rules.loans:may_lend", lambda function: {"deep": [(function,)]}),
            ("pack:Library", lambda kind: kind().lend),
        ):
            code = _load()
            shelf.kept = make(code.find(reference))  # type: ignore[attr-defined]
            remains = code.unload()
            assert not remains.collect()
            assert "the module tests.the_shelf, as " in remains.holders()[0]
            del shelf.kept
            assert remains.collect()
            assert remains.holders() == ()
    finally:
        del sys.modules["tests.the_shelf"]


class _Keeper:
    kept: object


def test_objects_and_running_code_are_named() -> None:
    """So is an object of ours, and code that waits with a document in its hands."""

    async def wait(book: object) -> None:
        raise AssertionError("never run")

    code = _load()
    keeper, book = _Keeper(), code.find("state:Book")(isbn="i", copies=1)
    keeper.kept = book
    coroutine = wait(book)
    del book
    remains = code.unload()
    assert not remains.collect()
    found = remains.holders()
    assert any("test_loader._Keeper" in one for one in found), found
    assert any("the coroutine" in one and "wait" in one for one in found), found
    coroutine.close()
    del keeper, coroutine
    assert remains.collect()


def test_a_generation_that_was_frozen_is_found() -> None:
    """A node freezes what it has when it has started; that does not keep a pack alive."""
    code = _load()
    gc.collect()
    gc.freeze()
    try:
        remains = code.unload()
        assert remains.collect(), remains.holders()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_loading_lets_others_run() -> None:
    """Between any two modules the loop serves whoever waits."""

    async def main(clock: Any, randomness: object) -> int:
        import anyio

        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            code = await load_code(_V1, number=1, rules=RULES)
            seen = turns
            tasks.cancel_scope.cancel()
        assert _gone(code)
        return seen

    assert run_virtual(main) >= 2 * len([name for name in _V1.files if name.endswith(".py")])


def test_a_load_that_is_cancelled_leaves_nothing() -> None:
    """Wherever it is cut off, no module stays."""

    async def main(clock: Any, randomness: object) -> None:
        import anyio

        for steps in range(1, 16):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: load_code(_V1, number=1, rules=RULES))
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            if _modules():
                assert "_plugins.library.g1.pack" in _modules()
                break
            assert _modules() == []

    run_virtual(main)
    for name in _modules():
        del sys.modules[name]
    sys.meta_path[:] = [one for one in sys.meta_path if "loader._Finder" not in repr(one)]


def test_loading_leaves_others_twice_the_time_that_it_takes() -> None:
    """After each step it rests by the clock for twice as long as that took, within a bound."""

    class _Clock(ManualClock):
        """On which each step takes 2 ms, and one of them a second."""

        def __init__(self) -> None:
            super().__init__(datetime(2026, 1, 1, tzinfo=UTC))
            self.rests: list[float] = []
            self._steps = 0
            self._s = 0.0

        def monotonic_s(self) -> float:
            # Looked at before and after each step.
            self._steps += 1
            self._s += 1.0 if self._steps == 4 else 0.002
            return self._s

        async def sleep(self, seconds: float) -> None:
            self.rests.append(seconds)

    async def main(clock: object, randomness: object) -> list[float]:
        slow = _Clock()
        assert _gone(await load_code(_V1, number=1, rules=RULES, clock=slow))
        return slow.rests

    rests = run_virtual(main)
    modules = len([name for name in _V1.files if name.endswith(".py")])
    # Each module is checked, compiled and run.
    assert len(rests) >= 3 * modules
    assert max(rests) == 0.05
    assert {round(one, 6) for one in rests} == {0.004, 0.05}


def test_a_struct_of_plain_values_keeps_nothing_in_memory() -> None:
    """The collector does not see that it holds its class, which is free one run after the rest."""
    rates = (
        "import msgspec\n\n\n"
        "class Rate(msgspec.Struct, frozen=True):\n"
        "    ppm: str\n\n\n"
        "def made(rate):\n"
        "    return type('Made', (), {'rate': lambda self: rate.ppm})\n\n\n"
        "Made = made(Rate('5'))\n"
    )
    code = _load(changed(_V1, {"rules/rates.py": rates}))
    assert code.find("rules.rates:Made")().rate() == "5"
    assert _gone(code)
