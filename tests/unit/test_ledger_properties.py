"""The journal and its ledger against a sequential model, on a store in memory."""

from unittest import mock

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from actors.ledger import LedgerBook
from kernel import journal, request_memory
from kernel.clock import ManualClock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, Journal
from kernel.ownership import Ownership
from kernel.partition import partition_of
from schemas.errors import Rejected
from schemas.ledger import Moves
from tests.changes import FACT_TABLES, Answers, journal_delivery
from tests.ledger_model import Batches, Model, Request, batches, change_of, heard
from tests.memory_store import MemoryStore
from tests.unit.kernel.harness import START, FakeOwnershipStore

# Time to shrink an example that fails; one that passes takes milliseconds.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_PARTITION = partition_of(JOURNAL_KIND, JOURNAL_KEY)


class _Lab:
    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = MemoryStore({_PARTITION: 1})
        self.ownership = Ownership("n1", FakeOwnershipStore(self.clock), self.clock)

    async def start(self) -> None:
        """Begin with an empty memory, as a new process does."""
        if self.ownership.epoch(_PARTITION) is None:
            await self.ownership.acquire_all(0.0)
        self.book = LedgerBook(self.store)  # type: ignore[arg-type] # the part that a book needs
        self.journal = Journal(
            self.store, self.book, self.ownership, self.clock, FACT_TABLES  # type: ignore[arg-type]
        )  # fmt: skip
        await self.journal.start()

    async def decide(self, batch: list[Request]) -> list[str]:
        """Return what the callers hear, in the words of the model."""
        answers = Answers()
        deliveries = [
            journal_delivery(number, change_of(one), answers) for number, one in enumerate(batch)
        ]
        await self.journal.receive_batch(deliveries)
        return heard(answers, batch)

    def check(self, model: Model) -> None:
        """The store, the memory and the model agree, and nothing came from nowhere."""
        assert self.store.balances() == model.balances
        assert sum(model.balances.values()) == 0
        for name, account in self.book._accounts.items():
            stored = None if account is None else account.posted
            assert stored == model.balances.get(name), name
        entries = self.store.tables["entry"].values()
        for name, balance in model.balances.items():
            amounts = [row["amount_minor"] for row in entries if row["account_id"] == name]
            assert sum(amounts) == balance
            assert self.store.tables["balance"][name,]["entries"] == len(amounts)
        seqs = sorted(row["seq"] for row in self.store.tables["change"].values())
        assert seqs == list(range(1, len(seqs) + 1))
        assert sorted(self.store.tables["event"]) == [
            (n,) for n in range(1, len(self.store.tables["event"]) + 1)
        ]


def _said(model: Model, batch: list[Request]) -> list[str]:
    return [model.decide(one) for one in batch]


@settings(max_examples=50)
@given(cut=batches())
async def test_batches_decide_as_a_sequence_would(cut: Batches) -> None:
    """However requests are cut into batches, each hears what it would hear alone, in order."""
    lab, model = _Lab(), Model()
    await lab.start()
    for batch in cut:
        assert await lab.decide(batch) == _said(model, batch)
        lab.check(model)
    for outcome in model.outcomes:
        event(outcome)


@settings(max_examples=50)
@given(
    cut=batches(),
    faults=st.lists(st.sampled_from(["", "", "", "lost", "unheard"]), max_size=20),
    restarts=st.sets(st.integers(0, 20)),
    remembered=st.sampled_from([20, 100_000]),
    lookups=st.sampled_from([1, 100]),
)
async def test_lost_commits_and_restarts_change_nothing(
    cut: Batches, faults: list[str], restarts: set[int], remembered: int, lookups: int
) -> None:
    """Connections lost around commits, restarts and a short memory leave the outcomes the same."""
    with (
        mock.patch.object(request_memory, "REMEMBERED_MAX", remembered),
        mock.patch.object(journal, "LOOKUP_BATCHES", lookups),
    ):
        lab, model = _Lab(), Model()
        await lab.start()
        lab.store.faults.extend(faults)
        for number, batch in enumerate(cut):
            if number in restarts:
                await lab.start()
            assert await lab.decide(batch) == _said(model, batch)
        lab.check(model)


@settings(max_examples=50)
@given(cut=batches(), restart=st.booleans())
async def test_replay_gives_identical_answers(cut: Batches, restart: bool) -> None:
    """All of it sent again, in one batch, hears the same again and moves nothing."""
    lab, model = _Lab(), Model()
    await lab.start()
    first = [one for batch in cut for one in await lab.decide(batch)]
    for batch in cut:
        _said(model, batch)
    if restart:
        await lab.start()
    assert await lab.decide([one for batch in cut for one in batch]) == first
    lab.check(model)


def _serialised(book: LedgerBook) -> bytes:
    """Return the whole state of a book: what it knows and what it would write."""
    accounts = {
        name: None
        if account is None
        else [getattr(account, slot) for slot in sorted(account.__slots__)]
        for name, account in sorted(book._accounts.items())
    }
    rows = [[table.table, table.rows, table.mode] for table in book.rows()]
    return msgspec.msgpack.encode(
        [accounts, sorted(book._absent), book._opened, sorted(book._before.items()), rows]
    )


@settings(max_examples=50)
@given(cut=batches())
async def test_rejected_moves_leave_no_trace(cut: Batches) -> None:
    """A rejection leaves the book as it was, byte for byte; a rollback as it was at the begin."""
    lab = _Lab()
    await lab.start()
    book = lab.book
    for number, batch in enumerate(cut):
        plans: list[tuple[str, Moves]] = [
            (one.app, book.decode(alternative.moves))
            for one in batch
            for alternative in change_of(one).alternatives
        ]
        await book.load({name for _, moves in plans for name in book.missing(moves)})
        known = _known(book)
        book.begin()
        for app, moves in plans:
            before = _serialised(book)
            try:
                book.decide(app, moves, number)
            except Rejected:
                assert _serialised(book) == before
            else:
                assert _serialised(book) != before
        if number % 3 == 2:
            book.rollback()
            assert _known(book) == known
        else:
            known = _known(book)
            book.commit()
            assert _known(book) == known
        assert book.rows() == []
        assert None not in book._accounts.values()


def _known(book: LedgerBook) -> dict[str, tuple[int, int]]:
    accounts = book._accounts.items()
    return {name: (one.posted, one.entries) for name, one in accounts if one is not None}
