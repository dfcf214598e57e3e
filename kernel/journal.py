"""The journal: one writer, one commit.

It takes all that waits, decides each change in order against the book's state in memory, writes the
accepted ones in one transaction of the store, and answers after the commit. While one batch is
being written the next one gathers, so batches grow under load and shrink when idle. What the next
one needs of the store is read meanwhile; it is decided on what stands after the commit.

A request is known by ``(app, request_id)``. The ids of late are kept in memory; for the rest the
unique key of the store speaks: a batch that trips over it is taken back, the ids are looked up, and
the batch is decided again. So the common case costs no lookup.

What is in memory holds under one epoch of the journal's partition. When the epoch changes, memory
is dropped and read again; a commit under an epoch that is over is refused by the store.
"""

import logging
from collections.abc import Callable

import msgspec

from kernel.actor import BatchActor, Delivery
from kernel.book import Book, StaleDecision
from kernel.buckets import BATCH_BOUNDS, Buckets, BucketStatistics
from kernel.clock import Clock
from kernel.journal_answers import JournalAnswers
from kernel.journal_batch import FactTable, JournalBatch, filled_in
from kernel.journal_item import (
    JOURNAL_LINKED_TYPE,
    JOURNAL_TYPE,
    ItemReader,
    JournalItem,
    changed,
    keys,
    missing_of,
    moved,
)
from kernel.look_ahead import LookAhead
from kernel.ownership import Ownership
from kernel.partition import partition_of
from kernel.request_memory import RequestMemory
from kernel.store import (
    Commit,
    CommitUnknown,
    DuplicateRequest,
    EventRow,
    NumbersTaken,
    Position,
    StaleEpoch,
    Store,
    VersionConflict,
)
from schemas.change import Alternative, Change, LinkedChanges
from schemas.envelope import REPLAYED
from schemas.errors import (
    ErrorBody,
    Internal,
    InvalidField,
    LinkedFailed,
    NotReady,
    Rejected,
    Unavailable,
    ZhihuiError,
)

__all__ = (
    "COLLISIONS_MAX",
    "JOURNAL_KEY",
    "JOURNAL_KIND",
    "JOURNAL_LINKED_TYPE",
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

# After a start, and after a batch tripped over an old id, ids are looked up before the decision:
# retries come in crowds.
LOOKUP_BATCHES = 20
# How often a change may collide with what stands and be decided anew. A commit that went unheard
# collides once when it comes through late; more is damage, which must not hold up all others.
COLLISIONS_MAX = 2
# The pause between attempts to reach a store that went away.
STORE_RETRY_S = 0.25

_LINKED_FAILED = LinkedFailed("another change of the same chain was rejected").body()


class JournalStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; both distributions are of the commits that stood."""

    batches: int
    committed: int
    rejected: int
    replayed: int
    conflicts: int
    retried_batches: int
    unknown_commits: int
    commit_times_s: BucketStatistics
    batch_sizes: BucketStatistics
    change_seq: int
    event_seq: int


class Journal(BatchActor):
    """The single writer of one store; see the module."""

    kind = JOURNAL_KIND
    accepts = {  # noqa: RUF012 - a constant of the class
        JOURNAL_TYPE: Change,
        JOURNAL_LINKED_TYPE: LinkedChanges,
    }

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
        self._reader = ItemReader(book)
        self._partition = partition_of(JOURNAL_KIND, JOURNAL_KEY)
        self._epoch: int | None = None
        self._memory = RequestMemory(store)
        self._answers = JournalAnswers(self._memory)
        self._position = Position(0, 0)
        self._lookups_left = LOOKUP_BATCHES
        self._batches = 0
        self._counts = {"committed": 0, "rejected": 0}
        self._retried = 0
        self._unknown = 0
        self._commit_times_s, self._batch_sizes = Buckets(), Buckets(BATCH_BOUNDS)
        self._ahead = LookAhead(book, self._reader)

    async def stop(self) -> None:
        """Stop reading ahead."""
        self._ahead.cancel()

    def foresee(self, delivery: Delivery) -> None:
        """Decode what waits, and read what it needs while the last batch is being written."""
        self._ahead.foresee(delivery)

    async def start(self) -> None:
        """Take the state from the store; whatever was in memory may be of an older epoch."""
        await self._ahead.settled()
        # Read before the state is: if it changes meanwhile, the first batch notices.
        self._epoch = self._ownership.epoch(self._partition)
        self._book.forget()
        self._memory.clear()
        self._lookups_left = LOOKUP_BATCHES
        self._position = await self._store.position()

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Decide, commit and answer; raise only on a fault of our own."""
        waiting = []
        for delivery in deliveries:
            item, delivery.prepared = delivery.prepared, None
            try:
                waiting.append(item or self._reader.read(delivery))
            except InvalidField as error:
                delivery.fail(error)
        items = waiting
        try:
            while waiting:
                waiting = await self._attempt(waiting)
        except Unavailable:
            # Whoever is told that the store is away may think that nothing was begun.
            for item in items:
                if item.doubtful:
                    item.delivery.fail(moved(item))
            raise
        except Exception:
            # Another journal may follow on the same book.
            await self._ahead.settled()
            raise
        # Only now: all others are answered, and need no commit each to find the one at fault.
        for item in items:
            if item.fault is not None:
                await self._ahead.settled()
                raise item.fault

    async def _attempt(self, waiting: list[JournalItem]) -> list[JournalItem]:
        """Try to commit; return what has to be tried again."""
        if self._epoch is None or self._epoch != self._ownership.epoch(self._partition):
            await self.start()
            if self._epoch is None:
                for item in waiting:
                    item.delivery.fail(moved(item))
                return []
        await self._answers.recall_torn(waiting)
        waiting = self._answers.answer_known(waiting)
        found_none = False
        if self._lookups_left and waiting:
            self._lookups_left -= 1
            await self._memory.recall(keys(waiting))
            before, waiting = len(waiting), self._answers.answer_known(waiting)
            found_none = len(waiting) == before
        waiting = self._refuse_outdated(waiting)
        if not waiting:
            return []
        await self._load(waiting)
        batch = self._decide(waiting)
        if not batch.decided:
            self._book.rollback()
            await self._answers.refuse_stale(batch.stale)
            return []
        start_s = self._clock.monotonic_s()
        try:
            tables = batch.tables(self._book.rows(), self._fact_tables)
            with self._ahead:
                await self._store.commit(Commit(batch.epochs, tables))
        except Exception as error:  # noqa: BLE001 - sorted out, or raised again, just below
            # Nothing may come into memory behind the back of what follows.
            await self._ahead.settled()
            self._book.rollback()
            self._retried += 1
            if isinstance(error, NumbersTaken) or (
                found_none and isinstance(error, DuplicateRequest)
            ):
                for item in waiting:
                    item.collisions += 1
            return await self._after_failure(waiting, error, batch.epochs)
        self._commit_times_s.add(self._clock.monotonic_s() - start_s)
        self._batch_sizes.add(len(batch.decided))
        self._book.commit()
        self._position = batch.position
        self._finish(batch, waiting)
        if batch.stale:
            # Now that what it collided with stands, and can be seen.
            await self._answers.refuse_stale(batch.stale)
        return []

    def _refuse_outdated(self, waiting: list[JournalItem]) -> list[JournalItem]:
        """Refuse what was decided under an older epoch than we or another change know of.

        A commit names one epoch for each partition, so an older one would ride along with it. A
        former process of this node may still send such changes: they cost us no ownership.
        """
        newest: dict[int, int] = {}
        for item in waiting:
            if item.change.partition < 0 and not item.links:
                continue
            for change in item.changes():
                partition = change.partition
                if partition >= 0:
                    ours = self._ownership.epoch(partition)
                    known = newest.get(partition, -1 if ours is None else ours)
                    newest[partition] = max(known, change.epoch)
        if not newest:
            return waiting
        rest = []
        for item in waiting:
            if any(one.epoch < newest.get(one.partition, 0) for one in item.changes()):
                item.delivery.fail(moved(item))
            else:
                rest.append(item)
        return rest

    # Decisions.

    async def _load(self, waiting: list[JournalItem]) -> None:
        await self._ahead.settled()
        missing = missing_of(self._book, waiting)
        if missing:
            await self._book.load(missing)

    def _decide(self, waiting: list[JournalItem]) -> JournalBatch:
        at = self._clock.now()
        self._book.begin(at)
        assert self._epoch is not None
        batch = JournalBatch(at, self._position, {self._partition: self._epoch})
        for item in waiting:
            if item.links:
                if not any(key in batch.decided for key in keys([item])):
                    self._decide_chain(item, batch)
            elif (item.change.app, item.change.request_id) not in batch.decided:
                try:
                    batch.note(item.change, *self._choose(item, batch.change_seq + 1))
                except StaleDecision:
                    batch.stale.append(item)
        return batch

    def _decide_chain(self, chain: JournalItem, batch: JournalBatch) -> None:
        """Decide all of a chain, or take back what was decided of it."""
        savepoint = self._book.savepoint()
        first_seq = batch.change_seq + 1
        choices = []
        failed: tuple[int, ErrorBody] | None = None
        for number, link in enumerate(chain.links):
            try:
                choice = self._choose(link, first_seq + number)
            except StaleDecision:
                self._book.restore(savepoint)
                batch.stale.append(chain)
                return
            choices.append(choice)
            if choice[2] is not None:
                failed = (number, choice[2])
                self._book.restore(savepoint)
                break
        for number, link in enumerate(chain.links):
            if failed is None:
                batch.note(link.change, *choices[number])
            else:
                error = failed[1] if number == failed[0] else _LINKED_FAILED
                batch.note(link.change, -1, None, error)

    def _choose(
        self, item: JournalItem, change_seq: int
    ) -> tuple[int, Alternative | None, ErrorBody | None]:
        """Return the first alternative that the book accepts, or the rejection to remember."""
        first: ErrorBody | None = None
        for index, moves in enumerate(item.moves):
            try:
                found = self._book.decide(item.change.app, moves, change_seq)
            except Rejected as error:
                first = first or error.body()
            else:
                chosen = item.change.alternatives[index]
                return index, chosen if found is None else filled_in(chosen, found), None
        rejection = item.change.rejection or first
        if rejection is None:
            rejection = Internal("the change has neither an alternative nor a rejection").body()
        return -1, None, rejection

    def _finish(self, batch: JournalBatch, waiting: list[JournalItem]) -> None:
        for item in waiting:
            if item in batch.stale:
                continue
            if item.links:
                names = keys([item])
                replayed = all(self._memory.get(key) for key in names)
                results = [batch.decided.get(key) for key in names]
                self._answers.answer_chain(item, results, REPLAYED if replayed else 0)
                for key, result in zip(names, results, strict=True):
                    if result is not None:
                        self._memory.remember(key, result)
                continue
            key = (item.change.app, item.change.request_id)
            decided = batch.decided[key]
            self._answers.answer(item, decided, REPLAYED if self._memory.get(key) else decided.note)
            self._memory.remember(key, decided)
        self._batches += 1
        self._counts["committed"] += batch.committed
        self._counts["rejected"] += batch.rejected
        if self._on_committed is not None:
            events = batch.events()
            if events:
                self._on_committed(events)

    # When a commit does not stand.

    async def _after_failure(
        self, waiting: list[JournalItem], error: Exception, epochs: dict[int, int]
    ) -> list[JournalItem]:
        stuck = isinstance(error, DuplicateRequest | NumbersTaken) and (
            waiting[0].collisions > COLLISIONS_MAX
        )
        if isinstance(error, DuplicateRequest) and not stuck:
            self._lookups_left = LOOKUP_BATCHES
            return waiting
        if isinstance(error, StaleEpoch):
            return self._after_stale_epoch(waiting, error, epochs)
        if isinstance(error, CommitUnknown | NotReady) and not stuck:
            self._unknown += 1
            _log.warning("the outcome of a commit is unknown: %s", error)
            for item in waiting:
                item.doubtful = True
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
            waiting[0].delivery.fail(changed(waiting[0]))
            return []
        waiting[0].fault = error
        return []

    def _after_stale_epoch(
        self, waiting: list[JournalItem], error: StaleEpoch, epochs: dict[int, int]
    ) -> list[JournalItem]:
        """Refuse what was decided on lost partitions; give up entirely when ours is one of them."""
        ours = self._partition in error.partitions
        if ours:
            _log.warning("another node owns the journal now; this one steps down")
            self._epoch = None
            self._book.forget()
            self._memory.clear()
        # What was regained meanwhile, under a newer epoch than this batch's, is not lost.
        self._ownership.lost(
            {one for one in error.partitions if self._ownership.epoch(one) == epochs[one]}
        )
        rest = []
        for item in waiting:
            if ours or any(one.partition in error.partitions for one in item.changes()):
                item.delivery.fail(moved(item))
            else:
                rest.append(item)
        return rest

    async def _recover(self, waiting: list[JournalItem]) -> list[JournalItem]:
        """Reach the store again and start from what it holds; never guess about a commit."""
        while True:
            # Also before the first attempt: a store that takes connections and refuses commits, as
            # with a full disk, would otherwise be asked without a pause.
            await self._clock.sleep(STORE_RETRY_S)
            now_ms = self._clock.now_ms()
            waiting = [item for item in waiting if item.delivery.envelope.deadline_ms >= now_ms]
            try:
                await self.start()
                await self._memory.recall(keys(waiting))
            except (ZhihuiError, CommitUnknown) as error:
                _log.warning("the store is out of reach: %s", error)
            else:
                return waiting

    def statistics(self) -> JournalStatistics:
        """Return the counts so far."""
        return JournalStatistics(
            batches=self._batches,
            **self._counts,
            replayed=self._answers.replayed,
            conflicts=self._answers.conflicts,
            retried_batches=self._retried,
            unknown_commits=self._unknown,
            commit_times_s=self._commit_times_s.statistics(),
            batch_sizes=self._batch_sizes.statistics(),
            change_seq=self._position.change_seq,
            event_seq=self._position.event_seq,
        )
