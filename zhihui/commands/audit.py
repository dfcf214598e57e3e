"""``zhihui audit``: the proof from the database alone."""

from pathlib import Path

import typer

from zhihui.commands.addresses import reachable_postgres
from zhihui.commands.console import DataDir, PostgresDsn, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR
from zhihui.errors import MigrationFailed

__all__ = ("audit",)


def audit(postgres_dsn: PostgresDsn = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Prove the books from the database alone, and name every row that breaks a rule.

    Works while the service runs, and when nothing runs. Exits with 0 when every rule holds, else
    with 1.
    """
    if not run_async(lambda: _run(postgres_dsn, data_dir)):
        raise typer.Exit(1)


async def _run(postgres_dsn: str, data_dir: Path) -> bool:
    from zhihui.audit import print_report, run_audit
    from zhihui.migrate import pending_revisions

    async with reachable_postgres(postgres_dsn, data_dir) as dsn:
        if pending := await pending_revisions(dsn):
            raise MigrationFailed(
                f"the database is behind this program by revision {', '.join(pending)}. Run "
                "`zhihui migrate` first."
            )
        report = await run_audit(dsn)
    print_report(report, output)
    return report.ok
