"""Migrations: applied once, under a lock, and never over a newer database."""

import anyio
import asyncpg
import pytest

from zhihui.errors import DatabaseTooNew, MigrationFailed
from zhihui.migrate import migrate, pending_revisions

pytestmark = pytest.mark.anyio


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def test_an_empty_database_gets_every_revision(empty_postgres_dsn: str) -> None:
    """Migrating an empty database applies all revisions and leaves none pending."""
    pending = await pending_revisions(empty_postgres_dsn)
    assert pending
    assert pending[0] == "0001"
    assert await migrate(empty_postgres_dsn) == pending
    assert await pending_revisions(empty_postgres_dsn) == []
    await _execute(empty_postgres_dsn, "SELECT FROM zhihui.partition")


async def test_a_second_migration_finds_nothing_to_do(postgres_dsn: str) -> None:
    """Migrating twice changes nothing the second time."""
    assert await migrate(postgres_dsn) == []


async def test_two_programs_at_once_apply_each_revision_once(empty_postgres_dsn: str) -> None:
    """Of several programs that migrate at once, one does it and the others find it done."""
    applied: list[list[str]] = []

    async def run() -> None:
        applied.append(await migrate(empty_postgres_dsn))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(run)
    assert sorted(len(revisions) > 0 for revisions in applied) == [False, False, False, True]


async def test_a_newer_database_is_refused(postgres_dsn: str) -> None:
    """A database at a revision that the program does not know is left alone."""
    await _execute(postgres_dsn, "UPDATE zhihui_migrations.version SET version_num = '9999'")
    with pytest.raises(DatabaseTooNew, match="revision 9999"):
        await migrate(postgres_dsn)


async def test_a_failed_migration_leaves_nothing(empty_postgres_dsn: str) -> None:
    """A revision that fails in the middle is undone whole."""
    # The revision makes this schema first and would then go on; here it finds it taken.
    await _execute(empty_postgres_dsn, "CREATE SCHEMA zhihui")
    with pytest.raises(MigrationFailed, match="already exists"):
        await migrate(empty_postgres_dsn)
    await _execute(empty_postgres_dsn, "DROP SCHEMA zhihui")
    assert await migrate(empty_postgres_dsn)
