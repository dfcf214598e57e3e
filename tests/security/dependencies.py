"""``python -m tests.security.dependencies``: what is installed, and what is known against it.

The lock is checked on every machine: each package is pinned to one version and to the hashes of its
files. Whether an advisory is known against one of them can only be asked where the advisories are,
by ``pip-audit``; where they cannot be asked that is said, and it is no failure. A known
vulnerability is one: the exit code is 1.
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

__all__ = ("Known", "NotAsked", "advisories", "lock_problems", "main", "pinned")

LOCK = Path(__file__).parents[2] / "requirements.lock"
# The service answers within seconds for a lock of this size.
_TIMEOUT_S = 120.0
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(\[[\w,-]+\])?==(?P<version>[\w.!+-]+)(?P<rest>.*)$"
)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


class NotAsked(Exception):
    """Not all could be asked about; the message says why, and ``known`` is what was answered."""

    def __init__(self, reason: str, known: Sequence["Known"] = ()) -> None:
        super().__init__(reason)
        self.known = tuple(known)


class Known(msgspec.Struct, frozen=True):
    """An advisory against a version that is in the lock."""

    name: str
    version: str
    advisory: str
    fixed_in: tuple[str, ...]


class _Vulnerability(msgspec.Struct):
    id: str
    fix_versions: list[str] = []


class _Dependency(msgspec.Struct):
    name: str
    version: str = ""
    vulns: list[_Vulnerability] = []
    # Said of one that the service does not know, as that of a mirror knows none.
    skip_reason: str = ""


class _Report(msgspec.Struct):
    dependencies: list[_Dependency]


def pinned(text: str) -> dict[str, tuple[str, int]]:
    """Return the version of each package of a lock, and how many hashes it has."""
    found = {}
    for entry in _entries(text):
        match = _PIN.match(entry)
        if match:
            found[match["name"].lower()] = (match["version"], len(_HASH.findall(entry)))
    return found


def _entries(text: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", text)
    return [
        line for line in joined.splitlines() if line.strip() and not line.startswith(("#", " "))
    ]


def lock_problems(text: str) -> list[str]:
    """Return what of a lock is not one version with hashes and without an address."""
    problems = []
    for entry in _entries(text):
        if not _PIN.match(entry):
            problems.append(f"not a pin: {entry[:60]}")
        elif not _HASH.search(entry):
            problems.append(f"no hash: {entry[:60]}")
        elif "://" in entry:
            problems.append(f"an address: {entry[:60]}")
    return problems


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)


def advisories(
    lock: Path,
    run: Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"] = _run,
    *,
    installed: bool | None = None,
) -> list[Known]:
    """Return the advisories against what the lock names; raise :class:`NotAsked`."""
    if installed is None:
        installed = importlib.util.find_spec("pip_audit") is not None
    if not installed:
        raise NotAsked("pip-audit is not installed here")
    command = (
        sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip", "--no-deps",
        "--require-hashes", "--format", "json", "--progress-spinner", "off",
    )  # fmt: skip
    try:
        done = run(command)
    except subprocess.TimeoutExpired as error:
        raise NotAsked(f"no answer within {_TIMEOUT_S:.0f} s") from error
    try:
        report = msgspec.json.decode(done.stdout, type=_Report)
    except msgspec.MsgspecError as error:
        # Without the service it ends with an error and prints no report.
        last = done.stderr.strip().rpartition("\n")[2]
        raise NotAsked(last[-200:] or f"pip-audit ended with {done.returncode}") from error
    known = [
        Known(one.name, one.version, found.id, tuple(found.fix_versions))
        for one in report.dependencies
        for found in one.vulns
    ]
    skipped = [one for one in report.dependencies if one.skip_reason]
    if skipped:
        count = f"{len(skipped)} of {len(report.dependencies)} packages"
        raise NotAsked(f"nothing is known here about {count}: {skipped[0].skip_reason}", known)
    return known


def main() -> int:
    """Check the lock and ask about advisories; return 1 for a problem that was found."""
    text = LOCK.read_text("utf-8")
    problems = lock_problems(text)
    for problem in problems:
        _say(f"requirements.lock: {problem}")
    packages = pinned(text)
    _say(f"{len(packages)} packages, each pinned to one version and the hashes of its files")
    try:
        known = tuple(advisories(LOCK))
        if not known:
            _say("no advisory is known against any of them")
    except NotAsked as reason:
        _say(f"advisories could not be asked: {reason}")
        known = reason.known
    for one in known:
        fixed = ", ".join(one.fixed_in) or "no version yet"
        _say(f"{one.name} {one.version}: {one.advisory}, fixed in {fixed}")
    return 1 if problems or known else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
