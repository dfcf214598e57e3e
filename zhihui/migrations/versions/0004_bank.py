"""Limits of accounts, tallies, and rule sets: what all of the bank's services share."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Add the tables, and to each account its customer and its class."""
    run_sql_file("0004_bank.sql")
