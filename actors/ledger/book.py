"""The ledger's balances in memory, and every rule a posting must pass.

Balances are credit positive: a customer's account is the bank's debt to the customer, so it grows
by credits. A posting is one debit and one credit of the same amount and asset, so every change
balances by construction. Entries of an account are numbered without gaps and carry the balance
after them.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from kernel.book import TableRows
from kernel.store import Store
from schemas.errors import (
    BalanceLimit,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    NotFound,
    SelfPayment,
)
from schemas.ledger import Moves, Posting
from schemas.money import MAX_AMOUNT_MINOR
from schemas.subjects import PLATFORM_APP

__all__ = ("ACCOUNTS_MAX", "BALANCE_MAX_MINOR", "LedgerBook", "LedgerStatistics")

# About 400 bytes each: half a gigabyte at the most. Beyond it a quarter, those loaded first, is
# dropped between two batches and loaded again when needed.
ACCOUNTS_MAX = 1_000_000
# No balance may leave the range in which the largest amount can still be added to a bigint.
BALANCE_MAX_MINOR = 2**62

_BALANCE = ("account_id", "posted_minor", "entries")
_BALANCE_TYPES = ("text", "bigint", "bigint")
_ENTRY = ("account_id", "number", "change_seq", "amount_minor", "balance_after_minor")
_ENTRY_TYPES = ("text", "bigint", "bigint", "bigint", "bigint")
_KEY = ("account_id",)

_LOAD = (
    "SELECT account_id, app, asset, floor_minor, ceiling_minor, status, posted_minor, entries"
    " FROM zhihui.account JOIN zhihui.balance USING (account_id) WHERE account_id = ANY($1)"
)


class _Account:
    """An account as the next decision finds it; bounds are None where there is none."""

    __slots__ = ("app", "asset", "ceiling", "entries", "floor", "posted", "status")

    def __init__(
        self, app: str, asset: str, floor: int | None, ceiling: int | None, status: str,
        posted: int, entries: int,
    ) -> None:  # fmt: skip
        self.app = app
        self.asset = asset
        self.floor = -BALANCE_MAX_MINOR if floor is None else floor
        self.ceiling = BALANCE_MAX_MINOR if ceiling is None else ceiling
        self.status = status
        self.posted = posted
        self.entries = entries


class LedgerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What is in memory, and how often an account had to be fetched."""

    accounts: int
    loads: int
    postings: int


class LedgerBook:
    """See :class:`kernel.book.Book`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decoder = msgspec.msgpack.Decoder(Moves)
        self._accounts: dict[str, _Account | None] = {}
        # Named by the batch and not there. Forgotten after it, for the next one may open them.
        self._absent: set[str] = set()
        self._loads = 0
        self._postings = 0
        self._clear_batch()

    def _clear_batch(self) -> None:
        # (posted, entries) of every account touched, as it stood before the batch.
        self._before: dict[str, tuple[int, int]] = {}
        self._opened: list[str] = []
        self._entries: list[tuple[Any, ...]] = []

    def decode(self, moves: msgspec.Raw) -> Moves:
        """Return the moves of one alternative."""
        return self._decoder.decode(moves)

    def missing(self, moves: Moves) -> Iterable[str]:
        """Return the accounts that are named and not in memory."""
        accounts = self._accounts
        names = [new.account_id for new in moves.open if new.account_id not in accounts]
        for posting in moves.postings:
            if posting.debit not in accounts:
                names.append(posting.debit)
            if posting.credit not in accounts:
                names.append(posting.credit)
        return names

    async def load(self, ids: set[str]) -> None:
        """Bring accounts into memory; one that does not exist is remembered until the commit."""
        rows = await self._store.read_rows(_LOAD, list(ids))
        self._accounts.update(dict.fromkeys(ids))
        self._absent.update(ids)
        for name, *rest in rows:
            self._accounts[name] = _Account(*rest)
            self._absent.discard(name)
        self._loads += len(ids)

    def begin(self) -> None:
        """Start a batch."""
        self._clear_batch()

    def decide(self, app: str, moves: Moves, change_seq: int) -> None:
        """Apply the moves, or raise a rejection and leave everything as it was."""
        postings = moves.postings
        if not moves.open and len(postings) == 1:
            self._check(postings[0], 0, 0)
            self._post(postings[0], change_seq)
            return
        for new in moves.open:
            if self._accounts[new.account_id] is not None:
                raise InvalidState(f"account {new.account_id!r} exists already")
        if moves.open and postings:
            raise InvalidState("an account cannot be opened and posted to in one change")
        # Several postings: each must pass in the light of those before it, and none may count
        # until all did.
        deltas: dict[str, int] = {}
        for posting in postings:
            debit, credit = posting.debit, posting.credit
            self._check(posting, deltas.get(debit, 0), deltas.get(credit, 0))
            deltas[debit] = deltas.get(debit, 0) - posting.amount_minor
            deltas[credit] = deltas.get(credit, 0) + posting.amount_minor
        for posting in postings:
            self._post(posting, change_seq)
        for new in moves.open:
            self._accounts[new.account_id] = _Account(
                new.app, new.asset, new.floor_minor, new.ceiling_minor, "open", 0, 0
            )
            self._opened.append(new.account_id)
            self._absent.discard(new.account_id)

    def _check(self, posting: Posting, debit_delta: int, credit_delta: int) -> None:
        """Raise unless the posting may stand; the deltas are moved already by the same change."""
        amount = posting.amount_minor
        if not 0 < amount <= MAX_AMOUNT_MINOR:
            raise InvalidField(
                f"amount_minor is {amount}; it must be 1 to {MAX_AMOUNT_MINOR}",
                field="amount_minor",
            )
        debit_field, credit_field = posting.fields
        if posting.debit == posting.credit:
            raise SelfPayment(f"account {posting.debit!r} cannot pay itself", field=credit_field)
        debit = self._accounts[posting.debit]
        # The account of another app is answered like one that does not exist, so that nobody can
        # find out by asking.
        if debit is None or (posting.owner and debit.app != posting.owner):
            raise NotFound(f"account {posting.debit!r} does not exist", field=debit_field)
        credit = self._accounts[posting.credit]
        if credit is None or not _may_credit(posting, credit):
            raise NotFound(f"account {posting.credit!r} does not exist", field=credit_field)
        for name, account in ((posting.debit, debit), (posting.credit, credit)):
            if account.status != "open":
                raise InvalidState(f"account {name!r} is {account.status}")
            if account.asset != posting.asset:
                raise InvalidState(f"account {name!r} holds {account.asset}, not {posting.asset}")
        if debit.posted + debit_delta - amount < debit.floor:
            raise InsufficientFunds(
                f"account {posting.debit!r} does not cover {amount} minor units",
                field=debit_field,
            )
        if credit.posted + credit_delta + amount > credit.ceiling:
            raise BalanceLimit(
                f"account {posting.credit!r} may not hold that much", field=credit_field
            )

    def _post(self, posting: Posting, change_seq: int) -> None:
        self._postings += 1
        for name, amount in (
            (posting.debit, -posting.amount_minor),
            (posting.credit, posting.amount_minor),
        ):
            account = self._accounts[name]
            assert account is not None
            if name not in self._before:
                self._before[name] = (account.posted, account.entries)
            account.posted += amount
            account.entries += 1
            self._entries.append((name, account.entries, change_seq, amount, account.posted))

    def rows(self) -> list[TableRows]:
        """Return new entries and balances; each balance once, however often it moved."""
        tables = []
        if self._entries:
            tables.append(TableRows("entry", _ENTRY, _ENTRY_TYPES, self._entries))
        if self._opened:
            opened = self._balances(self._opened)
            tables.append(TableRows("balance", _BALANCE, _BALANCE_TYPES, opened))
        # In order, so that the pages of the table are visited one after the other.
        moved = self._balances(sorted(self._before.keys() - self._opened))
        if moved:
            tables.append(TableRows("balance", _BALANCE, _BALANCE_TYPES, moved, "update", _KEY))
        return tables

    def _balances(self, names: Iterable[str]) -> list[tuple[Any, ...]]:
        rows = []
        for name in names:
            account = self._accounts[name]
            assert account is not None
            rows.append((name, account.posted, account.entries))
        return rows

    def commit(self) -> None:
        """Keep what was decided."""
        self._forget_absent()
        self._clear_batch()
        if len(self._accounts) > ACCOUNTS_MAX:
            for name in list(self._accounts)[: ACCOUNTS_MAX // 4]:
                del self._accounts[name]

    def rollback(self) -> None:
        """Take back what was decided."""
        for name, (posted, entries) in self._before.items():
            account = self._accounts[name]
            assert account is not None
            account.posted = posted
            account.entries = entries
        for name in self._opened:
            self._accounts[name] = None
            self._absent.add(name)
        self._forget_absent()
        self._clear_batch()

    def _forget_absent(self) -> None:
        for name in self._absent:
            del self._accounts[name]
        self._absent.clear()

    def forget(self) -> None:
        """Drop all state: another owner may have changed it."""
        self._accounts.clear()
        self._absent.clear()
        self._clear_batch()

    def statistics(self) -> LedgerStatistics:
        """Return what is in memory."""
        return LedgerStatistics(
            accounts=len(self._accounts), loads=self._loads, postings=self._postings
        )


def _may_credit(posting: Posting, credit: _Account) -> bool:
    """Tell whether the account may be credited by whoever asked for the posting."""
    if posting.credit_owner:
        return credit.app == posting.credit_owner
    # What leaves the bank leaves through a channel, not by naming the bank's own account.
    return not posting.owner or credit.app != PLATFORM_APP
