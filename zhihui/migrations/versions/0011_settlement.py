"""Merchants, their legs, and their settlements."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    """Add the tables and what finds their rows."""
    run_sql_file("0011_settlement.sql")
