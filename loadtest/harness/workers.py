"""The processes that make load, as the coordinating one sees them."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from loadtest.harness.problems import RunFailed
from loadtest.harness.wire import Command, Report, decode_report, frame, read_frame
from zhihui.embedded.child import Child, log_tail

__all__ = ("Worker",)

_STOP_S = 5.0


class Worker:
    """One process. :meth:`spawn` starts it; it cannot outlive us."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, share: int) -> None:
        self._process = process
        self._log = log
        self.share = share

    @classmethod
    async def spawn(cls, share: int, directory: Path) -> "Worker":
        """Start a process; what it prints goes to a log in ``directory``."""
        log = directory / f"load-worker-{share}.log"
        command = Child.launch_command(
            [sys.executable, "-m", "loadtest.harness.worker"], death_signal=signal.SIGKILL
        )
        with log.open("ab") as log_file:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log_file,
                env=dict(os.environ),
                # It does not see the terminal's Ctrl-C: we stop it in order.
                start_new_session=True,
                limit=1 << 24,
            )
        return cls(process, log, share)

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def send(self, command: Command) -> None:
        """Tell it what to do; one that is gone does not hear it."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            stdin.write(frame(command))

    async def listen(self, heard: Callable[["Worker", Report], None]) -> None:
        """Pass on what it reports until it ends."""
        assert self._process.stdout is not None
        while (body := await read_frame(self._process.stdout)) is not None:
            heard(self, decode_report(body))

    def died(self) -> RunFailed:
        """Return what to raise when it ended without its last word."""
        return RunFailed(
            f"process {self.share} of the load generator died. The end of {self._log}:\n"
            f"{log_tail(self._log)}"
        )

    async def stop(self) -> None:
        """End it, at once if it does not go by itself."""
        stdin = self._process.stdin
        assert stdin is not None
        # The end of its input is the end of its work.
        stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
