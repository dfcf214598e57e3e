"""The whole state of a ledger's book as bytes, to tell whether two states are the same."""

from typing import Any

import msgspec

from actors.ledger import LedgerBook
from actors.ledger._limits import Limits

__all__ = ("kept", "serialised")


def serialised(book: LedgerBook) -> bytes:
    """Return what the book knows and what it would write; the order of dicts does not count."""
    state = book._state
    rows = [[table.table, table.columns, table.rows, table.mode] for table in book.rows()]
    return msgspec.msgpack.encode(
        [
            _things(state.accounts), _things(state.holds), sorted(state.absent),
            sorted(state.absent_holds), state.opened, list(state.placed.items()),
            state.hold_steps, state.transfers, state.statuses,
            [(name, attribute, _plain(before)) for name, _, attribute, before in state.replaced],
            _things(state.tallies), state.tallied, rows,
        ]
    )  # fmt: skip


def kept(book: LedgerBook) -> bytes:
    """Return the accounts and holds that exist."""
    state = book._state
    return msgspec.msgpack.encode(
        [
            {name: one for name, one in _things(things).items() if one is not None}
            for things in (state.accounts, state.holds, state.tallies)
        ]
    )


def _things(things: Any) -> dict[str, list[Any] | None]:
    return {
        name: None if one is None else [_plain(getattr(one, slot)) for slot in one.__slots__]
        for name, one in sorted(things.items())
    }


def _plain(value: Any) -> Any:
    return value.row() if isinstance(value, Limits) else value
