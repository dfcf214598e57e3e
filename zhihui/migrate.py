"""Bring the database's schema up to date, one program at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from zhihui.errors import DatabaseTooNew, MigrationFailed
from zhihui.migrations import VERSION_SCHEMA, VERSION_TABLE

__all__ = ("migrate", "pending_revisions")

# Any fixed number that nobody else on the server uses: "ZHMIGR" in ASCII.
_LOCK_KEY = 0x0_5A48_4D49_4752

# A migration of a large table may take minutes; whoever waits longer than this should be told.
_LOCK_WAIT_S = 300.0
_CONNECT_TIMEOUT_S = 10.0


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and return the revisions applied, oldest first.

    Two at once are safe: the second waits and then finds nothing to do. Raise
    :class:`MigrationFailed`, or :class:`DatabaseTooNew` when the database knows a revision that
    this program does not. A revision is applied whole or not at all.
    """
    async with _locked(dsn) as connection:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {VERSION_SCHEMA}")
        pending = await _pending(connection)
        if pending:
            await _upgrade(dsn, pending)
        return pending


async def pending_revisions(dsn: str) -> list[str]:
    """Return the revisions that :func:`migrate` would apply, and change nothing."""
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        return await _pending(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def _locked(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        try:
            await connection.execute(f"SELECT pg_advisory_lock({_LOCK_KEY})", timeout=_LOCK_WAIT_S)
        except TimeoutError:
            raise MigrationFailed(
                f"another program has been migrating this database for {_LOCK_WAIT_S:.0f} s. Wait "
                "for it, or look for it in pg_stat_activity."
            ) from None
        yield connection
    finally:
        # The lock belongs to the session, so it ends with the connection, whatever happened.
        await connection.close()


async def _pending(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    table = f"{VERSION_SCHEMA}.{VERSION_TABLE}"
    current = None
    if await connection.fetchval("SELECT to_regclass($1)::text", table) is not None:
        current = await connection.fetchval(f"SELECT version_num FROM {table}")  # noqa: S608 - constants
    scripts = ScriptDirectory.from_config(_config())
    chain = [script.revision for script in scripts.walk_revisions()][::-1]
    if current is None:
        return chain
    if current not in chain:
        raise DatabaseTooNew(
            f"the database is at revision {current}, which this version of zhihui does not know "
            f"(it knows up to {chain[-1]}). Install the newer zhihui; there is no way back."
        )
    return chain[chain.index(current) + 1 :]


async def _upgrade(dsn: str, pending: list[str]) -> None:
    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        # The driver reads the address itself: SQLAlchemy's own reading of it knows fewer options.
        return await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run_alembic)
    except (asyncpg.PostgresError, SQLAlchemyError) as error:
        raise MigrationFailed(
            f"migrating to revision {pending[-1]} failed and nothing of it was kept: {error}"
        ) from error
    finally:
        await engine.dispose()


def _run_alembic(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    # Alembic reads `%` in options as interpolation.
    location = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", location)
    config.set_main_option("path_separator", "os")
    return config
