"""``zhihui migrate``: the database's schema."""

from pathlib import Path

from zhihui.commands.addresses import reachable_postgres
from zhihui.commands.console import DataDir, PostgresDsn, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

__all__ = ("migrate",)


def migrate(postgres_dsn: PostgresDsn = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database's schema up to date.

    Safe to run at any time and from several programs at once; `zhihui up` does it at its start.
    """
    run_async(lambda: _run(postgres_dsn, data_dir))


async def _run(postgres_dsn: str, data_dir: Path) -> None:
    from zhihui.migrate import migrate as apply

    async with reachable_postgres(postgres_dsn, data_dir, create=True) as dsn:
        applied = await apply(dsn)
    for revision in applied:
        output.print(f"applied revision {revision}", highlight=False)
    if not applied:
        output.print("the schema is up to date")
