"""The first schema: ownership, journal, ledger, payments, documents, outbox, dead letters."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Create everything. There is no way back: money is not dropped by a command."""
    run_sql_file("0001_spine.sql")
