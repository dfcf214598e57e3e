"""The journal and its ledger against a sequential model, on a store in memory."""

from typing import Any
from unittest import mock

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from actors.ledger import LedgerBook, book
from kernel import journal, request_memory
from kernel.clock import ManualClock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, Journal
from kernel.partition import partition_of
from schemas.errors import Rejected
from schemas.ledger import Moves
from tests.book_state import kept, serialised
from tests.changes import FACT_TABLES, Answers, OwnsAll, journal_delivery
from tests.ledger_model import Model
from tests.ledger_requests import Batches, Chain, Request, batches, chain_of, change_of, heard
from tests.memory_store import MemoryStore
from tests.unit.kernel.harness import START

# Time to shrink an example that fails; one that passes takes milliseconds.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_PARTITION = partition_of(JOURNAL_KIND, JOURNAL_KEY)


class _Lab:
    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = MemoryStore({_PARTITION: 1})
        self.ownership = OwnsAll(1)

    async def start(self) -> None:
        """Begin with an empty memory, as a new process does."""
        self.book = LedgerBook(self.store)
        self.journal = Journal(
            self.store,
            self.book,
            self.ownership,
            self.clock,
            FACT_TABLES,
        )
        await self.journal.start()

    async def decide(self, batch: list[Request | Chain]) -> list[str]:
        """Return what the callers hear, in the words of the model."""
        answers = Answers()
        deliveries = [
            journal_delivery(number, _asked(one), answers) for number, one in enumerate(batch)
        ]
        await self.journal.receive_batch(deliveries)
        return heard(answers, batch)

    def check(self, model: Model) -> None:
        """The store, the memory and the model agree, and nothing came from nowhere."""
        model.check()
        tables = self.store.tables
        stored = {
            name: (row["posted_minor"], row["held_minor"])
            for (name,), row in tables["balance"].items()
        }
        assert stored == model.balances()
        for name, account in self.book._accounts.items():
            assert account is not None
            assert (account.posted, account.held) == stored[name], name
            assert account.status == model.accounts[name].status
        entries = tables["entry"].values()
        for name, one in model.accounts.items():
            amounts = [row["amount_minor"] for row in entries if row["account_id"] == name]
            assert sum(amounts) == one.posted
            assert tables["balance"][name,]["entries"] == len(amounts)
            assert tables["account"][name,]["status"] == one.status
        holds = {hold_id: row for (hold_id,), row in tables["hold"].items()}
        assert holds.keys() == model.holds.keys()
        for hold_id, hold in model.holds.items():
            row = holds[hold_id]
            assert (row["captured_minor"], row["released_minor"], row["status"]) == (
                hold.captured, hold.released, hold.status,
            )  # fmt: skip
            numbers = sorted(number for one, number in tables["hold_step"] if one == hold_id)
            assert numbers == list(range(1, row["steps"] + 1))
        seqs = sorted(row["seq"] for row in self.store.tables["change"].values())
        assert seqs == list(range(1, len(seqs) + 1))
        assert sorted(self.store.tables["event"]) == [
            (n,) for n in range(1, len(self.store.tables["event"]) + 1)
        ]


def _asked(one: Request | Chain) -> Any:
    return chain_of(one) if isinstance(one, Chain) else change_of(one)


def _said(model: Model, batch: list[Request | Chain]) -> list[str]:
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
    in_memory=st.sampled_from([4, 8, 100_000]),
)
async def test_lost_commits_and_restarts_change_nothing(
    cut: Batches, faults: list[str], restarts: set[int], remembered: int, lookups: int,
    in_memory: int,
) -> None:  # fmt: skip
    """Connections lost around commits, restarts and a short memory leave the outcomes the same."""
    with (
        mock.patch.object(request_memory, "REMEMBERED_MAX", remembered),
        mock.patch.object(book, "ACCOUNTS_MAX", in_memory),
        mock.patch.object(book, "HOLDS_MAX", in_memory),
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


def _plans(book: LedgerBook, batch: list[Request | Chain]) -> list[tuple[str, Moves]]:
    requests = [link for one in batch for link in (one.links if isinstance(one, Chain) else (one,))]
    return [
        (one.app, book.decode(alternative.moves))
        for one in requests
        for alternative in change_of(one).alternatives
    ]


@settings(max_examples=50)
@given(cut=batches(), taken_back=st.sets(st.integers(0, 200), max_size=60))
async def test_rejected_moves_leave_no_trace(cut: Batches, taken_back: set[int]) -> None:
    """A rejection leaves the book as it was, byte for byte.

    So does going back to a savepoint, and a rollback leaves it as it was before the batch.
    """
    lab = _Lab()
    await lab.start()
    ledger = lab.book
    decided = 0
    for number, batch in enumerate(cut):
        plans = _plans(ledger, batch)
        await ledger.load({name for _, moves in plans for name in ledger.missing(moves)})
        assert not [name for _, moves in plans for name in ledger.missing(moves)]
        before_batch = kept(ledger)
        ledger.begin(START)
        savepoint, at_savepoint = ledger.savepoint(), serialised(ledger)
        for app, moves in plans:
            decided += 1
            before = serialised(ledger)
            try:
                found = ledger.decide(app, moves, number)
            except Rejected:
                assert serialised(ledger) == before
            else:
                # Only a transfer of nothing changes nothing.
                assert serialised(ledger) != before or not any((found or {"": 1}).values())
            if decided in taken_back:
                ledger.restore(savepoint)
                assert serialised(ledger) == at_savepoint
                savepoint, at_savepoint = ledger.savepoint(), serialised(ledger)
        if number % 3 == 2:
            ledger.rollback()
            assert kept(ledger) == before_batch
        else:
            after_batch = kept(ledger)
            ledger.commit()
            assert kept(ledger) == after_batch
        assert ledger.rows() == []
        assert None not in ledger._accounts.values()
        assert None not in ledger._holds.values()
