"""Which risk rules fired, and where customers paid."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0010"
down_revision: str | None = "0009"


def upgrade() -> None:
    """Add the tables and what finds refusals by a limit."""
    run_sql_file("0010_risk.sql")
