"""Many nodes, durable timers, and the apps that may connect."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Add the tables; nothing that stands is touched."""
    run_sql_file("0002_cluster.sql")
