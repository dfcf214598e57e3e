"""The repository as a whole: its papers, its generated pages, and no trace of one machine."""

import importlib.util
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.tidy.source import ROOT
from zhihui.schema import write_schema

_TIMEOUT_S = 30
_HOST = re.compile(r"//(?:[^/@\s'\",]*@)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")

# Asked of pip itself, so that no host is written here.
_PIP_HOSTS = """
from pip._internal.models.index import PyPI
print('//' + PyPI.netloc, '//' + PyPI.file_storage_domain)
"""


@cache
def _files() -> tuple[Path, ...]:
    """Return all files that are committed, or would be by adding everything."""
    try:
        listed = _output("git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard")
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def _output(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, check=True, text=True, timeout=_TIMEOUT_S
    ).stdout


def _registry_hosts() -> set[str]:
    """Return the hosts from which this machine's clients install packages."""
    said = []
    if importlib.util.find_spec("pip") is not None:
        said.append(_output(sys.executable, "-c", _PIP_HOSTS))
        said.append(_output(sys.executable, "-m", "pip", "config", "list"))
    if (npm := shutil.which("npm")) is not None:
        said.append(_output(npm, "config", "get", "registry"))
    apt = Path("/etc/apt")
    sources = [apt / "sources.list", *(apt / "sources.list.d").glob("*")]
    said += [path.read_text(errors="replace") for path in sources if path.is_file()]
    return {host for text in said for host in _HOST.findall(text)}


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in _files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    return found


def test_no_file_names_a_registry() -> None:
    """No file holds the host of a package registry: what is installed is named by its hash."""
    hosts = _registry_hosts()
    assert hosts
    pattern = re.compile(r"(?<![A-Za-z0-9.-])(?:" + "|".join(map(re.escape, sorted(hosts))) + ")")
    offenders = _lines_with(pattern)
    assert offenders == [], "\n".join(offenders)


def test_no_file_names_a_path_of_a_machine() -> None:
    """No file holds this checkout's path or anybody's home."""
    places = {str(ROOT), str(Path.home())} - {"/"}
    pattern = re.compile(
        r"(?<![A-Za-z0-9_.-])(?:" + "|".join(map(re.escape, sorted(places))) + r")/[A-Za-z.]"
        r"|(?<![A-Za-z0-9_.-])/(?:home|Users)/[a-z]"
    )
    offenders = _lines_with(pattern)
    assert offenders == [], "\n".join(offenders)


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", "CHANGELOG.md", "docs/decisions.md", "requirements.lock"]
)
def test_the_papers_are_there(name: str) -> None:
    """The papers that a newcomer looks for exist and are not empty."""
    assert (ROOT / name).is_file(), f"{name} is missing"
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_the_message_reference_is_up_to_date(tmp_path: Path) -> None:
    """``docs/reference`` is what ``zhihui schema --out docs/reference`` writes today."""
    reference = ROOT / "docs" / "reference"
    expected = {
        path.relative_to(tmp_path): path.read_text("utf-8") for path in write_schema(tmp_path)
    }
    actual = {
        path.relative_to(reference): path.read_text("utf-8")
        for path in reference.rglob("*")
        if path.is_file()
    }
    stale = sorted(
        str(path)
        for path in expected.keys() | actual.keys()
        if expected.get(path) != actual.get(path)
    )
    assert stale == [], f"`zhihui schema --out docs/reference` would change {', '.join(stale)}"
