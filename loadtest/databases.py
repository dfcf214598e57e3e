"""The databases of a benchmark: equal copies of one seeded template, so no system starts ahead."""

from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec

from loadtest.baseline.service import install
from loadtest.processes import run_command
from loadtest.seed import seed
from loadtest.workload import Population
from schemas.subjects import EVENT_STREAM
from zhihui.embedded.servers import POSTGRES_DSN_VARIABLE

__all__ = ("Databases", "RelayProgress", "create_databases", "drop_databases", "relay_progress")

# Names that nobody else uses, because they are dropped without asking.
_TEMPLATE = "zhihui_bench_template"
_NAMES = ("zhihui_bench_product", "zhihui_bench_baseline", "zhihui_bench_raw")

# Copying a seeded database is copying some 200 MB of files.
_TIMEOUT_S = 120.0


class Databases(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of the three databases."""

    product: str
    baseline: str
    raw: str


class RelayProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the product's events have gone: the last one relayed and the last one there is."""

    relayed: int
    last: int


async def create_databases(dsn: str, population: Population, *, log: Path) -> Databases:
    """Create and fill all databases on the server of ``dsn``; older ones are dropped.

    ``log`` gets what the migration has to say.
    """
    await drop_databases(dsn)
    await _execute(dsn, f"CREATE DATABASE {_TEMPLATE}")
    template = _sibling(dsn, _TEMPLATE)
    await run_command(
        ["zhihui", "migrate"],
        name="the migration",
        log=log,
        environment={POSTGRES_DSN_VARIABLE: template},
        timeout_s=_TIMEOUT_S,
    )
    await seed(template, population)
    for name in _NAMES:
        await _execute(dsn, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
    await _execute(dsn, f"DROP DATABASE {_TEMPLATE}")
    product, baseline, raw = (_sibling(dsn, name) for name in _NAMES)
    await install(baseline)
    await _execute(dsn, "CHECKPOINT")
    return Databases(product=product, baseline=baseline, raw=raw)


async def drop_databases(dsn: str) -> None:
    """Drop the benchmark's databases, whoever is connected to them."""
    for name in (_TEMPLATE, *_NAMES):
        await _execute(dsn, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def relay_progress(connection: "asyncpg.Connection[asyncpg.Record]") -> RelayProgress:
    """Read how far the product's relay is."""
    row = await connection.fetchrow(
        "SELECT coalesce((SELECT seq FROM zhihui.event_cursor WHERE stream = $1), 0) AS relayed, "
        "       coalesce((SELECT max(seq) FROM zhihui.event), 0) AS last",
        EVENT_STREAM,
    )
    assert row is not None
    return RelayProgress(relayed=row["relayed"], last=row["last"])


def _sibling(dsn: str, database: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{database}").geturl()


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql, timeout=_TIMEOUT_S)
    finally:
        await connection.close()
