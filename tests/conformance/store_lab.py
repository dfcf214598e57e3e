"""Both stores behind one face: what the tests of the port share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg

from actors.tables import BANK_TABLES, first_rows
from kernel.clock import ManualClock
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.memory_tables import KERNEL_TABLES
from kernel.ownership import Cluster
from kernel.postgres_store import PostgresStore
from kernel.store import CommitUnknown, DuplicateRequest, StaleEpoch, Store, VersionConflict
from tests.eventually import eventually

__all__ = (
    "NODES",
    "TABLES",
    "MemoryLab",
    "PostgresLab",
    "StoreLab",
    "memory_lab",
    "outcome_of",
    "owned_by",
    "postgres_lab",
)

NODES = ("n1", "n2", "n3")
TABLES = {table.name: table for table in (*KERNEL_TABLES, *BANK_TABLES)}

_START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class StoreLab:
    """The stores of a few nodes on one set of rows; ``store`` is the first of them."""

    def __init__(self, stores: dict[str, Store]) -> None:
        self.stores = stores
        self.store = stores[NODES[0]]

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Let time pass until the condition holds."""
        raise NotImplementedError

    async def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables, in the order of their keys."""
        raise NotImplementedError

    async def epochs(self, epochs: dict[int, int]) -> None:
        """Give partitions other epochs, by hand."""
        raise NotImplementedError


class MemoryLab(StoreLab):
    """On memory, with a clock that is moved."""

    def __init__(self) -> None:
        self.clock = ManualClock(_START)
        self.database = MemoryDatabase(self.clock, BANK_TABLES, first_rows())
        super().__init__({name: MemoryStore(self.database) for name in NODES})

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Move the clock in small steps."""
        for _ in range(100):
            if await condition():
                return
            self.clock.advance(0.1)
        raise AssertionError(what)

    async def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables, in the order of their keys."""
        return {
            name: [
                tuple(row[column.name] for column in table.columns)
                for _, row in sorted(self.database.rows(name).items())
            ]
            for name, table in TABLES.items()
        }

    async def epochs(self, epochs: dict[int, int]) -> None:
        """Give partitions other epochs, by hand."""
        for partition, epoch in epochs.items():
            self.database.put("partition", (partition,), {"epoch": epoch})


class PostgresLab(StoreLab):
    """On a real Postgres, which measures leases by its own clock."""

    def __init__(self, stores: dict[str, Store], connection: asyncpg.Connection[Any]) -> None:
        super().__init__(stores)
        self.connection = connection

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait."""
        await eventually(condition, what, within_s=20)

    async def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables, in the order of their keys."""
        found = {}
        for name, table in TABLES.items():
            columns = ", ".join(column.name for column in table.columns)
            order = ", ".join(table.key.columns)
            rows = await self.connection.fetch(
                f"SELECT {columns} FROM zhihui.{name} ORDER BY {order}"
            )
            found[name] = [tuple(row) for row in rows]
        return found

    async def epochs(self, epochs: dict[int, int]) -> None:
        """Give partitions other epochs, by hand."""
        await self.connection.execute(
            "UPDATE zhihui.partition AS p SET epoch = e.epoch"
            " FROM unnest($1::smallint[], $2::bigint[]) AS e(partition, epoch)"
            " WHERE p.partition = e.partition",
            list(epochs),
            list(epochs.values()),
        )

    async def empty(self) -> None:
        """Take all rows out, past the triggers that forbid it, and set up what stands at first."""
        fresh = MemoryLab()
        async with self.connection.transaction():
            await self.connection.execute("SET LOCAL session_replication_role = replica")
            for name in TABLES:
                await self.connection.execute(f"DELETE FROM zhihui.{name}")
            for name, rows in (await fresh.content()).items():
                if rows:
                    await self.connection.copy_records_to_table(
                        name,
                        schema_name="zhihui",
                        columns=[column.name for column in TABLES[name].columns],
                        records=rows,
                    )


@contextlib.asynccontextmanager
async def memory_lab() -> AsyncIterator[MemoryLab]:
    """Yield a lab on memory."""
    yield MemoryLab()


@contextlib.asynccontextmanager
async def postgres_lab(dsn: str, nodes: tuple[str, ...] = NODES) -> AsyncIterator[PostgresLab]:
    """Yield a lab on a fresh database."""
    async with contextlib.AsyncExitStack() as stack:
        stores: dict[str, Store] = {}
        for name in nodes:
            stores[name] = await stack.enter_async_context(
                PostgresStore(dsn, application=f"zhihui:{name}")
            )
        connection = await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        yield PostgresLab(stores, connection)


def owned_by(cluster: Cluster, node: str) -> list[int]:
    """Return the partitions that a node owns."""
    return [claim.partition for claim in cluster.claims if claim.owner == node]


async def outcome_of(work: Awaitable[None]) -> str:
    """Return what became of a commit, in words that both stores share."""
    try:
        await work
    except StaleEpoch as error:
        return f"stale {sorted(error.partitions)}"
    except DuplicateRequest:
        return "duplicate"
    except VersionConflict:
        return "version"
    except CommitUnknown:
        return "unknown"
    except Exception:  # noqa: BLE001 - each store has its own words for a row that cannot stand
        return "refused"
    return "stands"
