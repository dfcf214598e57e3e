"""Servers of a test's own that can be killed, and the faults that befall them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncpg

from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.postgres_server import EmbeddedPostgres
from zhihui.migrate import migrate

__all__ = ("OwnServers", "kill_nats", "kill_postgres", "own_servers", "terminate_backends")


class OwnServers:
    """NATS and Postgres, migrated, for one test alone."""

    def __init__(self, nats: EmbeddedNats, postgres: EmbeddedPostgres) -> None:
        self.nats = nats
        self.postgres = postgres


@asynccontextmanager
async def own_servers(folder: Path) -> AsyncIterator[OwnServers]:
    """Run both servers on the folder, and stop them whatever happens."""
    nats, postgres = EmbeddedNats(folder / "nats"), EmbeddedPostgres(folder / "postgres")
    try:
        await nats.start()
        await postgres.start()
        await migrate(postgres.dsn)
        yield OwnServers(nats, postgres)
    finally:
        with anyio.CancelScope(shield=True):
            await nats.stop()
            await postgres.stop()


async def kill_nats(servers: OwnServers) -> None:
    """Kill NATS and start it again."""
    await servers.nats.kill()
    await servers.nats.start()


async def kill_postgres(servers: OwnServers) -> None:
    """Kill Postgres and start it again."""
    await servers.postgres.kill()
    await servers.postgres.start()


async def terminate_backends(servers: OwnServers) -> None:
    """Cut all connections to Postgres."""
    connection = await asyncpg.connect(servers.postgres.dsn)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()
