"""Holds, the status of accounts, and transfers of what a balance allows."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Add the tables, and to each balance what is held of it."""
    run_sql_file("0003_holds.sql")
