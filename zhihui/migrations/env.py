"""How Alembic runs the revisions: on the connection that :mod:`zhihui.migrate` hands over."""

from alembic import context

from zhihui.migrations import VERSION_SCHEMA, VERSION_TABLE

__all__ = ()

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=VERSION_SCHEMA,
)
with context.begin_transaction():
    context.run_migrations()
