"""The commands of authors: what they say, what they write, and how they exit."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from zhihui.commands import plugin_author
from zhihui.errors import SetupError

_app = typer.Typer()
plugin_author.add_to(_app)


def _run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(_app, words)
    if isinstance(result.exception, SetupError):
        # `main` prints it and exits with 1.
        assert code == 1, result.exception
    else:
        assert result.exit_code == code, result.output
    return result


def _refused(*words: str) -> str:
    return str(_run(*words, code=1).exception)


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a new pack, in the folder in which commands are typed."""
    monkeypatch.chdir(tmp_path)
    _run("new", "book_club")
    return tmp_path / "book_club"


def test_a_new_pack_passes_everything_at_once(pack: Path) -> None:
    """Tests and checks of the scaffold pass as it is, from within its folder too."""
    assert "3 tests passed; 6 runs" in _run("test", str(pack), "--times", "2").output
    output = _run("check", str(pack / "tests")).output
    assert "passes: 12 checks" in output
    assert "skipped" not in output
    assert "class BookClub(Pack)" in (pack / "pack.py").read_text()


def test_nothing_is_written_over(pack: Path) -> None:
    """A folder with something in it stays as it is, and a name that cannot be one is refused."""
    before = (pack / "pack.py").read_bytes()
    assert "is there already" in _refused("new", "book_club")
    assert (pack / "pack.py").read_bytes() == before
    for name in ("Book", "2books", "class", "book-club", "", "x" * 33):
        assert "cannot be the name of a pack" in _refused("new", name)


def test_a_failed_test_exits_with_one_and_tells_its_seed(pack: Path) -> None:
    """The first seed that fails is named, and the others of that test are not run."""
    path = pack / "tests" / "test_pack.py"
    path.write_text(path.read_text().replace("== 800", "== 801"))
    output = _run("test", str(pack), "--seed", "4", "--times", "3", code=1).output
    assert "FAILED  tests/test_pack.py::test_a_thing_is_lent_for_an_hour  (seed 4)" in output
    assert "left:  800\n    right: 801" in output
    assert "1 of 3 tests failed; 7 runs" in output
    assert "1 tests passed" in _run("test", str(pack), "-k", "credit").output
    assert "no test has" in _run("test", str(pack), "-k", "xyz", code=2).output


def test_the_report_as_json(pack: Path) -> None:
    """Programs get every check with its number, name, claim and problems; failures exit with 1."""
    report = json.loads(_run("check", str(pack), "--json", "--only", "3", "--only", "9").output)
    assert [one["number"] for one in report["checks"]] == [3, 9]
    assert report["passed"] is True
    assert {"name", "proves", "result", "problems", "note", "seconds"} <= report["checks"][0].keys()
    manifest = pack / "plugin.toml"
    manifest.write_text(manifest.read_text().replace('["pay", ', '["pay", "hold", '))
    report = json.loads(_run("check", str(pack), "--json", "--only", "9", code=1).output)
    assert "asks for 'hold'" in report["checks"][0]["problems"][0]
    assert "there is no check 13" in _run("check", str(pack), "--only", "13", code=2).output


def test_what_is_wrong_with_a_story_is_told(pack: Path) -> None:
    """No story, no TOML, an unknown operation and an unknown code each get a sentence."""
    story = pack / "samples" / "check.toml"
    text = story.read_text()
    for old, new, says in (
        ('operation = "get"', 'operation = "fly"', "which does not exist"),
        ('"insufficient_funds"', '"poor"', "expects 'poor'"),
        ("[accounts]", "[accounts", "check.toml"),
        ("after_s", "afters", "unknown field"),
    ):
        story.write_text(text.replace(old, new))
        assert says in _refused("check", str(pack))
    story.unlink()
    assert "has no samples/check.toml" in _refused("check", str(pack))
    assert "is not in a pack" in _refused("check", str(pack.parent))


def test_archives_are_signed_and_verified(pack: Path, tmp_path: Path) -> None:
    """The same content makes the same bytes; a change, another key or no signature is refused."""
    _run("pack", str(pack))
    archive = tmp_path / "book_club-0.1.0.zhpack"
    first = archive.read_bytes()
    _run("pack", str(pack), "--out", str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == first
    for name in ("us", "others"):
        _run("keygen", name)
    assert (tmp_path / "us.secret.pem").stat().st_mode & 0o777 == 0o600
    assert "never overwritten" in _refused("keygen", "us")
    assert "is not signed" in _refused("verify", str(archive), "--key", "us.pem")
    _run("sign", str(archive), "--key", "us.secret.pem")
    said = _run("verify", str(archive), "--key", "others.pem", "--key", "us.pem").output
    assert "book_club 0.1.0, signed by us" in said
    assert "not trusted here" in _refused("verify", str(archive), "--key", "others.pem")
    (pack / "README.md").write_text("changed")
    _run("pack", str(pack))
    assert archive.read_bytes() != first
    assert "is not of this archive" in _refused("verify", str(archive), "--key", "us.pem")
    assert "Ed25519 private key" in _refused("sign", str(archive), "--key", "us.pem")
    assert "is a folder" in _refused("sign", str(pack), "--key", "us.secret.pem")
    assert "There is no file" in _refused("verify", "nothing", "--key", "us.pem")


def test_an_archive_is_never_part_of_the_next_one(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed from within its folder it is written beside the folder."""
    monkeypatch.chdir(pack)
    _run("pack")
    assert (pack.parent / "book_club-0.1.0.zhpack").is_file()
    assert not list(pack.glob("*.zhpack"))
