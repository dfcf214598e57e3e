"""The audit of dependencies finds what is wrong, and tells silence from a clean bill."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.security.dependencies import LOCK, Known, NotAsked, advisories, lock_problems, pinned

_HASH = "--hash=sha256:" + "0" * 64


def test_our_lock_is_whole() -> None:
    """Every package of the lock has one version and hashes, and no address."""
    text = LOCK.read_text("utf-8")
    assert lock_problems(text) == []
    packages = pinned(text)
    assert {"msgspec", "asyncpg", "nats-py", "cryptography"} <= packages.keys()
    assert all(hashes > 0 for _, hashes in packages.values())


@pytest.mark.parametrize(
    "entry",
    ["anyio>=4 " + _HASH, "anyio==4.9", "anyio @ file:///tmp/x " + _HASH, "-e .",
     "anyio==4.9 --index-url=https://example.org " + _HASH],
)  # fmt: skip
def test_an_entry_that_is_no_pin_is_found(entry: str) -> None:
    """A range, a missing hash, a path and an address are not what a lock is for."""
    assert lock_problems(entry)


def test_a_pin_over_several_lines_is_read() -> None:
    """The form that the resolver writes is understood."""
    pin = "uvloop==0.21.0 ; sys_platform != 'win32' \\\n    "
    text = f"# by hand\n{pin}{_HASH} \\\n    {_HASH}\n    # via x\n"
    assert lock_problems(text) == []
    assert pinned(text) == {"uvloop": ("0.21.0", 2)}


def _answering(stdout: str, stderr: str = "", code: int = 0) -> "_Run":
    return _Run(stdout, stderr, code)


class _Run:
    def __init__(self, stdout: str, stderr: str, code: int) -> None:
        self._done = (stdout, stderr, code)

    def __call__(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        stdout, stderr, code = self._done
        return subprocess.CompletedProcess(command, code, stdout, stderr)


def test_an_advisory_is_told() -> None:
    """What is known against a version is told with where it is mended."""
    report = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": []},
            {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}]},
        ]
    }
    run = _answering(msgspec.json.encode(report).decode(), code=1)
    assert advisories(LOCK, run, installed=True) == [Known("b", "2", "X-1", ("3",))]


def test_silence_is_no_clean_bill() -> None:
    """Without pip-audit, an answer, a report or knowledge it is said that nobody answered."""
    with pytest.raises(NotAsked, match="not installed"):
        advisories(LOCK, installed=False)
    with pytest.raises(NotAsked, match="name resolution"):
        advisories(LOCK, _answering("", "x\nname resolution failed", 1), installed=True)

    skipped = {"dependencies": [{"name": "a", "skip_reason": "not found"}]}
    with pytest.raises(NotAsked, match="1 of 1"):
        advisories(LOCK, _answering(msgspec.json.encode(skipped).decode()), installed=True)

    def too_late(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        raise subprocess.TimeoutExpired(list(command), 1)

    with pytest.raises(NotAsked, match="no answer"):
        advisories(Path("x"), too_late, installed=True)
