"""Credit lines, quotes and repayment plans."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Add the tables."""
    run_sql_file("0009_credit.sql")
