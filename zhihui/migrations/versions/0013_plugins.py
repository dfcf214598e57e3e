"""The plan of the plugins and their archives."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    """Add the tables and what finds the documents of newer versions."""
    run_sql_file("0013_plugins.sql")
