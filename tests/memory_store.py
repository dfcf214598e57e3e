"""A store in memory that keeps the promises of the real one: keys, versions, epochs, atomicity."""

from collections import deque
from typing import Any

from kernel.book import TableRows
from kernel.store import (
    Commit,
    CommitUnknown,
    DuplicateRequest,
    Position,
    Remembered,
    StaleEpoch,
    VersionConflict,
)

__all__ = ("MemoryStore",)

_KEYS = {
    "change": ("app", "request_id"),
    "account": ("account_id",),
    "balance": ("account_id",),
    "entry": ("account_id", "number"),
    "payment": ("payment_id",),
    "deposit": ("deposit_id",),
    "event": ("seq",),
    "document": ("pack", "collection", "key"),
}

_Table = dict[tuple[Any, ...], dict[str, Any]]


class MemoryStore:
    """What the journal and its book need of a store.

    ``faults`` are taken one for each commit: ``lost`` loses the connection before it stands,
    ``unheard`` after, and '' is none.
    """

    def __init__(self, epochs: dict[int, int]) -> None:
        self.epochs = epochs
        self.tables: dict[str, _Table] = {name: {} for name in _KEYS}
        self.faults: deque[str] = deque()
        for name in ("external:cash", "external:unionpay"):
            self.tables["account"][name,] = {
                "account_id": name, "app": "bank", "asset": "CNY", "floor_minor": None,
                "ceiling_minor": None, "status": "open",
            }  # fmt: skip
            self.tables["balance"][name,] = {
                "account_id": name, "posted_minor": 0, "entries": 0,
            }  # fmt: skip

    async def position(self) -> Position:
        """Return the last numbers in use."""
        changes = [row["seq"] for row in self.tables["change"].values()]
        return Position(
            max(changes, default=0), max((s for (s,) in self.tables["event"]), default=0)
        )

    async def find_requests(self, keys: list[tuple[str, str]]) -> list[Remembered]:
        """Return the records of those that were decided."""
        found = [self.tables["change"].get(key) for key in keys]
        names = ("app", "request_id", "digest", "outcome", "answer")
        return [Remembered(*(row[name] for name in names)) for row in found if row is not None]

    async def commit(self, commit: Commit) -> None:
        """Write all of it or nothing."""
        fault = self.faults.popleft() if self.faults else ""
        stale = {p for p, epoch in commit.epochs.items() if self.epochs.get(p) != epoch}
        if stale:
            raise StaleEpoch(stale)
        if fault == "lost":
            raise CommitUnknown("lost before the commit")
        tables = {name: dict(rows) for name, rows in self.tables.items()}
        for table in commit.tables:
            _write(tables[table.table], table)
        self.tables = tables
        if fault == "unheard":
            raise CommitUnknown("lost after the commit")

    async def read_rows(self, query: str, *arguments: Any) -> list[Any]:
        """Answer the one read that the ledger's book makes."""
        assert "zhihui.account JOIN zhihui.balance" in query, query
        names = ("account_id", "app", "asset", "floor_minor", "ceiling_minor", "status")
        rows = []
        for account_id in arguments[0]:
            account = self.tables["account"].get((account_id,))
            if account is not None:
                balance = self.tables["balance"][account_id,]
                rows.append(
                    (*(account[n] for n in names), balance["posted_minor"], balance["entries"])
                )
        return rows

    def balances(self) -> dict[str, int]:
        """Return every account's balance."""
        return {key[0]: row["posted_minor"] for key, row in self.tables["balance"].items()}


def _write(rows: _Table, table: TableRows) -> None:
    names = _KEYS[table.table]
    for values in table.rows:
        row = dict(zip(table.columns, values, strict=True))
        key = tuple(row[name] for name in names)
        if table.mode == "insert":
            if key in rows:
                if table.table == "change":
                    raise DuplicateRequest(str(key))
                raise CommitUnknown(f"{table.table} {key} is there already")
            if table.table == "change" and any(one["seq"] == row["seq"] for one in rows.values()):
                raise CommitUnknown("the state in memory is behind the store")
            rows[key] = row
        elif table.mode == "update":
            rows[key] = rows[key] | row
        else:
            before = rows[key]["version"] if key in rows else row["version"] - 1
            if before != row["version"] - 1:
                raise VersionConflict(str(key))
            rows[key] = row
