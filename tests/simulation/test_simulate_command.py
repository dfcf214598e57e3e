"""``zhihui simulate``: what it prints, and with which code it ends."""

import re

from typer.testing import CliRunner

from zhihui.cli import app
from zhihui.commands.simulate import EXIT_WRONG

_SMALL = ["simulate", "--steps", "40", "--jobs", "1"]


def _run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*_SMALL, *arguments])
    return result.exit_code, result.output


def test_sound_seeds_end_well() -> None:
    """Seeds, requests, faults and outcomes are counted, and the code is 0."""
    code, said = _run("--seed", "3", "--seeds", "2")
    assert code == 0, said
    assert re.search(r"seeds +2\b", said)
    assert re.search(r"requests +8\d\b", said)
    assert "committed" in said
    assert "nothing was done twice" in said


def test_a_failing_seed_is_printed_with_what_plays_it_again() -> None:
    """The command that is printed fails in the same way, with a trace and the same digest."""
    code, said = _run("--bug", "lost-update", "--seeds", "20")
    assert code == EXIT_WRONG
    again = re.search(r"again: zhihui (simulate .*)", said)
    assert again is not None, said
    digests = set()
    for _ in range(2):
        result = CliRunner().invoke(app, again[1].split())
        assert result.exit_code == EXIT_WRONG
        digest = re.search(r"^digest [0-9a-f]{32}$", result.output, re.MULTILINE)
        assert digest is not None
        digests.add(digest[0])
        reasons = re.findall(r"^  (?!again).+$", said, re.MULTILINE)
        assert reasons
        assert all(reason in result.output for reason in reasons)
    assert len(digests) == 1


def test_bad_input_is_told_at_once() -> None:
    """A bug that is none and a trace of several seeds are refused with 2, by what there is."""
    code, said = _run("--bug", "no-such-bug")
    assert code == 2
    assert "lost-update" in said
    code, said = _run("--trace", "--seeds", "2")
    assert code == 2
    assert "--seeds 1" in said
