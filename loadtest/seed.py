"""Fill a migrated database with the accounts of a measurement."""

from pathlib import Path
from string import Template

import asyncpg

from loadtest.workload import APP, OPENING_MINOR, Population
from schemas.subjects import EVENT_STREAM

__all__ = ("seed",)

# 300,000 changes with their rows take about ten seconds on two cores.
_TIMEOUT_S = 300.0


async def seed(dsn: str, population: Population) -> None:
    """Create the population's accounts, each payer with its opening deposit."""
    script = Template(Path(__file__).with_name("seed.sql").read_text("utf-8")).substitute(
        app=APP,
        payers=population.payers,
        payees=population.payees,
        opening=f"{OPENING_MINOR}::bigint",
        stream=EVENT_STREAM,
    )
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(script, timeout=_TIMEOUT_S)
        # Otherwise the first measured system would pay for it, and plan without statistics.
        await connection.execute("VACUUM ANALYZE", timeout=_TIMEOUT_S)
        await connection.execute("CHECKPOINT", timeout=_TIMEOUT_S)
    finally:
        await connection.close()
