"""The rows of the store in memory, and the promises of the real one.

Keys, checks, versions, epochs, leases, all or nothing. Nodes come to it through a
:class:`~kernel.memory_store.MemoryStore` each.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from kernel.book import TableRows
from kernel.clock import Clock
from kernel.dead_letter import DeadLetter
from kernel.memory_tables import KERNEL_TABLES, RowRefused, Table, Unique
from kernel.ownership import Claim, Cluster
from kernel.partition import PARTITIONS
from kernel.store import (
    Commit,
    DuplicateRequest,
    EventRow,
    Joined,
    NumbersTaken,
    Position,
    Query,
    Remembered,
    StaleEpoch,
    VersionConflict,
    Where,
)
from kernel.timers import DueTimer
from kernel.write_groups import side_by_side

__all__ = ("MemoryDatabase",)

_Row = dict[str, Any]
_Key = tuple[Any, ...]
# Takes back one step of a commit.
_Undo = Callable[[], None]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED = ("app", "request_id", "digest", "outcome", "answer")
_EVENT = ("seq", "app", "type", "subject", "data", "at")
_TIMER = ("timer_id", "due_at", "every_s", "kind", "key", "type", "app", "body")


class _Rows:
    """The rows of one table, by their key. A row is replaced, never changed."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.by_key: dict[_Key, _Row] = {}
        self._unique: tuple[tuple[Unique, dict[_Key, _Key]], ...] = tuple(
            (unique, {}) for unique in table.unique
        )
        self._in_order: list[_Key] | None = []

    def key_of(self, row: Mapping[str, Any]) -> _Key:
        """Return the values of the key's columns."""
        return tuple(row[name] for name in self.table.key.columns)

    def in_order(self) -> list[_Key]:
        """Return all keys in order."""
        if self._in_order is None:
            self._in_order = sorted(self.by_key)
        return self._in_order

    def insert(self, row: _Row) -> _Undo:
        """Add a whole row; raise what the one in its way means, or :class:`RowRefused`."""
        key = self.key_of(row)
        if key in self.by_key:
            raise _in_the_way(self.table, self.table.key, key)
        for unique, known in self._unique:
            values = tuple(row[name] for name in unique.columns)
            if values in known:
                raise _in_the_way(self.table, unique, values)
        return self._put(key, row)

    def replace(self, key: _Key, changes: Mapping[str, Any]) -> _Undo:
        """Change columns of a row that is there."""
        row = self.table.row(self.by_key[key] | dict(changes))
        assert self.key_of(row) == key
        return self._put(key, row)

    def remove(self, key: _Key) -> _Undo:
        """Take away a row that is there."""
        return self._put(key, None)

    def _put(self, key: _Key, row: _Row | None) -> _Undo:
        before = self.by_key.get(key)
        if (before is None) is not (row is None):
            self._in_order = None
        if row is None:
            del self.by_key[key]
        else:
            self.by_key[key] = row
        for unique, known in self._unique:
            if before is not None:
                del known[tuple(before[name] for name in unique.columns)]
            if row is not None:
                known[tuple(row[name] for name in unique.columns)] = key

        def undo() -> None:
            self._put(key, before)

        return undo

    def matching(self, columns: tuple[str, ...], values: Iterable[_Key]) -> list[tuple[_Key, _Row]]:
        """Return the rows that have one of the values in these columns, and their keys."""
        if columns == self.table.key.columns:
            return [(key, self.by_key[key]) for key in values if key in self.by_key]
        wanted = set(values)
        return [
            (key, row)
            for key, row in self.by_key.items()
            if tuple(row[name] for name in columns) in wanted
        ]


class MemoryDatabase:
    """The tables of the kernel and those given, with the rows that stand at first.

    ``clock`` measures leases and lives.
    """

    def __init__(
        self,
        clock: Clock,
        tables: Iterable[Table] = (),
        rows: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
    ) -> None:
        self.clock = clock
        self._rows = {table.name: _Rows(table) for table in (*KERNEL_TABLES, *tables)}
        for partition in range(PARTITIONS):
            free = {"partition": partition, "owner": "", "epoch": 0, "lease_until": _LONG_AGO}
            self.put("partition", (partition,), free)
        for name, first in (rows or {}).items():
            for row in first:
                self.put(name, self._rows[name].key_of(row), row)

    def rows(self, table: str) -> dict[_Key, _Row]:
        """Return the rows of a table by their keys; not to be changed."""
        return self._rows[table].by_key

    def put(self, table: str, key: _Key, changes: Mapping[str, Any]) -> None:
        """Change a row by hand, or add it, as an operator might."""
        rows = self._rows[table]
        if key in rows.by_key:
            rows.replace(key, changes)
        else:
            rows.insert(rows.table.row(changes))

    def commit(self, commit: Commit) -> None:
        """Write all of it or nothing.

        Of several things that are wrong it names the one that Postgres does: of what is written at
        once, first the values that no column of their type can hold, then row after row.
        """
        done: list[_Undo] = []
        try:
            for number, group in enumerate(side_by_side(commit.tables)):
                for table in group:
                    self._rows[table.table].table.check_types(table.columns, table.rows)
                if number == 0:
                    self._fence(commit.epochs)
                for table in group:
                    for undo in _written(self._rows[table.table], table):
                        done.append(undo)  # noqa: PERF402 - what was done before a failure counts
        except BaseException:
            for undo in reversed(done):
                undo()
            raise

    def _fence(self, epochs: dict[int, int]) -> None:
        partitions = self.rows("partition")
        stale = {
            partition
            for partition, epoch in epochs.items()
            if (partition,) not in partitions or partitions[partition,]["epoch"] != epoch
        }
        if stale:
            raise StaleEpoch(stale)

    def fetch(self, query: Query) -> list[tuple[Any, ...]]:
        """Return rows; nulls fulfil no condition and come last."""
        rows = self._rows[query.table]
        found = [row for row in _candidates(rows, query) if _holds(row, query.where)]
        if query.order_by:
            found.sort(key=lambda row: [(row[name] is None, row[name]) for name in query.order_by])
        return [
            (*(row[name] for name in query.columns), *self._joined(row, query.joined))
            for row in found[: query.limit]
        ]

    def _joined(self, row: _Row, joined: tuple[Joined, ...]) -> Iterator[Any]:
        for other in joined:
            found = self._rows[other.table].matching((other.on,), [(row[other.on],)])
            for name in other.columns:
                yield found[0][1][name] if found else None

    def position(self) -> Position:
        """Return the last numbers in use."""
        changes = (row["seq"] for row in self.rows("change").values())
        return Position(max(changes, default=0), max(self.rows("event"), default=(0,))[0])

    def find_requests(self, keys: list[tuple[str, str]]) -> list[Remembered]:
        """Return the records of those ``(app, request_id)`` that were decided."""
        found = (self.rows("change").get(key) for key in dict.fromkeys(keys))
        return [_as(Remembered, row, _REMEMBERED) for row in found if row is not None]

    def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return events in order of their numbers."""
        rows = self._rows["event"]
        keys = rows.in_order()
        start = bisect_right(keys, (seq,))
        return [_as(EventRow, rows.by_key[key], _EVENT) for key in keys[start : start + limit]]

    # Nodes and partitions.

    def join_cluster(self, node: str, instance: str, lease_s: float) -> None:
        """Let this process go by the name of the node."""
        now = self.clock.now()
        row = {
            "name": node, "instance": instance, "started_at": now, "leaving": False,
            "lives_until": now + timedelta(seconds=lease_s),
        }  # fmt: skip
        self.put("node", (node,), row)

    def live_on(self, node: str, instance: str, lease_s: float, **more: Any) -> bool:
        """Extend the life of the node, unless another process goes by its name."""
        row = self.rows("node").get((node,))
        if row is None or row["instance"] != instance:
            return False
        until = self.clock.now() + timedelta(seconds=lease_s)
        self.put("node", (node,), {"lives_until": until, **more})
        return True

    def claim_partitions(
        self, node: str, epochs: dict[int, int], limit: int, lease_s: float
    ) -> None:
        """Take what a former process of this name left, and at most ``limit`` others."""
        now = self.clock.now()
        for (partition,), row in sorted(self.rows("partition").items()):
            if row["owner"] == node:
                if epochs.get(partition) == row["epoch"]:
                    continue
            elif limit <= 0 or (row["owner"] and self._lease_until(row) > now):
                continue
            else:
                limit -= 1
            changes = {
                "owner": node, "epoch": row["epoch"] + 1,
                "lease_until": now + timedelta(seconds=lease_s),
            }  # fmt: skip
            self.put("partition", (partition,), changes)

    def release_partitions(self, node: str, epochs: dict[int, int]) -> None:
        """Let go of those held under these epochs."""
        for partition, epoch in epochs.items():
            row = self.rows("partition")[partition,]
            if row["owner"] == node and row["epoch"] == epoch:
                self.put("partition", (partition,), {"owner": "", "lease_until": _LONG_AGO})

    def leave_cluster(self, node: str, instance: str) -> None:
        """Forget the node, unless another process goes by its name."""
        row = self.rows("node").get((node,))
        if row is not None and row["instance"] == instance:
            self._rows["node"].remove((node,))

    def cluster(self, node: str) -> Cluster:
        """Return everything as it stands."""
        now = self.clock.now()
        known = self.rows("node")
        return Cluster(
            known[node,]["instance"] if (node,) in known else "",
            tuple(
                sorted(
                    row["name"]
                    for row in known.values()
                    if not row["leaving"] and row["lives_until"] > now
                )
            ),
            tuple(
                Claim(
                    partition, row["owner"], row["epoch"],
                    (self._lease_until(row) - now).total_seconds(),
                )
                for (partition,), row in sorted(self.rows("partition").items())
            ),
        )  # fmt: skip

    def _lease_until(self, row: _Row) -> datetime:
        """Return when a partition becomes free: it is held as long as its owner lives."""
        owner = self.rows("node").get((row["owner"],))
        until: datetime = row["lease_until"]
        return until if owner is None else max(until, owner["lives_until"])

    # Timers and dead letters.

    def due_timers(
        self, partitions: list[int], now: datetime, limit: int, without: list[str]
    ) -> list[DueTimer]:
        """Return timers that are due, the oldest first."""
        due = [
            row
            for row in self.rows("timer").values()
            if row["due_at"] <= now
            and row["partition"] in partitions
            and row["timer_id"] not in without
        ]
        due.sort(key=lambda row: (row["due_at"], row["timer_id"]))
        return [_as(DueTimer, row, _TIMER) for row in due[:limit]]

    def end_timers(self, ended: list[tuple[str, datetime, datetime | None]]) -> None:
        """Remove timers, or move them to their next time."""
        for timer_id, due_at, next_due_at in ended:
            row = self.rows("timer").get((timer_id,))
            if row is None or row["due_at"] != due_at:
                continue
            if next_due_at is None:
                self._rows["timer"].remove((timer_id,))
            else:
                self.put("timer", (timer_id,), {"due_at": next_due_at})

    def keep_dead_letters(self, letters: list[DeadLetter]) -> None:
        """Store all of ``letters``, once each."""
        for letter in letters:
            if (letter.dead_letter_id,) not in self.rows("dead_letter"):
                self.put("dead_letter", (letter.dead_letter_id,), msgspec.structs.asdict(letter))


def _as(kind: type[Any], row: _Row, names: tuple[str, ...]) -> Any:
    return kind(*(row[name] for name in names))


def _in_the_way(table: Table, unique: Unique, values: _Key) -> Exception:
    """Return what it means that another row has these values."""
    said = f"{table.name} ({', '.join(unique.columns)}) {values} is there already"
    match unique.meaning:
        case "request":
            return DuplicateRequest(said)
        case "position":
            return NumbersTaken(f"the state in memory is behind the store: {said}")
        case "version":
            return VersionConflict(said)
        case _:
            return RowRefused(said)


def _written(rows: _Rows, table: TableRows) -> Iterator[_Undo]:
    """Write row after row, and yield how to take each back."""
    given = [dict(zip(table.columns, values, strict=True)) for values in table.rows]
    if table.mode == "insert":
        for row in given:
            yield rows.insert(rows.table.row(row))
        return
    if rows.table.immutable:
        raise RowRefused(f"rows of {table.table} are never updated or deleted")
    for row in given:
        rows.table.check_values(row)
    keys = [tuple(row[name] for name in table.key) for row in given]
    if table.mode == "delete":
        for key, _ in rows.matching(table.key, dict.fromkeys(keys)):
            yield rows.remove(key)
        return
    if table.mode == "update" and len(set(keys)) != len(keys):
        raise VersionConflict(f"{table.table}: one row is written twice in one commit")
    written = 0
    for number, (one, key) in enumerate(zip(given, keys, strict=True)):
        row = one
        if table.mode == "versioned":
            row = rows.table.row(one)
            if key in keys[:number]:
                raise VersionConflict(f"{table.table}: one row is written twice in one commit")
        found = rows.matching(table.key, [key])
        if table.mode == "versioned" and not found:
            yield rows.insert(row)
            written += 1
        for stored_key, stored in found:
            if table.mode == "update" or stored["version"] == row["version"] - 1:
                yield rows.replace(stored_key, row)
                written += 1
    if written != len(given):
        raise VersionConflict(f"{table.table}: {written} of {len(given)} rows were written")


def _candidates(rows: _Rows, query: Query) -> Iterable[_Row]:
    """Return the rows that a condition on the whole key leaves, or all."""
    (name, *more) = rows.table.key.columns
    for one in query.where:
        if not more and one.column == name and one.op in ("=", "in"):
            wanted = one.value if one.op == "in" else [one.value]
            found = (rows.by_key.get((value,)) for value in dict.fromkeys(wanted))
            return [row for row in found if row is not None]
    return rows.by_key.values()


def _holds(row: _Row, where: tuple[Where, ...]) -> bool:
    for one in where:
        value = row[one.column]
        if value is None:
            return False
        match one.op:
            case "=":
                holds = value == one.value
            case "in":
                holds = value in one.value
            case ">":
                holds = value > one.value
            case _:
                holds = value <= one.value
        if not holds:
            return False
    return True
