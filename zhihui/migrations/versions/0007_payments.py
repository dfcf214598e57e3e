"""Payments with a history, mandates and payment codes."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Add the tables; payments that stand get a state when something follows them."""
    run_sql_file("0007_payments.sql")
