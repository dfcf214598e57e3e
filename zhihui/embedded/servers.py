"""The two servers that the service needs, each embedded or given by its address."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import asyncpg
import msgspec
import nats.errors

from kernel.address import without_password, without_user
from kernel.nats_security import SecureClient
from schemas.errors import ZhihuiError
from zhihui.access.registry import allowed_apps, registry
from zhihui.access.settings import (
    NATS_CREDENTIALS_VARIABLE,
    ServerTls,
    operator_security,
    server_tls,
)
from zhihui.embedded.data_dir import (
    Ports,
    RunFile,
    locked,
    read_ports,
    write_ports,
    write_run_file,
)
from zhihui.embedded.nats_server import EmbeddedNats, write_access
from zhihui.embedded.postgres_server import EmbeddedPostgres
from zhihui.errors import ServerFailed, ServerUnreachable

__all__ = (
    "NATS_URL_VARIABLE",
    "POSTGRES_DSN_VARIABLE",
    "ServerPair",
    "Servers",
    "check_nats",
    "check_postgres",
    "running_servers",
    "started_servers",
    "without_password",
)

NATS_URL_VARIABLE = "ZHIHUI_NATS_URL"
POSTGRES_DSN_VARIABLE = "ZHIHUI_POSTGRES_DSN"

_CHECK_TIMEOUT_S = 5.0


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers answer. A pid is None when the server is not ours."""

    nats_url: str
    postgres_dsn: str
    nats_pid: int | None
    postgres_pid: int | None


class ServerPair(msgspec.Struct, frozen=True, kw_only=True):
    """The running servers as things that can be stopped and started; None for one that is given."""

    nats: EmbeddedNats | None
    postgres: EmbeddedPostgres | None
    nats_url: str
    postgres_dsn: str

    def servers(self) -> Servers:
        """Return the addresses and the pids of this moment."""
        return Servers(
            nats_url=self.nats_url,
            postgres_dsn=self.postgres_dsn,
            nats_pid=None if self.nats is None else self.nats.pid,
            postgres_pid=None if self.postgres is None else self.postgres.pid,
        )


def _say_nothing(_line: str) -> None:
    pass


@asynccontextmanager
async def running_servers(
    data_dir: Path, *, report: Callable[[str], None] = _say_nothing
) -> AsyncIterator[Servers]:
    """Run what the environment does not give, on ``data_dir``; stop it in order at the end.

    ``report`` gets a line for a person at each step.
    """
    async with started_servers(data_dir, report=report) as pair:
        yield pair.servers()


@asynccontextmanager
async def started_servers(
    data_dir: Path,
    *,
    report: Callable[[str], None] = _say_nothing,
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[ServerPair]:
    """Do as :func:`running_servers`, and yield the handles."""
    # Absolute, because Postgres changes its working directory.
    data_dir = data_dir.absolute()
    async with AsyncExitStack() as stack:
        stack.enter_context(locked(data_dir))
        run_file = data_dir / "run.json"
        run_file.unlink(missing_ok=True)
        ports = read_ports(data_dir)

        postgres, dsn = None, environment.get(POSTGRES_DSN_VARIABLE, "")
        if dsn:
            await check_postgres(dsn)
        else:
            postgres = EmbeddedPostgres(data_dir, preferred_port=ports.postgres)
            await postgres.start()
            stack.push_async_callback(postgres.stop)
            dsn = postgres.dsn
        report(f"Postgres  {without_password(dsn)}")

        nats_server, url = None, environment.get(NATS_URL_VARIABLE, "")
        if url:
            await check_nats(url)
        else:
            nats_server = EmbeddedNats(
                data_dir, preferred_port=ports.nats, tls=_server_tls(environment)
            )
            # Before anybody can connect: who may is as the database says.
            async with registry(dsn) as connection:
                write_access(data_dir, await allowed_apps(connection))
            await nats_server.start()
            stack.push_async_callback(nats_server.stop)
            url = nats_server.url
        # Apps connect to it as somebody else than the nodes.
        report(f"NATS      {without_user(url)}")

        write_ports(
            data_dir,
            Ports(
                nats=nats_server.port if nats_server else ports.nats,
                postgres=postgres.port if postgres else ports.postgres,
            ),
        )
        write_run_file(
            data_dir,
            RunFile(
                pid=os.getpid(), nats_url=url, postgres_dsn=dsn, started_at=datetime.now(tz=UTC)
            ),
        )
        stack.callback(run_file.unlink, missing_ok=True)
        yield ServerPair(nats=nats_server, postgres=postgres, nats_url=url, postgres_dsn=dsn)


async def check_postgres(dsn: str, timeout_s: float = _CHECK_TIMEOUT_S) -> None:
    """Ask the server a question; raise :class:`ServerUnreachable` when it does not answer."""
    try:
        connection = await asyncpg.connect(dsn, timeout=timeout_s)
        try:
            await connection.execute("SELECT 1", timeout=timeout_s)
        finally:
            connection.terminate()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ServerUnreachable(
            f"Postgres at {without_password(dsn)} does not answer: {_reason(error, timeout_s)} "
            f"Check {POSTGRES_DSN_VARIABLE} (postgresql://user:password@host:port/database), or "
            "unset it to use the embedded server."
        ) from None


async def check_nats(url: str, timeout_s: float = _CHECK_TIMEOUT_S) -> None:
    """Make a round trip; raise :class:`ServerUnreachable` when the server does not answer."""

    async def be_quiet(_error: Exception) -> None:
        # The exception that connect() raises says the same.
        return

    client = SecureClient()
    try:
        with anyio.fail_after(timeout_s):
            # Even without reconnecting, the library tries 60 times, two seconds apart.
            await client.connect_secure(
                url,
                operator_security(url),
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=be_quiet,
            )
            await client.flush()
            await client.jetstream().account_info()
    except ZhihuiError as error:
        raise ServerUnreachable(
            f"NATS at {without_password(url)}: {error.message}. Check {NATS_URL_VARIABLE} "
            f"(nats://user:password@host:port) or {NATS_CREDENTIALS_VARIABLE}."
        ) from None
    except (OSError, ValueError, nats.errors.Error) as error:
        raise ServerUnreachable(
            f"NATS at {without_password(url)} does not answer with JetStream: "
            f"{_reason(error, timeout_s)} Check {NATS_URL_VARIABLE} (nats://host:port), or unset "
            "it to use the embedded server."
        ) from None
    finally:
        await client.close()


def _server_tls(environment: Mapping[str, str]) -> ServerTls | None:
    try:
        return server_tls(environment)
    except ValueError as error:
        raise ServerFailed(f"NATS cannot be started: {error}.") from None


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:.0f} s."
    said = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return f"{said.rstrip('.') or type(error).__name__}."
