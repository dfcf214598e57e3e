"""A person's terminal that types the examples of a page and compares what comes back.

An example shows identifiers, addresses, process ids and times of the day it was written. The first
time one is shown it may be anything of its kind; from then on it stands for what was really there,
in what is typed as well as in what is expected. ``…`` stands for any text.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ("Terminal",)

_COMMAND_S_MAX = 60.0
_OUTPUT_S_MAX = 30.0
_LOOK_EVERY_S = 0.05

_PROMPT = "$ "
_INTERRUPT = "^C"
_ELLIPSIS = "…"

# What differs from run to run, each under the name of its kind.
_VARYING = re.compile(
    r"(?P<id>\b[a-z]+_[0-9a-f]{27}\b)"
    r"|(?P<address>(?<=127\.0\.0\.1:)\d+)"
    r"|(?P<pid>(?<=pid )\d+)"
    r"|(?P<time>\b20\d\d-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d))"
)
_KILLED = re.compile(r"\bkill (?:-\w+ )?(\d+)")
_KINDS = {
    "id": r"[a-z]+_[0-9a-f]{27}",
    "address": r"\d+",
    "pid": r"\d+",
    "time": r"20\d\d-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)",
}


# Commands that run until they are ended; those of a page that follow are typed meanwhile.
_STAYING = (["zhihui", "up"], ["zhihui", "node"], ["zhihui", "channels"])


class _Background:
    """A command that runs on while others are typed, such as ``zhihui up``."""

    def __init__(
        self, command: str, environment: dict[str, str], folder: Path, output: Path
    ) -> None:
        self.command = command
        self.shown = 0
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                shlex.split(command),
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")[self.shown :]


class Terminal:
    """One shell's folder and environment; leaving it ends what still runs."""

    def __init__(self, folder: Path, *, known: dict[str, str] | None = None) -> None:
        """Start in ``folder``; ``known`` are words of the page and what they really are."""
        self._folder = folder
        self._given = known or {}
        self._known = dict(self._given)
        self._running: list[_Background] = []
        self._last_code = 0
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ZHIHUI_")
        }
        programs = f"{Path(sys.executable).parent}{os.pathsep}{self.environment['PATH']}"
        # The folder holds a copy of the sources, and what is tried is the copy.
        self.environment |= {
            "PATH": programs, "PYTHONPATH": str(folder), "COLUMNS": "100", "NO_COLOR": "1",
            "TERM": "dumb", "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._running:
            self._end(self._running.pop())

    @staticmethod
    def _end(background: _Background) -> None:
        background.process.send_signal(signal.SIGINT)
        try:
            background.process.wait(_OUTPUT_S_MAX)
        except subprocess.TimeoutExpired:
            background.process.kill()
            background.process.wait()

    def save(self, name: str, text: str) -> None:
        """Write a file that the page shows."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run_python(self, text: str) -> None:
        """Run an example that is a program of its own; it must end well."""
        done = self._run([sys.executable, "-c", self._real(text)])
        assert done.returncode == 0, done.stdout

    def type_console(self, text: str) -> None:
        """Type what stands behind each prompt, and compare what follows it.

        Lines before the first prompt are what the latest background command prints next.
        """
        shown, *typed = re.split(r"^(?=\$ |\^C$)", text, flags=re.MULTILINE)
        if shown.strip():
            self._expect_background(shown)
        for part in typed:
            line, _, expected = part.partition("\n")
            self._type(line.removeprefix(_PROMPT), expected)

    def _type(self, typed: str, expected: str) -> None:
        for pid in _KILLED.findall(typed):
            assert pid in self._known, f"`{typed}` would end a process that is not ours"
        command = self._real(typed)
        words = shlex.split(command)
        if typed == _INTERRUPT:
            self._running[-1].process.send_signal(signal.SIGINT)
            if expected.strip():
                self._expect_background(expected)
            self._running.pop().process.wait(_OUTPUT_S_MAX)
        elif words[:2] in _STAYING or words[0] == "nats-server":
            output = self._folder / f"background-{len(self._running)}.txt"
            self._running.append(_Background(command, self.environment, self._folder, output))
            self._expect_background(expected)
        elif typed == ". .venv/bin/activate":
            assert shutil.which("zhihui", path=self.environment["PATH"]), "it is not installed"
        elif words[0] == "export":
            self.environment |= dict(word.split("=", 1) for word in words[1:])
        elif words[0] == "unset":
            for name in words[1:]:
                self.environment.pop(name, None)
        elif command == "echo $?":
            self._compare(typed, f"{self._last_code}\n", expected)
            self._last_code = 0
        else:
            # What failed must be shown to fail: by `echo $?` before anything else.
            assert self._last_code == 0, f"a command before `{typed}` failed: {self._last_code}"
            done = self._run(["bash", "-c", command])
            self._last_code = done.returncode
            self._compare(typed, done.stdout, expected)

    def postgres_dsn(self) -> str:
        """Return the address of the database that the page's service runs on."""
        given = self.environment.get("ZHIHUI_POSTGRES_DSN")
        running = self._folder / ".zhihui" / "run.json"
        return given or str(json.loads(running.read_bytes())["postgres_dsn"])

    def finish(self) -> None:
        """Check that the last command ended well too."""
        assert self._last_code == 0

    def _run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self._folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_S_MAX,
            check=False,
        )

    def _real(self, text: str) -> str:
        """Put what is really there in the place of what the page shows."""
        if not self._known:
            return text
        # Whole words, all at once: a process id may also be digits of an identifier.
        shown = "|".join(map(re.escape, sorted(self._known, key=len, reverse=True)))
        return re.sub(rf"(?<!\w)(?:{shown})(?!\w)", lambda match: self._known[match[0]], text)

    def _expect_background(self, expected: str) -> None:
        background = self._running[-1]
        # Whole lines: half a number is a number too.
        pattern, names = self._pattern(expected.rstrip("\n") + "\n")
        give_up_s = time.monotonic() + _OUTPUT_S_MAX
        while True:
            output = background.output()
            found = pattern.search(output)
            if found:
                break
            if time.monotonic() > give_up_s or background.process.poll() is not None:
                # It may have printed its last between the look and the end.
                found = pattern.search(background.output())
                assert found, f"`{background.command}` said\n{output}\nnot\n{expected}"
                break
            time.sleep(_LOOK_EVERY_S)
        background.shown += found.end()
        self._remember(names, found)

    def _compare(self, typed: str, output: str, expected: str) -> None:
        if not expected.strip():
            return
        pattern, names = self._pattern(_trimmed(expected))
        found = pattern.fullmatch(_trimmed(output))
        assert found, f"`{typed}` said\n{_trimmed(output)}\nnot\n{_trimmed(expected)}"
        self._remember(names, found)

    def _remember(self, names: dict[str, str], found: re.Match[str]) -> None:
        self._known.update({shown: found[group] for group, shown in names.items()})

    def _pattern(self, expected: str) -> tuple[re.Pattern[str], dict[str, str]]:
        """Return the pattern, and which of its groups holds what for the first time."""
        groups: dict[str, str] = {}

        def varying(match: re.Match[str]) -> str:
            shown = match[0]
            if match.lastgroup == "time":
                return _KINDS["time"]
            if shown in self._known:
                return re.escape(self._known[shown])
            for group, known in groups.items():
                if known == shown:
                    return f"(?P={group})"
            group = f"v{len(groups)}"
            groups[group] = shown
            return f"(?P<{group}>{_KINDS[str(match.lastgroup)]})"

        parts = []
        position = 0
        for match in _VARYING.finditer(expected):
            parts += [self._literal(expected[position : match.start()]), varying(match)]
            position = match.end()
        parts.append(self._literal(expected[position:]))
        return re.compile("".join(parts), re.DOTALL), groups

    def _literal(self, text: str) -> str:
        for shown, real in self._given.items():
            text = text.replace(shown, real)
        return ".*?".join(map(re.escape, text.split(_ELLIPSIS)))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
