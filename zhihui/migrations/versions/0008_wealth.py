"""Money-market funds, points and coupons."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Add the tables, and the account that the points' worth is kept on."""
    run_sql_file("0008_wealth.sql")
