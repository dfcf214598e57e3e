"""Ledgers that forget: a balance, and a capture."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from actors.ledger._state import Hold, State
from zhihui.simulation.bugs.replacing import replaced

__all__ = ("hold_captured_twice", "lost_update")


@contextmanager
def lost_update() -> Iterator[None]:
    """Of the changes of one batch to one account, let only the last one reach its balance.

    So it is when each of them reads the balance before any of them has written it.
    """
    usual = State._balances

    def balances(self: State, names: Iterable[str], with_held: bool) -> list[tuple[Any, ...]]:
        wanted = list(names)
        for name in wanted:
            moves = [(seq, amount) for account, _, seq, amount, _ in self.entries
                     if account == name]  # fmt: skip
            account = self.accounts[name]
            if moves and account is not None:
                account.posted -= sum(amount for seq, amount in moves if seq != moves[-1][0])
        return usual(self, wanted, with_held)

    with replaced(State, "_balances", balances):
        yield


@contextmanager
def hold_captured_twice() -> Iterator[None]:
    """Let what was captured of a hold count as still held."""

    def remaining(self: Hold) -> int:
        return self.amount - self.released

    with replaced(Hold, "remaining", property(remaining)):
        yield
