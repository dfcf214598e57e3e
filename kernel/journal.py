"""The journal: one writer, one commit.

It takes all that waits, decides each change in order against the book's state in memory, writes the
accepted ones in one transaction of the store, and answers after the commit. While one batch is
being written the next one gathers, so batches grow under load and shrink when idle.

A request is known by ``(app, request_id)``. The ids of late are kept in memory; for the rest the
unique key of the store speaks: a batch that trips over it is taken back, the ids are looked up, and
the batch is decided again. So the common case costs no lookup.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from kernel.actor import BatchActor, Delivery
from kernel.book import Book, TableRows
from kernel.clock import Clock
from kernel.ownership import Ownership
from kernel.partition import partition_of
from kernel.request_memory import COMMITTED, Decided, RequestKey, RequestMemory
from kernel.store import (
    Commit,
    CommitUnknown,
    DuplicateRequest,
    EventRow,
    Position,
    StaleEpoch,
    Store,
    VersionConflict,
)
from schemas.change import Change
from schemas.envelope import REPLAYED
from schemas.errors import (
    Conflict,
    ErrorBody,
    Internal,
    NotReady,
    Rejected,
    StaleOwner,
    ZhihuiError,
)

__all__ = (
    "JOURNAL_KEY",
    "JOURNAL_KIND",
    "JOURNAL_TYPE",
    "LOOKUP_BATCHES",
    "STORE_RETRY_S",
    "FactTable",
    "Journal",
    "JournalStatistics",
)

_log = logging.getLogger(__name__)

JOURNAL_KIND = "journal"
JOURNAL_KEY = "0"
JOURNAL_TYPE = "change"

# After a start, and after a batch tripped over an old id, ids are looked up before the decision:
# retries come in crowds.
LOOKUP_BATCHES = 20
# The pause between attempts to reach a store that went away.
STORE_RETRY_S = 0.25

_CHANGE_COLUMNS = ("app", "request_id", "seq", "operation", "digest", "outcome", "answer", "at")
_CHANGE_TYPES = ("text", "text", "bigint", "text", "bytea", "text", "text", "timestamptz")
_EVENT_COLUMNS = ("seq", "change_seq", "app", "type", "subject", "data", "at")
_EVENT_TYPES = ("bigint", "bigint", "text", "text", "text", "text", "timestamptz")

_error_json = msgspec.json.Encoder()
_error_decoder = msgspec.json.Decoder(ErrorBody)


class FactTable(msgspec.Struct, frozen=True):
    """A table whose rows a change may carry; each row is preceded by the change's number."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    versioned: bool = False
    key: tuple[str, ...] = ()


class JournalStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``commit_s`` is the time spent in commits."""

    batches: int
    committed: int
    rejected: int
    replayed: int
    conflicts: int
    retried_batches: int
    unknown_commits: int
    commit_s: float
    change_seq: int
    event_seq: int


class _Item:
    """One change on its way: the delivery to answer, and the moves of its alternatives."""

    __slots__ = ("change", "delivery", "moves")

    def __init__(self, delivery: Delivery, change: Change, moves: list[Any]) -> None:
        self.delivery = delivery
        self.change = change
        self.moves = moves


class _Batch:
    """What one commit will write."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.epochs: dict[int, int] = {}
        self.decided: dict[RequestKey, Decided] = {}
        self.changes: list[tuple[Any, ...]] = []
        self.events: list[tuple[Any, ...]] = []
        self.facts: dict[str, list[tuple[Any, ...]]] = {}
        self.committed = 0


class Journal(BatchActor):
    """The single writer of one store; see the module."""

    kind = JOURNAL_KIND
    accepts = {JOURNAL_TYPE: Change}  # noqa: RUF012 - a constant of the class

    def __init__(
        self,
        store: Store,
        book: Book,
        ownership: Ownership,
        clock: Clock,
        fact_tables: tuple[FactTable, ...],
        *,
        committed: Callable[[list[EventRow]], None] | None = None,
    ) -> None:
        self._store = store
        self._book = book
        self._ownership = ownership
        self._clock = clock
        self._fact_tables = {table.name: table for table in fact_tables}
        self._on_committed = committed
        self._decoder = msgspec.msgpack.Decoder(Change)
        self._partition = partition_of(JOURNAL_KIND, JOURNAL_KEY)
        self._memory = RequestMemory(store)
        self._position = Position(0, 0)
        self._lookups_left = LOOKUP_BATCHES
        self._batches = 0
        self._counts = {"committed": 0, "rejected": 0, "replayed": 0, "conflicts": 0}
        self._retried = 0
        self._unknown = 0
        self._commit_s = 0.0

    async def start(self) -> None:
        """Take the state from the store; whatever was in memory may be of an older epoch."""
        self._book.forget()
        self._memory.clear()
        self._lookups_left = LOOKUP_BATCHES
        self._position = await self._store.position()

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Decide, commit and answer; raise only on a fault of our own."""
        decode = self._book.decode
        waiting = []
        for delivery in deliveries:
            change = self._decoder.decode(delivery.envelope.body)
            moves = [decode(alternative.moves) for alternative in change.alternatives]
            waiting.append(_Item(delivery, change, moves))
        while waiting:
            waiting = await self._attempt(waiting)

    async def _attempt(self, waiting: list[_Item]) -> list[_Item]:
        """Try to commit; return what has to be tried again."""
        waiting = self._answer_known(waiting)
        if self._lookups_left and waiting:
            self._lookups_left -= 1
            await self._memory.recall(_keys(waiting))
            waiting = self._answer_known(waiting)
        waiting = self._refuse_outdated(waiting)
        if not waiting:
            return []
        before = self._position
        await self._load(waiting)
        batch = self._decide(waiting)
        start_s = self._clock.monotonic_s()
        try:
            await self._store.commit(Commit(batch.epochs, self._tables(batch)))
        except Exception as error:  # noqa: BLE001 - sorted out, or raised again, just below
            self._book.rollback()
            self._position = before
            self._retried += 1
            return await self._after_failure(waiting, error)
        self._commit_s += self._clock.monotonic_s() - start_s
        self._book.commit()
        self._finish(batch, waiting)
        return []

    def _answer_known(self, waiting: list[_Item]) -> list[_Item]:
        """Answer what was decided before; return the rest."""
        rest = []
        for item in waiting:
            known = self._memory.get((item.change.app, item.change.request_id))
            if known is None:
                rest.append(item)
            else:
                self._answer(item, known, REPLAYED)
        return rest

    def _refuse_outdated(self, waiting: list[_Item]) -> list[_Item]:
        """Refuse what was decided under an older epoch than we or another change know of.

        A commit names one epoch for each partition, so an older one would ride along with it. A
        former process of this node may still send such changes: they cost us no ownership.
        """
        newest: dict[int, int] = {}
        for item in waiting:
            partition = item.change.partition
            if partition >= 0:
                ours = self._ownership.epoch(partition)
                known = newest.get(partition, -1 if ours is None else ours)
                newest[partition] = max(known, item.change.epoch)
        if not newest:
            return waiting
        rest = []
        for item in waiting:
            if item.change.epoch < newest.get(item.change.partition, 0):
                item.delivery.fail(StaleOwner("it was decided under an epoch that is over"))
            else:
                rest.append(item)
        return rest

    def _answer(self, item: _Item, decided: Decided, note: int) -> None:
        change, delivery = item.change, item.delivery
        if change.digest != decided.digest:
            self._counts["conflicts"] += 1
            delivery.fail(
                Conflict(
                    f"request id {change.request_id!r} was used before with another body",
                    field="request_id",
                )
            )
            return
        if note == REPLAYED:
            self._counts["replayed"] += 1
        if decided.outcome == COMMITTED:
            delivery.reply(decided.answer.encode(), note=note)
        else:
            delivery.fail(_error_decoder.decode(decided.answer), note=note)

    # Decisions.

    async def _load(self, waiting: list[_Item]) -> None:
        book = self._book
        missing: set[str] = set()
        for item in waiting:
            for moves in item.moves:
                missing.update(book.missing(moves))
        if missing:
            await book.load(missing)

    def _decide(self, waiting: list[_Item]) -> _Batch:
        self._book.begin()
        batch = _Batch(self._clock.now())
        epoch = self._ownership.epoch(self._partition)
        batch.epochs[self._partition] = -1 if epoch is None else epoch
        change_seq, event_seq = self._position.change_seq, self._position.event_seq
        for item in waiting:
            change = item.change
            key = (change.app, change.request_id)
            if key in batch.decided:
                continue
            change_seq += 1
            index, error = self._choose(item, change_seq)
            if change.partition >= 0:
                batch.epochs.setdefault(change.partition, change.epoch)
            if error is None:
                chosen = change.alternatives[index]
                for table, row in ((fact.table, fact.row) for fact in chosen.facts):
                    batch.facts.setdefault(table, []).append((change_seq, *row))
                for event in chosen.events:
                    event_seq += 1
                    batch.events.append(
                        (event_seq, change_seq, change.app, event.type, event.subject, event.data,
                         batch.at)
                    )  # fmt: skip
                batch.committed += 1
                decided = Decided(change.digest, COMMITTED, chosen.answer, index)
            else:
                answer = _error_json.encode(error).decode()
                decided = Decided(change.digest, error.code, answer, 0)
            batch.decided[key] = decided
            batch.changes.append(
                (change.app, change.request_id, change_seq, change.operation, change.digest,
                 decided.outcome, decided.answer, batch.at)
            )  # fmt: skip
        self._position = Position(change_seq, event_seq)
        return batch

    def _choose(self, item: _Item, change_seq: int) -> tuple[int, ErrorBody | None]:
        """Return the first alternative that the book accepts, or the rejection to remember."""
        first: ErrorBody | None = None
        for index, moves in enumerate(item.moves):
            try:
                self._book.decide(item.change.app, moves, change_seq)
            except Rejected as error:
                first = first or error.body()
            else:
                return index, None
        rejection = item.change.rejection or first
        if rejection is None:
            rejection = Internal("the change has neither an alternative nor a rejection").body()
        return -1, rejection

    def _tables(self, batch: _Batch) -> list[TableRows]:
        tables = [TableRows("change", _CHANGE_COLUMNS, _CHANGE_TYPES, batch.changes)]
        tables += self._book.rows()
        for name, rows in batch.facts.items():
            known = self._fact_tables[name]
            width = len(known.columns) + 1
            if any(len(row) != width for row in rows):
                # COPY would drop what is too much without a word.
                raise ValueError(f"a row of {name} does not have {width - 1} columns")
            tables.append(
                TableRows(
                    name,
                    ("change_seq", *known.columns),
                    ("bigint", *known.types),
                    rows,
                    "versioned" if known.versioned else "insert",
                    known.key,
                )
            )
        if batch.events:
            tables.append(TableRows("event", _EVENT_COLUMNS, _EVENT_TYPES, batch.events))
        return tables

    def _finish(self, batch: _Batch, waiting: list[_Item]) -> None:
        for item in waiting:
            key = (item.change.app, item.change.request_id)
            decided = batch.decided[key]
            self._answer(item, decided, REPLAYED if self._memory.get(key) else decided.note)
            self._memory.remember(key, decided)
        self._batches += 1
        self._counts["committed"] += batch.committed
        self._counts["rejected"] += len(batch.changes) - batch.committed
        if batch.events and self._on_committed is not None:
            self._on_committed([EventRow(seq, *rest) for seq, _, *rest in batch.events])

    # When a commit does not stand.

    async def _after_failure(self, waiting: list[_Item], error: Exception) -> list[_Item]:
        if isinstance(error, DuplicateRequest):
            self._lookups_left = LOOKUP_BATCHES
            return waiting
        if isinstance(error, StaleEpoch):
            return self._after_stale_epoch(waiting, error)
        if isinstance(error, CommitUnknown | NotReady):
            self._unknown += 1
            _log.warning("the outcome of a commit is unknown: %s", error)
            return await self._recover(waiting)
        if len(waiting) > 1:
            # One of them cannot be written. Halved until it is alone, so that only that one fails
            # and a large batch does not become as many commits.
            middle = len(waiting) // 2
            for rest in (waiting[:middle], waiting[middle:]):
                while rest:
                    rest = await self._attempt(rest)  # noqa: PLW2901 - until none is left
            return []
        if isinstance(error, VersionConflict):
            waiting[0].delivery.fail(StaleOwner("the state was changed by another node meanwhile"))
            return []
        raise error

    def _after_stale_epoch(self, waiting: list[_Item], error: StaleEpoch) -> list[_Item]:
        """Refuse what was decided on lost partitions; give up entirely when ours is one of them."""
        ours = self._partition in error.partitions
        if ours:
            _log.error("another node owns the journal now; this one steps down")
            self._book.forget()
            self._memory.clear()
        self._ownership.lost(error.partitions)
        rest = []
        for item in waiting:
            if ours or item.change.partition in error.partitions:
                item.delivery.fail(
                    StaleOwner("ownership moved to another node; nothing was committed")
                )
            else:
                rest.append(item)
        return rest

    async def _recover(self, waiting: list[_Item]) -> list[_Item]:
        """Reach the store again and start from what it holds; never guess about a commit."""
        while True:
            # Also before the first attempt: a store that takes connections and refuses commits, as
            # with a full disk, would otherwise be asked without a pause.
            await self._clock.sleep(STORE_RETRY_S)
            now_ms = self._clock.now_ms()
            waiting = [item for item in waiting if item.delivery.envelope.deadline_ms >= now_ms]
            try:
                await self.start()
                await self._memory.recall(_keys(waiting))
            except (ZhihuiError, CommitUnknown) as error:
                _log.warning("the store is out of reach: %s", error)
            else:
                return waiting

    def statistics(self) -> JournalStatistics:
        """Return the counts so far."""
        return JournalStatistics(
            batches=self._batches,
            **self._counts,
            retried_batches=self._retried,
            unknown_commits=self._unknown,
            commit_s=self._commit_s,
            change_seq=self._position.change_seq,
            event_seq=self._position.event_seq,
        )


def _keys(waiting: list[_Item]) -> list[RequestKey]:
    return [(item.change.app, item.change.request_id) for item in waiting]
