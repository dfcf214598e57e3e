"""The runner: it finds tests, repeats them by seed, and says what was wrong and what happened."""

import sys
from pathlib import Path

import pytest

from kernel.clock import SystemClock
from zhihui.author.runner import Told, find_tests, run_test
from zhihui.author.scaffolding import new_pack
from zhihui.errors import SetupError

_HEAD = "from zhihui.testing import Platform, scenario\n\n"


def _pack(folder: Path, tests: str) -> Path:
    new_pack("shelves", folder)
    (folder / "shelves" / "tests" / "test_pack.py").write_text(_HEAD + tests, "utf-8")
    return folder / "shelves"


def _run(folder: Path, seed: int = 1) -> list[Told]:
    with find_tests(folder) as found:
        return [run_test(one, seed, SystemClock()) for one in found]


def test_a_new_pack_passes_its_tests(tmp_path: Path) -> None:
    """All tests of the scaffold pass, and nothing of them stays imported."""
    new_pack("shelves", tmp_path)
    before = (list(sys.path), set(sys.modules))
    told = _run(tmp_path / "shelves")
    assert [one.failure for one in told] == ["", "", ""]
    assert told[0].name == "tests/test_pack.py::test_a_thing_is_lent_for_an_hour"
    assert sys.path == before[0]
    assert not {name for name in set(sys.modules) - before[1] if "shelves" in name}


def test_a_failure_tells_both_sides_the_seed_and_the_history(tmp_path: Path) -> None:
    """A bare assertion says what was on its two sides, once each computed."""
    folder = _pack(
        tmp_path,
        "@scenario\n"
        "async def test_it(platform: Platform) -> None:\n"
        "    owner = await platform.open_account(40)\n"
        "    assert platform.balance(owner) == 41\n",
    )
    (told,) = _run(folder, seed=7)
    assert "platform.balance(owner) == 41\n    left:  40\n    right: 41" in told.failure
    assert "seed 7; what happened last:" in told.failure
    assert 'shop → account.deposit {"request_id":"t-2"' in told.failure
    assert "zhihui/author" not in told.failure


def test_sides_may_wait_and_are_computed_once(tmp_path: Path) -> None:
    """An assertion with a call in it makes that call one time."""
    folder = _pack(
        tmp_path,
        "@scenario\n"
        "async def test_it(platform: Platform) -> None:\n"
        "    assert (await platform.open_account(5)).startswith('acct') is not None\n"
        "    assert len(platform.world.rows('deposit')) == 1\n",
    )
    assert [one.failure for one in _run(folder)] == [""]


def test_plain_functions_and_unmarked_stories_are_tests_too(tmp_path: Path) -> None:
    """A function that needs no platform is run as it is; a story need not be marked."""
    folder = _pack(
        tmp_path,
        "from ..pack import Thing\n\n"
        "def test_plain() -> None:\n"
        "    assert Thing(thing_id='a', payee='b', price_minor=1).until is None\n\n"
        "async def test_story(platform: Platform) -> None:\n"
        "    assert platform.seed == 5\n",
    )
    assert [(one.name.partition("::")[2], one.failure) for one in _run(folder, seed=5)] == [
        ("test_plain", ""),
        ("test_story", ""),
    ]


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    """No tests, and tests that cannot be imported, are the author's to mend."""
    folder = _pack(tmp_path, "import nothing_of_that_name\n")
    with pytest.raises(SetupError, match="nothing_of_that_name"), find_tests(folder):
        pass
    for path in (folder / "tests").glob("test_*.py"):
        path.unlink()
    with pytest.raises(SetupError, match="There are no tests"), find_tests(folder):
        pass
