"""The running sum of what the journal writes: 0 while every posting has two sides."""

import asyncio

from actors.ledger import LedgerBook
from actors.tables import BANK_TABLES, first_rows
from kernel.clock import ManualClock
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from schemas.ledger import Moves, NewAccount, Posting
from tests.unit.instruments.lab import START


def _book() -> LedgerBook:
    """Return a book with two accounts that may go below zero, and nothing decided."""
    book = LedgerBook(MemoryStore(MemoryDatabase(ManualClock(START), BANK_TABLES, first_rows())))
    asyncio.run(book.load({"acct_a", "acct_b"}))
    book.begin(START)
    new = tuple(
        NewAccount(account_id=name, app="shop", asset="CNY", floor_minor=None, ceiling_minor=None)
        for name in ("acct_a", "acct_b")
    )
    book.decide("shop", Moves(open=new), 1)
    book.commit()
    book.begin(START)
    return book


def _pay(amount_minor: int) -> Moves:
    return Moves(
        postings=(Posting(debit="acct_a", credit="acct_b", amount_minor=amount_minor, asset="CNY"),)
    )


def test_postings_leave_no_imbalance() -> None:
    """Batches of postings, also one that is taken back, sum to zero."""
    book = _book()
    for change_seq in range(2, 5):
        book.decide("shop", _pay(change_seq), change_seq)
    book.commit()
    book.begin(START)
    book.decide("shop", _pay(9), 5)
    book.rollback()
    assert book.statistics().postings == 3
    assert book.statistics().imbalance_minor == 0


def test_a_lost_half_is_told_for_good() -> None:
    """Entries that do not add up are told by their amount, and another fault does not hide them."""
    book = _book()
    for lost, change_seq in ((0, 2), (1, 3)):
        book.decide("shop", _pay(7), change_seq)
        # As a fault of the state would: once the debit is missing, once the credit.
        del book._state.entries[lost]
        book.commit()
        book.begin(START)
    assert book.statistics().imbalance_minor == 14
