"""Where a command finds the servers: options and environment, then whatever runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from zhihui.embedded.data_dir import find_running, locked, require_running
from zhihui.errors import NothingRuns

__all__ = ("nats_url_or_running", "postgres_dsn_or_running", "reachable_postgres")


def nats_url_or_running(given: str, data_dir: Path) -> str:
    """Return the given address, or that of the server running on the data directory."""
    return given or require_running(data_dir).nats_url


def postgres_dsn_or_running(given: str, data_dir: Path) -> str:
    """Return the given address, or that of the server running on the data directory."""
    return given or require_running(data_dir).postgres_dsn


@asynccontextmanager
async def reachable_postgres(
    given: str, data_dir: Path, *, create: bool = False
) -> AsyncIterator[str]:
    """Yield the address of the database; start the embedded server for it when nothing runs.

    Without ``create``, a data directory that holds no database raises :class:`NothingRuns`.
    """
    from zhihui.embedded.postgres_server import running_postgres
    from zhihui.embedded.servers import check_postgres

    running = find_running(data_dir)
    if given or running is not None:
        dsn = given or require_running(data_dir).postgres_dsn
        await check_postgres(dsn)
        yield dsn
        return
    if not create and not (data_dir / "postgres").exists():
        raise NothingRuns(
            f"{data_dir} holds no database. Start one with `zhihui up`, name another directory "
            "with --data-dir, or set ZHIHUI_POSTGRES_DSN."
        )
    with locked(data_dir):
        async with running_postgres(data_dir) as dsn:
            yield dsn
