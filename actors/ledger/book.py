"""The ledger's balances in memory, and the rules that a posting must pass.

Balances are credit positive: a customer's account is the bank's debt to the customer, so it grows
by credits. A posting is one debit and one credit of the same amount and asset, so every change
balances by construction. Entries of an account are numbered without gaps and carry the balance
after them. Available is posted less held: no move and no hold may take it below the floor.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec

from actors.ledger._limits import Limits, today
from actors.ledger._state import Account, Hold, Mark, State, Tally
from actors.ledger._steps import check_amount, check_use, may_credit, take_step
from kernel.book import StaleDecision, TableRows
from kernel.store import Joined, Query, Store, Where
from schemas.errors import (
    BalanceLimit,
    InsufficientFunds,
    InvalidState,
    NotFound,
    Rejected,
    SelfPayment,
)
from schemas.ledger import (
    BoundsStep,
    CaptureStep,
    LimitsStep,
    Moves,
    NewAccount,
    PlaceStep,
    Posting,
    ReleaseStep,
    StatusStep,
    Step,
    TallyStep,
)
from schemas.money import MAX_AMOUNT_MINOR

__all__ = ("ACCOUNTS_MAX", "HOLDS_MAX", "TALLIES_MAX", "LedgerBook", "LedgerStatistics")

# About 400 bytes each: half a gigabyte at the most. Beyond it a quarter, those loaded first, is
# dropped between two batches and loaded again when needed.
ACCOUNTS_MAX = 1_000_000
# Likewise; a hold is wanted again once or twice, within minutes as a rule.
HOLDS_MAX = 200_000

# About 200 bytes each. Most are of a day, so those loaded first are those not wanted again.
TALLIES_MAX = 500_000

# Marks the ids of holds and of tallies among those of accounts; no identifier from outside begins
# with either.
_HOLD_PREFIX = "\x01"
_TALLY_PREFIX = "\x02"

_ACCOUNT = ("account_id", "app", "asset", "floor_minor", "ceiling_minor", "status")
_BALANCE = ("posted_minor", "entries", "held_minor")
_HOLD = (
    "hold_id", "app", "account_id", "payee", "asset", "purpose", "capturable", "amount_minor",
    "captured_minor", "released_minor", "status", "steps",
)  # fmt: skip
_LIMIT = (
    "day_out_max", "day_in_max", "year_out_max", "year_in_max", "exempt", "day", "day_out",
    "day_in", "year", "year_out", "year_in",
)  # fmt: skip
# What belongs to an account comes with it: one read for all that a batch needs of its accounts.
_WITH_ACCOUNT = (
    Joined("balance", "account_id", _BALANCE), Joined("account_limit", "account_id", _LIMIT),
)  # fmt: skip
_AMOUNT = itemgetter(3)
# Never null in a row that is there.
_EXEMPT = _LIMIT.index("exempt")
_TALLY = ("tally_id", "count", "amount_minor", "closed")


_Rows = list[tuple[Any, ...]]


class LedgerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What is in memory, and how often an account or a hold had to be fetched.

    ``imbalance_minor`` is by how much the entries of all batches written here miss zero, the sum of
    what each batch misses without its sign: anything but 0 is a fault of ours.
    """

    accounts: int
    loads: int
    postings: int
    holds: int = 0
    tallies: int = 0
    imbalance_minor: int = 0


class LedgerBook:
    """See :class:`kernel.book.Book`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decoder = msgspec.msgpack.Decoder(Moves)
        self._state = State()
        # The same dicts for good: a posting is checked in microseconds.
        self._accounts = self._state.accounts
        self._holds = self._state.holds
        self._tallies = self._state.tallies
        self._loads = 0
        self._postings = 0
        self._imbalance_minor = 0

    def decode(self, moves: msgspec.Raw) -> Moves:
        """Return the moves of one alternative."""
        return self._decoder.decode(moves)

    def missing(self, moves: Moves) -> Iterable[str]:
        """Return the accounts and holds that are named and not in memory."""
        accounts = self._accounts
        names = [new.account_id for new in moves.open if new.account_id not in accounts]
        for posting in moves.postings:
            if posting.debit not in accounts:
                names.append(posting.debit)
            if posting.credit not in accounts:
                names.append(posting.credit)
        if moves.steps:
            for step in moves.steps:
                if isinstance(step, TallyStep):
                    tallies = self._tallies
                    if step.tally_id not in tallies:
                        names.append(_TALLY_PREFIX + step.tally_id)
                    names += [_TALLY_PREFIX + one for one in step.window if one not in tallies]
                else:
                    names += self._missing_of(step)
        return names

    def _missing_of(self, step: Step) -> list[str]:
        missing = []
        hold_id = getattr(step, "hold_id", None)
        if isinstance(step, PlaceStep):
            named = [step.account_id, step.payee]
        elif isinstance(step, CaptureStep):
            named = [step.payee]
        elif isinstance(step, ReleaseStep):
            named = []
        elif isinstance(step, StatusStep | BoundsStep | LimitsStep):
            named = [step.account_id]
        elif isinstance(step, TallyStep):
            raise TypeError("tallies are looked up by their own name")
        else:
            named = [step.debit, step.credit]
        if hold_id is not None:
            if hold_id not in self._holds:
                missing.append(_HOLD_PREFIX + hold_id)
            else:
                named += _accounts_of(self._holds[hold_id])
        return missing + [name for name in named if name and name not in self._accounts]

    async def load(self, ids: set[str]) -> None:
        """Bring accounts and holds into memory, and the accounts of those holds.

        What does not exist is remembered until the commit.
        """
        hold_ids = [one.removeprefix(_HOLD_PREFIX) for one in ids if one.startswith(_HOLD_PREFIX)]
        tally_ids = [one[1:] for one in ids if one.startswith(_TALLY_PREFIX)]
        names = {one for one in ids if not one.startswith((_HOLD_PREFIX, _TALLY_PREFIX))}
        holds = {}
        for hold_id, *rest in await self._fetch("hold", _HOLD, hold_ids):
            hold = holds[hold_id] = Hold(*rest)
            names.update(one for one in _accounts_of(hold) if one not in self._accounts)
        accounts, tallies = await _all(
            self._fetch("account", _ACCOUNT, names, _WITH_ACCOUNT),
            self._fetch("tally", _TALLY, tally_ids),
        )
        # Nothing is remembered before everything was read: a counter that is taken for zero because
        # the store was away would let its limit be passed.
        state = self._state
        state.holds.update(dict.fromkeys(hold_ids))
        state.holds.update(holds)
        state.absent_holds.update(set(hold_ids).difference(holds))
        self._keep_accounts(names, accounts)
        self._keep_tallies(tally_ids, tallies)
        self._loads += len(names) + len(hold_ids) + len(tally_ids)

    def _keep_accounts(self, names: set[str], accounts: _Rows) -> None:
        state = self._state
        state.accounts.update(dict.fromkeys(names))
        state.absent.update(names)
        balance = len(_ACCOUNT)
        limits = balance + len(_BALANCE)
        for row in accounts:
            # An account without a balance is damage that the audit names; it takes no money.
            if row[balance] is None:
                continue
            account = state.accounts[row[0]] = Account(*row[1:limits])
            if row[limits + _EXEMPT] is not None:
                account.limits = Limits(*row[limits:])
            state.absent.discard(row[0])

    def _keep_tallies(self, tally_ids: list[str], rows: _Rows) -> None:
        for tally_id in tally_ids:
            # One without a row is at zero: only we could have moved it.
            self._tallies[tally_id] = Tally()
        for name, *rest in rows:
            tally = self._tallies[name] = Tally(*rest)
            tally.stored = True

    async def _fetch(
        self,
        table: str,
        columns: tuple[str, ...],
        ids: Iterable[str],
        joined: tuple[Joined, ...] = (),
    ) -> _Rows:
        wanted = list(ids)
        if not wanted:
            return []
        where = (Where(columns[0], "in", wanted),)
        return await self._store.fetch(
            Query(table=table, columns=columns, joined=joined, where=where)
        )

    def begin(self, at: datetime) -> None:
        """Start a batch; ``at`` decides which day it is."""
        self._state.now = today(at)

    def decide(self, app: str, moves: Moves, change_seq: int) -> Mapping[str, int] | None:
        """Apply the moves, or raise a rejection and leave everything as it was."""
        postings = moves.postings
        if len(postings) == 1 and not moves.steps and not moves.open and not postings[0].purpose:
            posting = postings[0]
            self._check(posting)
            self._state.post(
                posting.debit, posting.credit, posting.amount_minor, change_seq,
                exempt=posting.exempt,
            )  # fmt: skip
            return None
        mark = self._state.mark()
        try:
            return self._decide(moves, change_seq, mark)
        except (Rejected, StaleDecision):
            self._state.restore(mark)
            raise

    def _decide(self, moves: Moves, change_seq: int, mark: Mark) -> Mapping[str, int] | None:
        """Apply part after part, each in the light of those before it."""
        for new in moves.open:
            self._open(new)
        transfers = self._state.transfers
        first = mark.transfers + mark.statuses
        for posting in moves.postings:
            self._check(posting)
            debit, credit, amount = posting.debit, posting.credit, posting.amount_minor
            self._state.post(debit, credit, amount, change_seq, exempt=posting.exempt)
            if posting.purpose:
                number = len(transfers) - mark.transfers
                transfers.append(
                    (change_seq, number, debit, credit, amount, posting.asset, posting.purpose)
                )
        found: dict[str, int] = {}
        for step in moves.steps:
            found |= take_step(self._state, step, change_seq, first)
        return found or None

    def _open(self, new: NewAccount) -> None:
        if self._accounts[new.account_id] is not None:
            raise InvalidState(f"account {new.account_id!r} exists already")
        account = Account(new.app, new.asset, new.floor_minor, new.ceiling_minor)
        if new.limits is not None:
            account.limits = Limits.of(new.limits)
        self._state.open(new.account_id, account)

    def _check(self, posting: Posting) -> None:
        """Raise unless the posting may stand."""
        amount = posting.amount_minor
        if not 0 < amount <= MAX_AMOUNT_MINOR:
            check_amount(amount)
        debit_field, credit_field = posting.fields
        if posting.debit == posting.credit:
            raise SelfPayment(f"account {posting.debit!r} cannot pay itself", field=credit_field)
        debit = self._accounts[posting.debit]
        # The account of another app is answered like one that does not exist, so that nobody can
        # find out by asking.
        if debit is None or (posting.owner and debit.app != posting.owner):
            raise NotFound(f"account {posting.debit!r} does not exist", field=debit_field)
        credit = self._accounts[posting.credit]
        if credit is None or not may_credit(credit, posting.owner, posting.credit_owner):
            raise NotFound(f"account {posting.credit!r} does not exist", field=credit_field)
        if debit.status != "open":
            raise InvalidState(f"account {posting.debit!r} is {debit.status}")
        # What comes in is welcome on a frozen account.
        if credit.status == "closed":
            raise InvalidState(f"account {posting.credit!r} is closed")
        for name, account in ((posting.debit, debit), (posting.credit, credit)):
            if account.asset != posting.asset:
                raise InvalidState(f"account {name!r} holds {account.asset}, not {posting.asset}")
        if debit.posted - debit.held - amount < debit.floor:
            raise InsufficientFunds(
                f"account {posting.debit!r} does not cover {amount} minor units",
                field=debit_field,
            )
        if credit.posted + amount > credit.ceiling:
            raise BalanceLimit(
                f"account {posting.credit!r} may not hold that much", field=credit_field
            )
        if not posting.exempt and not (debit.limits is None is credit.limits):
            check_use(self._state, posting.debit, posting.credit, amount, posting.fields)

    def savepoint(self) -> Mark:
        """Return a mark to which :meth:`restore` can take the batch back."""
        return self._state.mark()

    def restore(self, savepoint: Mark) -> None:
        """Take back what was decided since the savepoint."""
        self._state.restore(savepoint)

    def rows(self) -> list[TableRows]:
        """Return the rows of all that was decided since :meth:`begin`."""
        return self._state.rows()

    def commit(self) -> None:
        """Keep what was decided."""
        self._postings += len(self._state.entries) // 2
        self._imbalance_minor += abs(sum(map(_AMOUNT, self._state.entries)))
        self._state.keep_tallies()
        self._state.end_batch()
        _evict(self._accounts, ACCOUNTS_MAX)
        _evict(self._holds, HOLDS_MAX)
        _evict(self._tallies, TALLIES_MAX)

    def rollback(self) -> None:
        """Take back what was decided."""
        self._state.restore(Mark(*[0] * len(Mark._fields)))
        self._state.end_batch()

    def forget(self) -> None:
        """Drop all state: another owner may have changed it."""
        self._state.forget()

    def statistics(self) -> LedgerStatistics:
        """Return what is in memory."""
        return LedgerStatistics(
            accounts=len(self._accounts), loads=self._loads, postings=self._postings,
            holds=len(self._holds), tallies=len(self._tallies),
            imbalance_minor=self._imbalance_minor,
        )  # fmt: skip


async def _all(*reads: Coroutine[Any, Any, _Rows]) -> list[_Rows]:
    """Return what all of the reads find; they go side by side, and a failure is the first one's."""
    found = await asyncio.gather(*reads, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def _accounts_of(hold: Hold | None) -> list[str]:
    return [] if hold is None else [one for one in (hold.account_id, hold.payee) if one]


def _evict(kept: dict[str, Any], most: int) -> None:
    if len(kept) > most:
        for name in list(kept)[: most // 4]:
            del kept[name]
