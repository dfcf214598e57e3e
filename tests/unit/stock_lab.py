"""A journal that keeps stock: a small book on a store in memory, without a bank and a bus."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from kernel.actor import Delivery
from kernel.book import TableRows
from kernel.clock import ManualClock
from kernel.journal import (
    JOURNAL_KEY,
    JOURNAL_KIND,
    JOURNAL_LINKED_TYPE,
    JOURNAL_TYPE,
    FactTable,
    Journal,
)
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.memory_tables import table
from kernel.ownership import Ownership
from kernel.partition import partition_of
from kernel.store import EventRow, Query, Where
from schemas.change import Alternative, Change, Event, Fact, LinkedChanges, Timer
from schemas.envelope import Envelope
from schemas.errors import ErrorBody, InsufficientFunds, NotFound
from tests.changes import Answers
from tests.unit.kernel.harness import START

__all__ = (
    "JOURNAL_PARTITION",
    "OPENING",
    "START_MS",
    "Moves",
    "StockBook",
    "StockLab",
    "chain_of",
    "chain_of_takes",
    "change",
    "delivery_of",
    "take",
    "timer",
)

JOURNAL_PARTITION = partition_of(JOURNAL_KIND, JOURNAL_KEY)
# How much of each of a, b and c there is at first.
OPENING = 100
START_MS = int(START.timestamp() * 1000)

_TABLES = (
    table("stock", ("name text", "quantity bigint"), ("name",)),
    table("taken", ("change_seq bigint", "note text", "quantity bigint"), ("change_seq", "note")),
)
_NOTE = FactTable("taken", ("note", "quantity"), ("text", "bigint"))


class Moves(msgspec.Struct, array_like=True, frozen=True):
    """Take ``quantity`` of ``name``; negative puts back, and −1,000 is "all there is"."""

    moves: tuple[tuple[str, int], ...]


class StockBook:
    """See :class:`kernel.book.Book`. No stock falls below 0; what is left is found as ``left``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._decoder = msgspec.msgpack.Decoder(Moves)
        self.stock: dict[str, int | None] = {}
        self._before: dict[str, int | None] = {}
        self.loads = 0

    def decode(self, moves: msgspec.Raw) -> Moves:
        """Return the moves of one alternative."""
        return self._decoder.decode(moves)

    def missing(self, moves: Moves) -> Iterable[str]:
        """Return what is not in memory."""
        return [name for name, _ in moves.moves if name not in self.stock]

    async def load(self, ids: set[str]) -> None:
        """Bring stock into memory."""
        self.loads += 1
        rows = await self._store.fetch(
            Query(
                table="stock", columns=("name", "quantity"), where=(Where("name", "in", list(ids)),)
            )
        )
        self.stock.update(dict.fromkeys(ids))
        self.stock.update(rows)

    def begin(self, at: datetime) -> None:
        """Start a batch."""
        self._before = dict(self.stock)

    def decide(self, app: str, moves: Moves, change_seq: int) -> Mapping[str, int] | None:
        """Take the stock, or reject and leave no trace."""
        del app, change_seq
        kept = dict(self.stock)
        found: dict[str, int] = {}
        for name, quantity in moves.moves:
            there = self.stock[name]
            wanted = quantity if quantity != -1_000 else there or 0
            if there is None or there < wanted:
                self.stock = kept
                raise NotFound(name) if there is None else InsufficientFunds(f"{there} {name} left")
            self.stock[name] = there - wanted
            found = {"left": there - wanted, "left_by": wanted}
        return found or None

    def savepoint(self) -> Any:
        """Return the whole state: it is small."""
        return dict(self.stock)

    def restore(self, savepoint: Any) -> None:
        """Take back what was decided since."""
        self.stock = dict(savepoint)

    def rows(self) -> list[TableRows]:
        """Return the stock that changed."""
        changed = [
            (name, there) for name, there in self.stock.items() if self._before.get(name) != there
        ]
        if not changed:
            return []
        return [
            TableRows(
                "stock", ("name", "quantity"), ("text", "bigint"), changed, "update", ("name",)
            )
        ]

    def commit(self) -> None:
        """Keep what was decided."""
        self._before = {}

    def rollback(self) -> None:
        """Take back the batch."""
        self.stock = dict(self._before)

    def forget(self) -> None:
        """Drop all state."""
        self.stock = {}


def timer(timer_id: str, *, due_at_ms: int = START_MS + 60_000, every_s: int = 0) -> Timer:
    """Return a timer of an actor that does not matter."""
    body = msgspec.Raw(msgspec.msgpack.encode(["body of", timer_id]))
    return Timer(timer_id, due_at_ms, "shelf", f"key of {timer_id}", "due", "shop", body, every_s)


def take(
    name: str, quantity: int, *more: tuple[str, int], answer: str = "", note: Any = None,
    event: str = "", timers: Iterable[Timer] = (), cancels: Iterable[str] = (),
) -> Alternative:  # fmt: skip
    """Return the taking of stock; ``note`` is a fact's quantity, ``event`` an event's data."""
    return Alternative(
        msgspec.Raw(msgspec.msgpack.encode(Moves(((name, quantity), *more)))),
        () if note is None else (Fact("taken", ("note", note)),),
        (Event("stock.taken", name, event),) if event else (),
        answer or f'{{"taken":"{name}"}}',
        tuple(timers),
        tuple(cancels),
    )


def change(
    request_id: str, *alternatives: Alternative, app: str = "shop", body: str = "",
    rejection: ErrorBody | None = None, partition: int = -1, epoch: int = 0,
) -> Change:  # fmt: skip
    """Return a change; two with the same ``body`` count as the same request."""
    digest = body.encode().ljust(16, b".")[:16]
    return Change(app, request_id, "stock.take", digest, alternatives, rejection, partition, epoch)


def chain_of(*changes: Change) -> LinkedChanges:
    """Return a chain of these changes."""
    return LinkedChanges(changes)


def chain_of_takes(*moves: tuple[str, str, int], prefix: str = "") -> LinkedChanges:
    """Return a chain that takes ``(request_id, name, quantity)`` one after the other."""
    return chain_of(
        *(
            change(
                prefix + request_id,
                take(name, quantity, answer=f'"{request_id}"', event="{}", note=quantity),
                body=f"{name} {quantity}",
            )
            for request_id, name, quantity in moves
        )
    )


def delivery_of(
    number: int, one: Change | LinkedChanges, answers: Answers, *, deadline_ms: int | None = None
) -> Delivery:
    """Return a change or a chain on its way to the journal."""
    return Delivery(
        Envelope(
            JOURNAL_KIND,
            JOURNAL_KEY,
            JOURNAL_TYPE if isinstance(one, Change) else JOURNAL_LINKED_TYPE,
            "shop",
            START_MS + 3_600_000 if deadline_ms is None else deadline_ms,
            "test",
            number,
            msgspec.Raw(msgspec.msgpack.encode(one)),
        ),
        answers,
    )


class StockLab:
    """A journal of node n1, which owns everything; ``node`` adds another one on the same rows."""

    def __init__(
        self, database: MemoryDatabase | None = None, clock: ManualClock | None = None,
        name: str = "n1",
    ) -> None:  # fmt: skip
        self.clock = clock or ManualClock(START)
        stock = [{"name": one, "quantity": OPENING} for one in "abc"]
        self.database = database or MemoryDatabase(self.clock, _TABLES, {"stock": stock})
        self.store = MemoryStore(self.database)
        self.ownership = Ownership(name, f"{name}-1", self.store, self.clock)
        self.told: list[EventRow] = []
        self.new_journal()

    def new_journal(self) -> Journal:
        """Replace the journal by one that remembers nothing, as after a restart."""
        self.book = StockBook(self.store)
        self.journal = Journal(
            self.store, self.book, self.ownership, self.clock, (_NOTE,), committed=self.told.extend
        )
        return self.journal

    def node(self, name: str) -> "StockLab":
        """Return the journal of another node on the same database."""
        return StockLab(self.database, self.clock, name)

    async def started(self) -> "StockLab":
        """Own everything and start; return itself."""
        await self.ownership.join(0.0)
        await self.journal.start()
        return self

    async def decide(self, *changes: Change | LinkedChanges) -> Answers:
        """Hand a batch to the journal and return its answers."""
        answers = Answers()
        await self.journal.receive_batch(
            [delivery_of(number, one, answers) for number, one in enumerate(changes)]
        )
        return answers

    def move_partition(self, partition: int, owner: str) -> int:
        """Give a partition to another owner, as a claim of its does; return the new epoch."""
        epoch: int = self.database.rows("partition")[partition,]["epoch"] + 1
        self.database.put(
            "partition", (partition,), {"owner": owner, "epoch": epoch, "lease_until": START}
        )
        return epoch

    def stock(self) -> dict[str, int]:
        """Return the stored stock."""
        return {row["name"]: row["quantity"] for row in self.database.rows("stock").values()}

    def outcomes(self) -> dict[str, str]:
        """Return the stored outcome of each request id of the app shop."""
        rows = self.database.rows("change").values()
        return {row["request_id"]: row["outcome"] for row in rows if row["app"] == "shop"}

    def timers(self) -> set[str]:
        """Return the ids of the timers that stand."""
        return {timer_id for (timer_id,) in self.database.rows("timer")}

    def check(self) -> None:
        """Memory says what the store says, and the numbers have no gaps."""
        stored = self.stock()
        for name, there in self.book.stock.items():
            assert there == stored.get(name), name
        seqs = sorted(row["seq"] for row in self.database.rows("change").values())
        assert seqs == list(range(1, len(seqs) + 1))
        events = sorted(self.database.rows("event"))
        assert events == [(number,) for number in range(1, len(events) + 1)]
