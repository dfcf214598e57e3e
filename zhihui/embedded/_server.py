"""What the embedded servers have in common: a child process behind a port that stays the same."""

from pathlib import Path

import anyio

from zhihui.embedded.child import Child, log_tail
from zhihui.embedded.data_dir import choose_port
from zhihui.errors import ServerFailed

__all__ = ("EmbeddedServer",)

# A start is tried again when the reason passes; see `_passing` of the servers.
_START_ATTEMPTS = 5
_ATTEMPT_PAUSE_S = 0.2

# How often `wait_died` looks whether a server that was stopped on purpose was started again.
_WATCH_S = 0.1

_ANSWER_RETRY_S = 0.02


class EmbeddedServer:
    """One server. It keeps its port and its data over stop, kill and start."""

    name = "server"

    # Parts of the server's own words for what may be over in a moment.
    _passing: tuple[str, ...] = ()

    def __init__(self, data_dir: Path, *, preferred_port: int, log: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._preferred_port = preferred_port
        self._log = log.absolute()
        self._child: Child | None = None
        self.port = 0

    @property
    def pid(self) -> int | None:
        """Return the server's process id, or None while it is stopped."""
        return None if self._child is None else self._child.pid

    async def wait_died(self) -> int:
        """Wait until it ends other than by stop or kill, and return its exit code."""
        while True:
            child = self._child
            if child is None:
                await anyio.sleep(_WATCH_S)
                continue
            code = await child.wait()
            if self._child is child:
                self._child = None
                return code

    async def _start_on_port(self, deadline_s: float) -> None:
        known_port = self.port  # by clients, so a restart must not choose another
        for attempt in range(1, _START_ATTEMPTS + 1):
            self.port = known_port or choose_port(self._preferred_port)
            child = self._spawn()
            try:
                await self._wait_answer(child, deadline_s)
            except BaseException as error:
                self.port = known_port
                await self._abandon(child)
                passing = any(sign in str(error) for sign in self._passing)
                if attempt == _START_ATTEMPTS or not isinstance(error, ServerFailed) or not passing:
                    raise
            else:
                self._child = child
                return
            await anyio.sleep(_ATTEMPT_PAUSE_S)

    async def _wait_answer(self, child: Child, deadline_s: float) -> None:
        with anyio.move_on_after(deadline_s):
            while not await self._answers():
                if child.returncode is not None:
                    raise ServerFailed(
                        f"{self.name} ended with exit code {child.returncode} instead of starting."
                        f" The end of {self._log}:\n{log_tail(self._log)}"
                    )
                await anyio.sleep(_ANSWER_RETRY_S)
            return
        raise ServerFailed(
            f"{self.name} did not answer on port {self.port} within {deadline_s:.0f} s. The end of "
            f"{self._log}:\n{log_tail(self._log)}"
        )

    def _take_child(self) -> Child | None:
        # Taken away before it is ended: that tells `wait_died` that this end is meant.
        child, self._child = self._child, None
        return child

    def _spawn(self) -> Child:
        raise NotImplementedError

    async def _answers(self) -> bool:
        raise NotImplementedError

    async def _abandon(self, child: Child) -> None:
        await child.kill()
