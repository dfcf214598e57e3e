"""One child process: spawned so that it cannot outlive us, waited for, stopped within a bound."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import anyio
import msgspec
import psutil

__all__ = ("Child", "RunAs", "log_tail", "rotate_log", "wait_gone")

_LAUNCHER = Path(__file__).with_name("_launch.py")

# Lines of a server's log that an error quotes: a Postgres start that fails says why in fewer.
_TAIL_LINES = 12

# A log is set aside at a start when it is larger, and one older log is kept.
_LOG_BYTES_MAX = 16 * 1024 * 1024

# Only where the system cannot tell us of an exit (no pidfd): how often to look.
_POLL_S = 0.05

# How long a killed process may take to vanish; more means it hangs in the kernel.
_KILL_WAIT_S = 10.0


class RunAs(msgspec.Struct, frozen=True, kw_only=True):
    """The user that a child runs as: ours, ours under another number, or another one."""

    mode: Literal["same", "namespace", "drop"] = "same"
    uid: int = 0
    gid: int = 0


class Child:
    """A process in a session of its own, which gets ``death_signal`` when our process dies.

    The kernel sends it when the *thread* that spawned ends, so spawn from the main thread. In its
    own session it does not see the terminal's Ctrl-C: the parent stops its children in order.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @classmethod
    def spawn(
        cls,
        command: Sequence[str | Path],
        *,
        log: Path,
        death_signal: signal.Signals,
        run_as: RunAs | None = None,
        environment: Mapping[str, str] | None = None,
        pipe_output: bool = False,
    ) -> "Child":
        """Start the command; what it writes goes to ``log``, or its output to a pipe."""
        with log.open("ab") as log_file:
            process = subprocess.Popen(
                cls.launch_command(command, death_signal=death_signal, run_as=run_as),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe_output else log_file,
                stderr=log_file,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        return cls(process)

    @staticmethod
    def launch_command(
        command: Sequence[str | Path],
        *,
        death_signal: signal.Signals | None = None,
        run_as: RunAs | None = None,
    ) -> list[str]:
        """Return the command that prepares a process and then becomes ``command``."""
        spec = {
            "parent": os.getpid(),
            "death_signal": int(death_signal or 0),
            "user": msgspec.to_builtins(run_as or RunAs()),
        }
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), msgspec.json.encode(spec).decode()]
        return [*launcher, *(str(part) for part in command)]

    @property
    def pid(self) -> int:
        """Return the process id; it stays ours until the exit was seen."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait until the process has ended and return its exit code."""
        while (code := self._process.poll()) is None:
            if not hasattr(os, "pidfd_open"):
                await anyio.sleep(_POLL_S)
                continue
            # A pidfd becomes readable at the exit. No thread waits, so nothing is left hanging
            # when we are cancelled.
            descriptor = os.pidfd_open(self.pid)
            try:
                await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)
        return code

    async def read_line(self) -> bytes:
        """Return the next line of the output, or what there was of it at its end."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        os.set_blocking(descriptor, False)
        line = b""
        while not line.endswith(b"\n"):
            await anyio.wait_readable(descriptor)
            # One byte at a time keeps what follows the line in the pipe; lines here are short.
            byte = os.read(descriptor, 1)
            if not byte:
                break
            line += byte
        return line

    async def discard_output(self) -> None:
        """Read and drop the output until it ends, so that the child never blocks on it."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        os.set_blocking(descriptor, False)
        while True:
            await anyio.wait_readable(descriptor)
            if not os.read(descriptor, 65536):
                return

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal unless the process has ended."""
        self._process.send_signal(number)

    async def stop(self, first: signal.Signals, grace_s: float) -> None:
        """Ask it to end with ``first``; kill it when ``grace_s`` have passed. Never cancelled."""
        with anyio.CancelScope(shield=True):
            self.send_signal(first)
            with anyio.move_on_after(grace_s):
                await self.wait()
            if self.returncode is None:
                await self.kill()
        self.close()

    async def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        with anyio.CancelScope(shield=True):
            self.send_signal(signal.SIGKILL)
            with anyio.fail_after(_KILL_WAIT_S):
                await self.wait()
        self.close()

    def close(self) -> None:
        """Close the pipe of a process that has ended."""
        if self._process.stdout is not None:
            self._process.stdout.close()


async def wait_gone(process: psutil.Process, timeout_s: float) -> bool:
    """Wait for a process that is not our child; tell whether it ended in time."""
    with anyio.move_on_after(timeout_s):
        # The kernel offers no event for a stranger's exit on every system, so this polls.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await anyio.sleep(_POLL_S)
        return True
    return False


def log_tail(log: Path) -> str:
    """Return the last lines of a log, indented for an error message."""
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64 * 1024))
        lines = file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        if lines:
            return "\n".join(f"  {line}" for line in lines)
    return "  (the log is empty)"


def rotate_log(log: Path) -> None:
    """Set a log aside when it has grown too large."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
