"""Accounts and holds in memory, what the batch has done to them, and how it is taken back.

Entries are their own log: an entry says by how much its account moved. Whatever else changes goes
through :meth:`State.replace`, which notes what was there before. So a mark is a few lengths, it
costs the same however much the batch holds, and going back to it costs what was done since.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from actors.ledger._limits import Limits
from kernel.book import TableRows
from schemas.ledger import BALANCE_MAX_MINOR

__all__ = ("Account", "Hold", "Mark", "State", "Tally")

_BALANCE = ("account_id", "posted_minor", "entries")
_BALANCE_TYPES = ("text", "bigint", "bigint")
_ENTRY = ("account_id", "number", "change_seq", "amount_minor", "balance_after_minor")
_ENTRY_TYPES = ("text", "bigint", "bigint", "bigint", "bigint")
_BY_ACCOUNT = ("account_id",)
_HOLD = (
    "hold_id", "change_seq", "app", "account_id", "payee", "asset", "purpose", "capturable",
    "reference", "amount_minor", "placed_at", "expires_at", "captured_minor", "released_minor",
    "status", "steps",
)  # fmt: skip
_HOLD_TYPES = (
    "text", "bigint", "text", "text", "text", "text", "text", "boolean", "text", "bigint",
    "timestamptz", "timestamptz", "bigint", "bigint", "text", "bigint",
)  # fmt: skip
_HOLD_NOW = ("hold_id", "captured_minor", "released_minor", "status", "steps")
_HOLD_NOW_TYPES = ("text", "bigint", "bigint", "text", "bigint")
_HOLD_STEP = ("hold_id", "number", "change_seq", "kind", "amount_minor", "payee")
_HOLD_STEP_TYPES = ("text", "bigint", "bigint", "text", "bigint", "text")
_TRANSFER = ("change_seq", "number", "debit", "credit", "amount_minor", "asset", "purpose")
_TRANSFER_TYPES = ("bigint", "bigint", "text", "text", "bigint", "text", "text")
_STATUS = ("change_seq", "number", "account_id", "status")
_STATUS_TYPES = ("bigint", "bigint", "text", "text")
_LIMIT = (
    "account_id", "day_out_max", "day_in_max", "year_out_max", "year_in_max", "exempt", "day",
    "day_out", "day_in", "year", "year_out", "year_in",
)  # fmt: skip
_LIMIT_TYPES = (
    "text", "bigint", "bigint", "bigint", "bigint", "text", "bigint", "bigint", "bigint", "bigint",
    "bigint", "bigint",
)  # fmt: skip
_TALLY = ("tally_id", "count", "amount_minor", "closed")
_TALLY_TYPES = ("text", "bigint", "bigint", "boolean")
_BOUNDS = ("account_id", "floor_minor", "ceiling_minor")
_BOUNDS_TYPES = ("text", "bigint", "bigint")


class Account:
    """An account as the next decision finds it; where there is no bound, one that is never met."""

    __slots__ = (
        "app", "asset", "ceiling", "entries", "floor", "held", "limits", "posted", "status",
    )  # fmt: skip

    def __init__(
        self, app: str, asset: str, floor: int | None, ceiling: int | None, status: str = "open",
        posted: int = 0, entries: int = 0, held: int = 0, limits: Limits | None = None,
    ) -> None:  # fmt: skip
        self.app = app
        self.asset = asset
        self.floor = -BALANCE_MAX_MINOR if floor is None else floor
        self.ceiling = BALANCE_MAX_MINOR if ceiling is None else ceiling
        self.status = status
        self.posted = posted
        self.entries = entries
        self.held = held
        self.limits = limits


class Tally:
    """A pair of counters that only the journal moves; ``stored`` tells whether it has a row."""

    __slots__ = ("amount", "closed", "count", "stored")

    def __init__(
        self, count: int = 0, amount: int = 0, closed: bool = False, stored: bool = False
    ) -> None:
        self.count = count
        self.amount = amount
        self.closed = closed
        self.stored = stored


class Hold:
    """A hold as the next decision finds it; amounts in minor units."""

    __slots__ = (
        "account_id", "amount", "app", "asset", "capturable", "captured", "payee", "purpose",
        "released", "status", "steps",
    )  # fmt: skip

    def __init__(
        self, app: str, account_id: str, payee: str, asset: str, purpose: str, capturable: bool,
        amount: int, captured: int = 0, released: int = 0, status: str = "open", steps: int = 0,
    ) -> None:  # fmt: skip
        self.app = app
        self.account_id = account_id
        self.payee = payee
        self.asset = asset
        self.purpose = purpose
        self.capturable = capturable
        self.amount = amount
        self.captured = captured
        self.released = released
        self.status = status
        self.steps = steps

    @property
    def remaining(self) -> int:
        """What is neither captured nor released."""
        return self.amount - self.captured - self.released


class Mark(NamedTuple):
    """How long each log of the batch was."""

    entries: int
    opened: int
    placed: int
    hold_steps: int
    transfers: int
    statuses: int
    replaced: int
    tallied: int


class State:
    """What is known between batches and what the batch adds; None is what does not exist."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account | None] = {}
        self.holds: dict[str, Hold | None] = {}
        self.tallies: dict[str, Tally] = {}
        # Day and year of the batch, in Asia/Shanghai.
        self.now = (0, 0)
        # Named by the batch and not there. Forgotten after it, for the next one may make them.
        self.absent: set[str] = set()
        self.absent_holds: set[str] = set()
        self._clear_batch()

    def _clear_batch(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.opened: list[str] = []
        # The columns of a new hold that never change.
        self.placed: dict[str, tuple[Any, ...]] = {}
        self.hold_steps: list[tuple[Any, ...]] = []
        self.transfers: list[tuple[Any, ...]] = []
        self.statuses: list[tuple[Any, ...]] = []
        # (id, the account, hold or limits, attribute, value before).
        self.replaced: list[tuple[str, Account | Hold | Limits, str, Any]] = []
        # (id, by how much its count and its amount moved, closed before).
        self.tallied: list[tuple[str, int, int, bool]] = []

    # What a batch may do.

    def replace(
        self, name: str, thing: Account | Hold | Limits, attribute: str, value: Any
    ) -> None:
        """Set what is not moved by entries: what is held, a status, the progress of a hold."""
        self.replaced.append((name, thing, attribute, getattr(thing, attribute)))
        setattr(thing, attribute, value)

    def open(self, account_id: str, account: Account) -> None:
        """Add an account that was loaded as absent."""
        self.accounts[account_id] = account
        self.absent.discard(account_id)
        self.opened.append(account_id)

    def place(self, hold_id: str, hold: Hold, row: tuple[Any, ...]) -> None:
        """Add a hold that was loaded as absent; ``row`` are its columns that never change."""
        self.holds[hold_id] = hold
        self.absent_holds.discard(hold_id)
        self.placed[hold_id] = row

    def tally(self, tally_id: str, count: int, amount: int, closed: bool) -> Tally:
        """Move a tally by this much."""
        tally = self.tallies[tally_id]
        self.tallied.append((tally_id, count, amount, tally.closed))
        tally.count += count
        tally.amount += amount
        tally.closed = closed
        return tally

    def _use(self, name: str, limits: Limits, amount: int, *, out: bool) -> None:
        """Count a move against the limits of a day and a year."""
        day, year = self.now
        ways = (("day", day), ("year", year))
        for (period, current), used in zip(ways, limits.used(self.now, out=out), strict=True):
            if getattr(limits, period) != current:
                self.replace(name, limits, period, current)
                self.replace(name, limits, f"{period}_{'in' if out else 'out'}", 0)
            self.replace(name, limits, f"{period}_{'out' if out else 'in'}", used + amount)

    def post(
        self, debit: str, credit: str, amount: int, change_seq: int, *, exempt: bool = False
    ) -> None:
        """Make the two entries of a move that was found to be allowed."""
        accounts, entries = self.accounts, self.entries
        account = accounts[debit]
        assert account is not None
        if account.limits is not None and not exempt and account.limits.exempt != credit:
            self._use(debit, account.limits, amount, out=True)
        account.posted -= amount
        account.entries += 1
        entries.append((debit, account.entries, change_seq, -amount, account.posted))
        account = accounts[credit]
        assert account is not None
        if account.limits is not None and not exempt and account.limits.exempt != debit:
            self._use(credit, account.limits, amount, out=False)
        account.posted += amount
        account.entries += 1
        entries.append((credit, account.entries, change_seq, amount, account.posted))

    # Taking back.

    def mark(self) -> Mark:
        """Return where the batch stands."""
        return Mark(
            len(self.entries), len(self.opened), len(self.placed), len(self.hold_steps),
            len(self.transfers), len(self.statuses), len(self.replaced), len(self.tallied),
        )  # fmt: skip

    def restore(self, mark: Mark) -> None:
        """Take back what was done since the mark."""
        entries, replaced = self.entries, self.replaced
        while len(entries) > mark.entries:
            name, _, _, amount, _ = entries.pop()
            account = self.accounts[name]
            assert account is not None
            account.posted -= amount
            account.entries -= 1
        while len(replaced) > mark.replaced:
            _, thing, attribute, before = replaced.pop()
            setattr(thing, attribute, before)
        while len(self.tallied) > mark.tallied:
            name, count, amount, closed = self.tallied.pop()
            tally = self.tallies[name]
            tally.count -= count
            tally.amount -= amount
            tally.closed = closed
        while len(self.placed) > mark.placed:
            hold_id, _ = self.placed.popitem()
            self.holds[hold_id] = None
            self.absent_holds.add(hold_id)
        while len(self.opened) > mark.opened:
            account_id = self.opened.pop()
            self.accounts[account_id] = None
            self.absent.add(account_id)
        del self.hold_steps[mark.hold_steps :]
        del self.transfers[mark.transfers :]
        del self.statuses[mark.statuses :]

    def end_batch(self) -> None:
        """Keep what was done, and forget what turned out not to exist."""
        for name in self.absent:
            del self.accounts[name]
        for name in self.absent_holds:
            del self.holds[name]
        self.absent.clear()
        self.absent_holds.clear()
        self._clear_batch()

    def forget(self) -> None:
        """Drop everything."""
        self.accounts.clear()
        self.holds.clear()
        self.tallies.clear()
        self.absent.clear()
        self.absent_holds.clear()
        self._clear_batch()

    # What it comes to.

    def rows(self) -> list[TableRows]:
        """Return the rows of the batch; each balance and each hold once, however often it moved."""
        tables = []
        if self.entries:
            tables.append(TableRows("entry", _ENTRY, _ENTRY_TYPES, self.entries))
        moved = {entry[0] for entry in self.entries}
        tables += self._balance_rows(moved)
        if self.transfers:
            tables.append(TableRows("transfer", _TRANSFER, _TRANSFER_TYPES, self.transfers))
        if self.tallied:
            tables += self._tally_rows()
        if self.replaced or self.placed or self.opened:
            tables += self._other_rows()
        return tables

    def _tally_rows(self) -> list[TableRows]:
        new: list[tuple[Any, ...]] = []
        moved: list[tuple[Any, ...]] = []
        # In order, as with balances.
        for name in sorted({one[0] for one in self.tallied}):
            tally = self.tallies[name]
            row = (name, tally.count, tally.amount, tally.closed)
            (moved if tally.stored else new).append(row)
        tables = []
        if new:
            tables.append(TableRows("tally", _TALLY, _TALLY_TYPES, new))
        if moved:
            tables.append(TableRows("tally", _TALLY, _TALLY_TYPES, moved, "update", ("tally_id",)))
        return tables

    def keep_tallies(self) -> None:
        """Note that the tallies of the batch have rows now."""
        for name, *_ in self.tallied:
            self.tallies[name].stored = True

    def _balance_rows(self, moved: set[str]) -> list[TableRows]:
        held = {name for name, _, attribute, _ in self.replaced if attribute == "held"}
        columns: tuple[str, ...] = _BALANCE
        types: tuple[str, ...] = _BALANCE_TYPES
        if held:
            # Only now, so that a batch of payments writes no column that it did not touch.
            columns, types = (*_BALANCE, "held_minor"), (*_BALANCE_TYPES, "bigint")
        tables = []
        if self.opened:
            rows = self._balances(self.opened, bool(held))
            tables.append(TableRows("balance", columns, types, rows))
        # In order, so that the pages of the table are visited one after the other.
        rows = self._balances(sorted((moved | held).difference(self.opened)), bool(held))
        if rows:
            tables.append(TableRows("balance", columns, types, rows, "update", _BY_ACCOUNT))
        return tables

    def _balances(self, names: Iterable[str], with_held: bool) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for name in names:
            account = self.accounts[name]
            assert account is not None
            row = (name, account.posted, account.entries)
            rows.append((*row, account.held) if with_held else row)
        return rows

    def _other_rows(self) -> list[TableRows]:
        tables = self._account_rows()
        if self.placed:
            placed = [(hold_id, *row, *self._progress(hold_id))
                      for hold_id, row in self.placed.items()]  # fmt: skip
            tables.append(TableRows("hold", _HOLD, _HOLD_TYPES, placed))
        changed = {name for name, thing, _, _ in self.replaced if isinstance(thing, Hold)}
        moved = [(hold_id, *self._progress(hold_id))
                 for hold_id in sorted(changed.difference(self.placed))]  # fmt: skip
        if moved:
            tables.append(
                TableRows("hold", _HOLD_NOW, _HOLD_NOW_TYPES, moved, "update", ("hold_id",))
            )
        if self.hold_steps:
            tables.append(TableRows("hold_step", _HOLD_STEP, _HOLD_STEP_TYPES, self.hold_steps))
        if self.statuses:
            names = sorted({row[2] for row in self.statuses})
            status = [(name, getattr(self.accounts[name], "status", "")) for name in names]
            tables += [
                TableRows("account_status", _STATUS, _STATUS_TYPES, self.statuses),
                TableRows(
                    "account", ("account_id", "status"), ("text", "text"), status, "update",
                    _BY_ACCOUNT,
                ),
            ]  # fmt: skip
        return tables

    def _account_rows(self) -> list[TableRows]:
        """Return the limits of new and of moved accounts, and bounds that were changed."""
        tables = []
        opened = [(name, account.limits) for name in self.opened
                  if (account := self.accounts[name]) is not None]  # fmt: skip
        new = [(name, *limits.row()) for name, limits in opened if limits is not None]
        if new:
            tables.append(TableRows("account_limit", _LIMIT, _LIMIT_TYPES, new))
        changed = {name for name, thing, attribute, _ in self.replaced
                   if isinstance(thing, Limits) or attribute == "limits"}  # fmt: skip
        gained = {name for name, _, attribute, before in self.replaced
                  if attribute == "limits" and before is None}  # fmt: skip
        for names, mode in ((gained, "insert"), (changed - gained, "update")):
            rows = [
                (name, *account.limits.row())
                for name in sorted(names.difference(self.opened))
                if (account := self.accounts[name]) is not None and account.limits is not None
            ]
            if rows and mode == "insert":
                tables.append(TableRows("account_limit", _LIMIT, _LIMIT_TYPES, rows))
            elif rows:
                tables.append(
                    TableRows("account_limit", _LIMIT, _LIMIT_TYPES, rows, "update", _BY_ACCOUNT)
                )
        bounds = [
            (name, *_stored_bounds(account))
            for name in sorted({one[0] for one in self.replaced if one[2] in ("floor", "ceiling")})
            if (account := self.accounts[name]) is not None
        ]
        if bounds:
            tables.append(
                TableRows("account", _BOUNDS, _BOUNDS_TYPES, bounds, "update", _BY_ACCOUNT)
            )
        return tables

    def _progress(self, hold_id: str) -> tuple[Any, ...]:
        hold = self.holds[hold_id]
        assert hold is not None
        return (hold.captured, hold.released, hold.status, hold.steps)


def _stored_bounds(account: Account) -> tuple[int | None, int | None]:
    return (
        None if account.floor == -BALANCE_MAX_MINOR else account.floor,
        None if account.ceiling == BALANCE_MAX_MINOR else account.ceiling,
    )
