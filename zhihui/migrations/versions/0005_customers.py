"""Customers, the opening of their accounts, their sealed data, and who saw it."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Add the tables; nothing that stands is touched."""
    run_sql_file("0005_customers.sql")
