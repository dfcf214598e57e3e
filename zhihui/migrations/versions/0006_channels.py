"""Orders at payment channels, what payments want of them, and the choices of the router."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Add the tables and the indexes that find an order by its number and by its next step."""
    run_sql_file("0006_channels.sql")
