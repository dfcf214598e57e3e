"""The database's schema as a chain of revisions: SQL files, applied by Alembic."""

from pathlib import Path

from alembic import op
from sqlalchemy import text
from sqlalchemy.util import await_only

__all__ = ("VERSION_SCHEMA", "VERSION_TABLE", "run_sql_file")

# Apart from the tables of the service and from `public`, which on a shared server may hold the
# version table of somebody else's migrations.
VERSION_SCHEMA = "zhihui_migrations"
VERSION_TABLE = "version"

_VERSIONS = Path(__file__).parent / "versions"


def run_sql_file(name: str) -> None:
    """Run a file of ``versions/`` in the transaction of the revision that calls this."""
    connection = op.get_bind()
    # The driver's adapter opens its transaction at the first statement that it sees, and it does
    # not see those that go to the driver itself.
    connection.execute(text("SELECT 1"))
    # Past SQLAlchemy, because only the driver's own `execute` takes several statements at once.
    driver = connection.connection.driver_connection
    assert driver is not None
    await_only(driver.execute((_VERSIONS / name).read_text(encoding="utf-8")))
