"""Servers of a run's own, NATS and Postgres from the wheels, and the faults that befall them."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio
import asyncpg
import nats
import nats.errors
import nats.js.errors
from nats.js.api import StorageType, StoreCompression, StreamConfig

from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.postgres_server import EmbeddedPostgres

__all__ = (
    "FILLER",
    "OwnServers",
    "empty_jetstream",
    "fill_jetstream",
    "kill_nats",
    "kill_postgres",
    "own_servers",
    "stop_postgres",
    "terminate_backends",
)

# The stream that takes all the room there is.
FILLER = "ADVERSITY_FILLER"
_FILLER_SUBJECT = "adversity.filler"
# A little less than the server takes, for the headers.
_FILLER_BYTES = 8 * 1024 * 1024 - 4096
# Under way at a time while it is filled: half a gigabyte a second on two cores.
_FILLER_WINDOW = 8
_FILLER_TIMEOUT_S = 30.0
# JetStream: the account or the server has no more room.
_NO_ROOM = frozenset({10002, 10023, 10028, 10047, 10077, 10122})


class OwnServers:
    """NATS and Postgres, migrated, for one run alone."""

    def __init__(self, nats: EmbeddedNats, postgres: EmbeddedPostgres) -> None:
        self.nats = nats
        self.postgres = postgres


@asynccontextmanager
async def own_servers(
    folder: Path, migrate: Callable[[str], Awaitable[object]]
) -> AsyncIterator[OwnServers]:
    """Run both servers on the folder, with the schema, and stop them whatever happens."""
    nats_server, postgres = EmbeddedNats(folder / "nats"), EmbeddedPostgres(folder / "postgres")
    try:
        await nats_server.start()
        await postgres.start()
        await migrate(postgres.dsn)
        yield OwnServers(nats_server, postgres)
    finally:
        with anyio.CancelScope(shield=True):
            await nats_server.stop()
            await postgres.stop()


async def kill_nats(servers: OwnServers) -> None:
    """Kill NATS and start it again."""
    await servers.nats.kill()
    await servers.nats.start()


async def kill_postgres(servers: OwnServers) -> None:
    """Kill Postgres and start it again."""
    await servers.postgres.kill()
    await servers.postgres.start()


async def stop_postgres(servers: OwnServers, way: Literal["fast", "immediate"]) -> None:
    """Shut Postgres down as ``pg_ctl stop -m fast`` or ``-m immediate`` does."""
    if way == "fast":
        await servers.postgres.stop()
        return
    pid = servers.postgres.pid
    assert pid is not None, "it does not run"
    os.kill(pid, signal.SIGQUIT)
    await servers.postgres.wait_died()


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


async def fill_jetstream(url: str, *, up_to: int | None = None) -> bool:
    """Publish into a stream until JetStream's disk quota is used up; tell whether it is.

    With ``up_to`` stop when so many bytes are there: the rest is a matter of a second then.
    """
    client = await nats.connect(url)
    try:
        stream = client.jetstream(timeout=_FILLER_TIMEOUT_S)
        await stream.add_stream(
            StreamConfig(
                name=FILLER,
                subjects=[_FILLER_SUBJECT],
                storage=StorageType.FILE,
                # The quota counts what was sent; the machine's disk need not hold it.
                compression=StoreCompression.S2,
            )
        )
        filled = (await stream.stream_info(FILLER)).state.bytes
        return await _publish_until_refused(stream, filled, up_to)
    finally:
        await client.close()


async def _publish_until_refused(
    stream: "nats.js.JetStreamContext", filled: int, up_to: int | None
) -> bool:
    body = bytes(_FILLER_BYTES)
    full = False

    async def publish() -> None:
        nonlocal filled, full
        while not full and (up_to is None or filled < up_to):
            try:
                await stream.publish(_FILLER_SUBJECT, body)
            except nats.js.errors.APIError as error:
                if error.err_code not in _NO_ROOM:
                    raise
                full = True
            else:
                filled += len(body)

    async with anyio.create_task_group() as tasks:
        for _ in range(_FILLER_WINDOW):
            tasks.start_soon(publish)
    return full


async def empty_jetstream(url: str) -> None:
    """Give the room back."""
    client = await nats.connect(url)
    try:
        await client.jetstream(timeout=_FILLER_TIMEOUT_S).delete_stream(FILLER)
    finally:
        await client.close()
