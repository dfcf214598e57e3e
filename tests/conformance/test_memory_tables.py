"""The descriptions by which the store in memory lives are those of the real schema."""

import asyncpg
import pytest

from kernel.memory_tables import Table
from tests.conformance.store_lab import TABLES, memory_lab, postgres_lab

pytestmark = pytest.mark.anyio

_SHORT_NAMES = {"timestamp with time zone": "timestamptz"}

_COLUMNS = """
SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES', column_default
  FROM information_schema.columns WHERE table_schema = 'zhihui'
 ORDER BY table_name, ordinal_position
"""
# The keys of unique indexes, the primary one first.
_UNIQUE = """
SELECT t.relname::text, array_agg(a.attname::text ORDER BY k.n)
  FROM pg_index AS i
  JOIN pg_class AS t ON t.oid = i.indrelid
  JOIN pg_namespace AS s ON s.oid = t.relnamespace AND s.nspname = 'zhihui'
  CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(attribute, n)
  JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.attribute
 WHERE i.indisunique
 GROUP BY t.relname, i.indexrelid, i.indisprimary
 ORDER BY i.indisprimary DESC, i.indexrelid
"""
_CHECKS = """
SELECT t.relname::text, pg_get_constraintdef(c.oid)
  FROM pg_constraint AS c
  JOIN pg_class AS t ON t.oid = c.conrelid
  JOIN pg_namespace AS s ON s.oid = t.relnamespace AND s.nspname = 'zhihui'
 WHERE c.contype = 'c'
"""
_IMMUTABLE = """
SELECT event_object_table::text FROM information_schema.triggers
 WHERE trigger_schema = 'zhihui' AND action_statement LIKE '%refuse_rewrite%'
"""

Columns = list[tuple[str, str, bool, str | None]]


def _columns(table: Table) -> Columns:
    return [
        (one.name, one.type, one.nullable, None if one.default is None else str(one.default))
        for one in table.columns
    ]


async def test_descriptions_match_the_schema(postgres_dsn: str) -> None:
    """Every table, column, default, key, check and trigger of the database is described."""
    connection = await asyncpg.connect(postgres_dsn)
    try:
        columns = await connection.fetch(_COLUMNS)
        unique = await connection.fetch(_UNIQUE)
        checks = await connection.fetch(_CHECKS)
        immutable = await connection.fetch(_IMMUTABLE)
    finally:
        await connection.close()
    found: dict[str, Columns] = {}
    for name, column, kind, nullable, default in columns:
        found.setdefault(name, []).append((column, _SHORT_NAMES.get(kind, kind), nullable, default))
    # In the order of the columns too: rows are inserted without names in places.
    assert found == {name: _columns(table) for name, table in TABLES.items()}
    keys: dict[str, list[list[str]]] = {}
    for name, names in unique:
        keys.setdefault(name, []).append(names)
    assert keys == {
        name: [list(one.columns) for one in (table.key, *table.unique)]
        for name, table in TABLES.items()
    }
    assert sorted((row[0], row[1]) for row in checks) == sorted(
        (name, f"CHECK (({column} {operator} {number}))")
        for name, table in TABLES.items()
        for column, operator, number in table.checks
    )
    assert {row[0] for row in immutable} == {
        name for name, table in TABLES.items() if table.immutable
    }


async def test_first_rows_match_the_schema(postgres_dsn: str) -> None:
    """What stands in a fresh database stands in a fresh store in memory."""
    async with postgres_lab(postgres_dsn) as postgres, memory_lab() as memory:
        assert await postgres.content() == await memory.content()
