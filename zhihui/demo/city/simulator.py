"""The payment channels of the demo: the simulator as a process of its own."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import msgspec

from zhihui.embedded.child import Child, log_tail
from zhihui.embedded.data_dir import choose_port
from zhihui.errors import ServerFailed

__all__ = ("RunningChannels", "running_channels")

_READY_S = 20.0
_STOP_S = 5.0


class RunningChannels(msgspec.Struct, frozen=True):
    """Where the simulator is; ``channels_file`` is what the nodes have to be given."""

    url: str
    channels_file: str

    async def set_outage(self, channel: str, kind: str | None) -> None:
        """Begin an outage of a channel, or end it."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.url}/admin/outage", json={"channel": channel, "kind": kind}
            ) as answer,
        ):
            answer.raise_for_status()


@asynccontextmanager
async def running_channels(folder: Path) -> AsyncIterator[RunningChannels]:
    """Run the simulator on 127.0.0.1 with its books in ``folder``; raise :class:`ServerFailed`."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "simulator.log"
    command = [
        sys.executable, "-m", "zhihui.channel_simulator", "--profile", "plain",
        "--data-dir", str(folder), "--callbacks-port", str(choose_port()),
    ]  # fmt: skip
    child = Child.spawn(command, log=log, death_signal=signal.SIGKILL, pipe_output=True)
    try:
        line = b""
        with anyio.move_on_after(_READY_S):
            line = await child.read_line()
        try:
            ready = msgspec.json.decode(line, type=RunningChannels)
        except msgspec.MsgspecError:
            raise ServerFailed(f"the channels did not start:\n{log_tail(log)}") from None
        yield ready
    finally:
        with anyio.CancelScope(shield=True):
            await child.stop(signal.SIGTERM, _STOP_S)
