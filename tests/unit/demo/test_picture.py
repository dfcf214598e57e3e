"""The picture of a run."""

import io
import re
from pathlib import Path

from rich.console import Console

from zhihui.demo.picture import COLUMNS, write_picture
from zhihui.demo.report import SUMMARY_TITLE


def test_the_picture_shows_the_last_screen_and_needs_nothing_else(tmp_path: Path) -> None:
    """It begins at the summary of all days, keeps what follows, and names no other place."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in ("Of parking", SUMMARY_TITLE, "[green]ok[/]", "The audit holds"):
        console.print(line)
    write_picture(console, tmp_path / "picture.svg", title="a run")
    picture = (tmp_path / "picture.svg").read_text(encoding="utf-8")
    assert "parking" not in picture
    for words in ("a run", SUMMARY_TITLE, ">ok<", "The audit holds"):
        assert words.replace(" ", "&#160;") in picture
    assert re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)\S+", picture) == []
