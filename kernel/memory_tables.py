"""What the store in memory must know of each table: columns, keys, and what it refuses.

The schema of the database stays the one truth; a test compares every description with it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

__all__ = ("KERNEL_TABLES", "Column", "Meaning", "RowRefused", "Table", "Unique", "table")

# What a row means that stands in the way: the request was decided before, a number was given by
# another writer, a document has another version; or nothing but a fault of ours.
Meaning = Literal["request", "position", "version", ""]

_INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_CLASSES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "boolean": (bool,),
    "bytea": (bytes, bytearray, memoryview),
    "timestamptz": (datetime,),
}


class RowRefused(Exception):
    """Nothing was written: a row breaks a rule of its table, which is its maker's fault."""


class Column(msgspec.Struct, frozen=True):
    """One column; ``type`` is Postgres's short name. Without a default it must be given."""

    name: str
    type: str
    nullable: bool = False
    default: int | None = None


class Unique(msgspec.Struct, frozen=True):
    """Columns that no two rows share."""

    columns: tuple[str, ...]
    meaning: Meaning = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table. Each check is ``(column, operator, number)``; rows of an immutable one stay."""

    name: str
    columns: tuple[Column, ...]
    key: Unique
    unique: tuple[Unique, ...] = ()
    checks: tuple[tuple[str, Literal[">", ">=", "<>"], int], ...] = ()
    immutable: bool = False

    def check_types(self, names: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Raise :class:`RowRefused` when a value is none that its column's type can hold."""
        by_name = {column.name: column for column in self.columns}
        columns = [by_name.get(name) for name in names]
        for row in rows:
            for column, value in zip(columns, row, strict=True):
                if column is None:
                    raise RowRefused(f"{self.name} does not have all of the columns {names}")
                if value is not None:
                    _as_stored(self.name, column, value)

    def row(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a whole row with its defaults; raise :class:`RowRefused`."""
        row = {}
        known = 0
        for column in self.columns:
            value = given.get(column.name, column.default)
            known += column.name in given
            if value is not None:
                value = _as_stored(self.name, column, value)
            elif not column.nullable:
                raise RowRefused(f"{self.name}.{column.name} is missing")
            row[column.name] = value
        if known != len(given):
            raise RowRefused(f"{self.name} does not have all of the columns {sorted(given)}")
        for name, operator, number in self.checks:
            value = row[name]
            if not (value > number or (operator == "<>" and value < number)
                    or (operator == ">=" and value == number)):  # fmt: skip
                raise RowRefused(f"{self.name}.{name} is {value}; it must be {operator} {number}")
        return row

    def check_values(self, given: Mapping[str, Any]) -> None:
        """Raise :class:`RowRefused` for a value that its column could never hold."""
        for column in self.columns:
            value = given.get(column.name)
            if value is not None:
                _as_stored(self.name, column, value)


def _as_stored(name: str, column: Column, value: Any) -> Any:
    """Return the value as the database gives it back."""
    limit = _INTEGERS.get(column.type)
    if limit is not None:
        sound = isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
    else:
        sound = isinstance(value, _CLASSES[column.type])
    if isinstance(value, str):
        sound = sound and "\0" not in value and not _has_surrogates(value)
    elif isinstance(value, datetime):
        sound = sound and value.tzinfo is not None
    if not sound:
        raise RowRefused(f"{name}.{column.name} is a {column.type} and cannot hold {value!r}")
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value if isinstance(value, str | int) else bytes(value)


def _has_surrogates(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def table(
    name: str,
    columns: Iterable[str],
    key: Iterable[str],
    *,
    key_means: Meaning = "",
    unique: tuple[Unique, ...] = (),
    checks: tuple[tuple[str, Literal[">", ">=", "<>"], int], ...] = (),
    immutable: bool = False,
) -> Table:
    """Return a description; a column is ``name type``, then ``null`` or ``default <number>``."""
    return Table(
        name=name,
        columns=tuple(_column(*one.split()) for one in columns),
        key=Unique(tuple(key), key_means),
        unique=unique,
        checks=checks,
        immutable=immutable,
    )


def _column(name: str, type_: str, *more: str) -> Column:
    match more:
        case ():
            return Column(name, type_)
        case ("null",):
            return Column(name, type_, nullable=True)
        case ("default", number):
            return Column(name, type_, default=int(number))
        case _:
            raise ValueError(f"not a column: {name} {type_} {' '.join(more)}")


KERNEL_TABLES = (
    table(
        "partition",
        ("partition smallint", "owner text", "epoch bigint", "lease_until timestamptz"),
        ("partition",),
    ),
    table(
        "node",
        ("name text", "instance text", "started_at timestamptz", "lives_until timestamptz",
         "leaving boolean"),
        ("name",),
    ),
    table(
        "change",
        ("app text", "request_id text", "seq bigint", "operation text", "digest bytea",
         "outcome text", "answer text", "at timestamptz"),
        ("app", "request_id"),
        key_means="request",
        unique=(Unique(("seq",), "position"),),
        immutable=True,
    ),
    table(
        "document",
        ("pack text", "collection text", "key text", "version bigint", "change_seq bigint",
         "body text", "state_version integer default 1"),
        ("pack", "collection", "key"),
        key_means="version",
    ),
    table(
        "event",
        ("seq bigint", "change_seq bigint", "app text", "type text", "subject text", "data text",
         "at timestamptz"),
        ("seq",),
        key_means="position",
        immutable=True,
    ),
    table("event_cursor", ("stream text", "seq bigint"), ("stream",)),
    table(
        "dead_letter",
        ("dead_letter_id text", "at timestamptz", "node text", "kind text", "key text", "type text",
         "app text", "reason text", "attempts integer", "body bytea"),
        ("dead_letter_id",),
    ),
    table(
        "timer",
        ("timer_id text", "change_seq bigint", "partition smallint", "due_at timestamptz",
         "every_s bigint", "kind text", "key text", "type text", "app text", "body bytea"),
        ("timer_id",),
        checks=(("every_s", ">=", 0),),
    ),
    table(
        "app",
        ("app text", "public_key text", "rate_per_s integer", "in_flight_max integer",
         "created_at timestamptz", "rotated_at timestamptz null", "revoked_at timestamptz null"),
        ("app",),
        checks=(("rate_per_s", ">=", 0), ("in_flight_max", ">=", 0)),
    ),
)  # fmt: skip
