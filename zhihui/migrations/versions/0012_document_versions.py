"""The state version in which a document of a scenario pack is written."""

from zhihui.migrations import run_sql_file

__all__ = ("down_revision", "revision", "upgrade")

revision = "0012"
down_revision: str | None = "0011"


def upgrade() -> None:
    """Add the column and what finds the documents of a version."""
    run_sql_file("0012_document_versions.sql")
