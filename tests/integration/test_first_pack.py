"""The guide for a first pack, followed to the letter from an empty folder to an upgrade."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, Block, blocks, rows
from tests.terminal import Terminal
from zhihui.author.checks import CHECKS
from zhihui.author.scaffolding import new_pack

_PAGE = "docs/first-pack.md"


def _follow(terminal: Terminal, block: Block) -> None:
    if block.file_name is not None:
        terminal.save(block.file_name, block.text)
    elif block.language == "console":
        terminal.type_console(block.text)
    else:
        raise AssertionError(f"{block.language!r} is neither a file nor typed")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_newcomer_gets_there_by_the_guide_alone(tmp_path: Path) -> None:
    """Scaffold, code, tests, check, archive, signature, load, call and upgrade work as written."""
    with Terminal(tmp_path) as terminal:
        for block in blocks(_PAGE):
            try:
                _follow(terminal, block)
            except AssertionError as error:
                raise AssertionError(f"{block.where}: {error}") from error
        terminal.finish()


def test_the_guide_shows_files_of_the_pack_alone() -> None:
    """Every file of the guide stands in the pack's folder, but for the patch; each is named."""
    named = [block.file_name for block in blocks(_PAGE) if block.language != "console"]
    assert None not in named
    assert [name for name in named if name and not name.startswith("parcel_lockers/")] == [
        "next.diff"
    ]


def test_the_guide_names_the_checks_as_they_are() -> None:
    """Number, name and claim of each check stand in the guide's table."""
    table = [tuple(cells) for cells in rows(_PAGE, "5. The check")]
    assert table == [(f"{check.number} {check.name}", check.proves) for check in CHECKS]
    assert (ROOT / _PAGE).is_file()


def test_ctrl_c_ends_a_simulation_quietly(tmp_path: Path) -> None:
    """In the middle of simulated time too: exit code 130, and no traceback."""
    new_pack("shelves", tmp_path)
    command = [sys.executable, "-m", "zhihui", "plugin", "check", "shelves"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert "duplicates" in first
    assert process.returncode == 130, output
    assert "Traceback" not in output
