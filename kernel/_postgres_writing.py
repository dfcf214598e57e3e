"""The rows of a commit as one statement.

What is written in parts waits for the event loop between them, which is busy with the next
requests, and Postgres waits with it. So all that may be written at once goes in one statement, and
a statement alone is a transaction.

Each column is one argument. asyncpg looks at every element of an array twice before it encodes it,
which cost more than all of its encoding; so columns whose values are plain go as one text each, and
Postgres takes them apart. Anything else goes as an array, and asyncpg says what is wrong with it.
A column that is the same in every row, such as the time of the batch, goes as one value.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kernel.book import TableRows

__all__ = ("ALIKE_ROWS_MIN", "LOOK_AGAIN", "CommitStatements")

# With fewer rows a column is the same in all of them by chance, and nothing is gained.
ALIKE_ROWS_MIN = 16
# A column that was found to vary is taken to vary for so many statements. Each answer makes another
# statement, which Postgres has to plan anew, so they must not come in turns.
LOOK_AGAIN = 1_000

# Between the texts of a column; a column in which it occurs goes as an array.
_SEPARATOR = "\x1f"
# A number is sent in a few bytes, and 1 and True are the same to Python.
_OFTEN_ALIKE = frozenset({str, datetime})
# Types of integers -> one more than the largest.
_INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


class CommitStatements:
    """Makes the statements of one connection after the other."""

    def __init__(self) -> None:
        self._made = 0
        # Table and column -> the number of the statement that looks at it again.
        self._varied: dict[tuple[str, str], int] = {}

    def make(self, tables: list[TableRows], epochs: dict[int, int] | None) -> tuple[str, list[Any]]:
        """Return the statement that writes these tables under these epochs, and its arguments.

        Its results are worked out from left to right: first the epochs are looked at, then table
        after table is written. Where a row that was to be there is not, it divides by zero: only so
        can a single statement say that it must not stand.
        """
        self._made += 1
        arguments: list[Any] = []
        parts: list[str] = []
        results: list[str] = []
        if epochs is not None:
            arguments += [list(epochs), list(epochs.values())]
            results.append("zhihui.fence($1::smallint[], $2::bigint[])")
        for table in tables:
            source = self._source(table, arguments)
            name = f"w{len(parts)}"
            parts.append(f"{name} AS ({_STATEMENTS[table.mode](table, source)} RETURNING 1)")
            written = f"(SELECT count(*) FROM {name})"  # noqa: S608 - a name of our own
            if table.mode in _COUNTED:
                arguments.append(len(table.rows))
                written = f"1 / ({written} = ${len(arguments)}::bigint)::int"
            results.append(written)
        text = f"SELECT {', '.join(results)}"
        return (f"WITH {', '.join(parts)} {text}" if parts else text), arguments

    def _source(self, table: TableRows, arguments: list[Any]) -> str:
        """Return the rows as a table expression without a name, and append its arguments."""
        arrays: list[str] = []
        selected: list[str] = []
        for name, type_, column in zip(
            table.columns, table.types, zip(*table.rows, strict=True), strict=True
        ):
            # The first one stays: it tells how many rows there are.
            if arrays and self._is_alike(table.table, name, column):
                arguments.append(column[0])
                selected.append(f"${len(arguments)}::{type_}")
            else:
                arrays.append(_array(type_, column, arguments))
                selected.append(f"c{len(arrays)}")
        unnested = f"unnest({', '.join(arrays)})"
        if len(arrays) == len(selected):
            return unnested
        names = ", ".join(f"c{number}" for number in range(1, len(arrays) + 1))
        return f"(SELECT {', '.join(selected)} FROM {unnested} AS a({names}))"  # noqa: S608 - as above

    def _is_alike(self, table: str, name: str, column: Sequence[Any]) -> bool:
        """Tell whether all values are the same one, of a type for which that saves something."""
        first = column[0]
        if len(column) < ALIKE_ROWS_MIN or type(first) not in _OFTEN_ALIKE:
            return False
        if self._varied.get((table, name), 0) > self._made:
            return False
        if column.count(first) == len(column):
            return True
        self._varied[table, name] = self._made + LOOK_AGAIN
        return False


def _array(type_: str, column: Sequence[Any], arguments: list[Any]) -> str:
    """Return the column as an expression, and append its argument."""
    text = _as_text(type_, column)
    arguments.append(column if text is None else text)
    number = f"${len(arguments)}"
    if text is None:
        return f"{number}::{type_}[]"
    if type_ == "text":
        return f"string_to_array({number}::text, E'\\x1f')"
    return f"{number}::text::{type_}[]"


def _as_text(type_: str, column: Sequence[Any]) -> str | None:
    """Return the column as one text, or None when it cannot be told that Postgres will take it."""
    classes = set(map(type, column))
    if type_ == "text":
        if classes != {str}:
            return None
        text = _SEPARATOR.join(column)
        # A single empty text would be no text at all.
        return text if text and text.count(_SEPARATOR) == len(column) - 1 else None
    limit = _INTEGERS.get(type_)
    if limit is not None:
        if classes != {int} or min(column) < -limit or max(column) >= limit:
            return None
        return f"{{{','.join(map(str, column))}}}"
    if type_ == "timestamptz" and classes == {datetime}:
        # A batch has few moments, and those of one batch are the same object.
        moments = {id(one): one for one in column}
        if any(one.tzinfo is None for one in moments.values()):
            return None
        texts = {key: one.isoformat() for key, one in moments.items()}
        return f"{{{','.join([texts[id(one)] for one in column])}}}"
    return None


def _insert(table: TableRows, source: str) -> str:
    columns = ", ".join(table.columns)
    return f"INSERT INTO zhihui.{table.table} ({columns}) SELECT * FROM {source} AS u"  # noqa: S608 - names of our own tables


def _update(table: TableRows, source: str) -> str:
    columns = ", ".join(table.columns)
    changes = ", ".join(f"{c} = u.{c}" for c in table.columns if c not in table.key)
    match = " AND ".join(f"t.{c} = u.{c}" for c in table.key)
    return (
        f"UPDATE zhihui.{table.table} AS t SET {changes}"  # noqa: S608 - as above
        f" FROM {source} AS u({columns}) WHERE {match}"
    )


def _delete(table: TableRows, source: str) -> str:
    columns = ", ".join(table.columns)
    match = " AND ".join(f"t.{c} = u.{c}" for c in table.key)
    return (
        f"DELETE FROM zhihui.{table.table} AS t"  # noqa: S608 - as above
        f" USING {source} AS u({columns}) WHERE {match}"
    )


def _upsert(table: TableRows, source: str) -> str:
    columns = ", ".join(table.columns)
    changes = ", ".join(f"{c} = excluded.{c}" for c in table.columns if c not in table.key)
    return (
        f"INSERT INTO zhihui.{table.table} AS t ({columns})"  # noqa: S608 - as above
        f" SELECT * FROM {source} AS u ON CONFLICT ({', '.join(table.key)})"
        f" DO UPDATE SET {changes} WHERE t.version = excluded.version - 1"
    )


_STATEMENTS = {"insert": _insert, "update": _update, "versioned": _upsert, "delete": _delete}
# Each row of these is to be found, or the commit was decided on something old.
_COUNTED = ("update", "versioned")
