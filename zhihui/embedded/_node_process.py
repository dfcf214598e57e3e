"""A node of the service as a child process."""

import os
import signal
import sys
from pathlib import Path

import anyio
import msgspec

from zhihui.embedded.child import Child, log_tail, rotate_log
from zhihui.errors import NodeFailed

__all__ = ("NodeProcess",)

# It imports in half a second and may then wait for the lease of the node before it to run out.
_READY_DEADLINE_S = 60.0

# More than the sum of the bounds of a node's own shutdown steps.
_STOP_GRACE_S = 30.0


class NodeProcess:
    """One node. It says ``{"ready": ...}`` in one line on its output when it takes requests."""

    def __init__(
        self, name: str, *, data_dir: Path, variables: dict[str, str], arguments: tuple[str, ...],
        program: tuple[str, ...] = ("zhihui", "node"),
    ) -> None:  # fmt: skip
        self.name = name
        self._variables = variables
        self._arguments = arguments
        self._program = program
        self._log = data_dir / f"{name}.log"
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Return its process id, or None while it does not run."""
        return None if self._child is None else self._child.pid

    async def start(self, deadline_s: float = _READY_DEADLINE_S) -> None:
        """Start it and wait until it is ready; raise :class:`NodeFailed`."""
        assert self._child is None, "it runs already"
        rotate_log(self._log)
        child = Child.spawn(
            [sys.executable, "-m", *self._program, "--name", self.name, *self._arguments],
            log=self._log,
            # Its servers end with us too, so there is nothing it could still finish in order.
            death_signal=signal.SIGKILL,
            environment={**os.environ, **self._variables},
            pipe_output=True,
        )
        try:
            await self._wait_ready(child, deadline_s)
        except BaseException:
            await child.kill()
            raise
        self._child = child

    async def wait_exit(self) -> int:
        """Wait until it has ended by itself, and return its exit code."""
        assert self._child is not None, "it does not run"
        child = self._child
        # What else it writes is dropped, lest it block on a full pipe.
        await child.discard_output()
        code = await child.wait()
        child.close()
        self._child = None
        return code

    async def stop(self, grace_s: float = _STOP_GRACE_S) -> None:
        """End it in order, or kill it when it takes longer than ``grace_s``."""
        child, self._child = self._child, None
        if child is not None:
            await child.stop(signal.SIGTERM, grace_s)

    async def _wait_ready(self, child: Child, deadline_s: float) -> None:
        with anyio.move_on_after(deadline_s):
            line = await child.read_line()
            try:
                msgspec.json.decode(line, type=dict[str, object])
            except msgspec.MsgspecError:
                problem = (
                    f"said {line!r} instead of being ready" if line else "ended while starting"
                )
                raise NodeFailed(
                    f"node {self.name} {problem}. The end of {self._log}:\n{log_tail(self._log)}"
                ) from None
            return
        raise NodeFailed(
            f"node {self.name} was not ready within {deadline_s:.0f} s. The end of {self._log}:\n"
            f"{log_tail(self._log)}"
        )
