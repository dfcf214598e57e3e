"""Accounts and holds of the model."""

from collections.abc import Hashable
from typing import Any

__all__ = ("ESCROW", "OUTSIDE", "Account", "Books", "Hold", "Refused", "demand")

OUTSIDE = "outside"
ESCROW = "escrow"


class Refused(Exception):
    """The bank says no; the text is the code of the error."""


def demand(holds: bool, code: str) -> None:
    """Raise :class:`Refused` with ``code`` unless it holds."""
    if not holds:
        raise Refused(code)


class Account:
    """An account: what is posted, what of it is held, and how far it may go below zero."""

    def __init__(self, floor: int | None = 0) -> None:
        self.floor = floor
        self.posted = 0
        self.held = 0
        self.status = "open"

    @property
    def available(self) -> int:
        """What may be taken; without a floor there is always enough."""
        return 10**15 if self.floor is None else self.posted - self.held - self.floor


class Hold:
    """A part of an account that is kept back, until it is captured, given back or expired."""

    def __init__(self, account: Hashable, amount: int, purpose: str) -> None:
        self.account = account
        self.amount = amount
        self.purpose = purpose
        self.captured = 0
        self.released = 0
        self.status = "open"

    @property
    def left(self) -> int:
        """What is still held."""
        return self.amount - self.captured - self.released


class Books:
    """All accounts and holds, by the step that made them or a name of their own."""

    def __init__(self) -> None:
        self.accounts: dict[Hashable, Account] = {OUTSIDE: Account(None), ESCROW: Account(None)}
        self.holds: dict[Hashable, Hold] = {}

    def account(self, name: Hashable) -> Account:
        """Return an account; raise :class:`Refused`."""
        demand(name in self.accounts, "not_found")
        return self.accounts[name]

    def move(self, debit: Hashable, credit: Hashable, amount: int) -> None:
        """Move money that is there from an open account to one that takes it."""
        demand(debit != credit, "self_payment")
        payer, payee = self.account(debit), self.account(credit)
        demand(payer.status == "open", "invalid_state")
        demand(payer.available >= amount, "insufficient_funds")
        payer.posted -= amount
        payee.posted += amount

    def place(self, name: Hashable, account: Hashable, amount: int, purpose: str) -> None:
        """Hold a part of what is available."""
        owner = self.account(account)
        demand(owner.status == "open", "invalid_state")
        demand(owner.available >= amount, "insufficient_funds")
        owner.held += amount
        self.holds[name] = Hold(account, amount, purpose)

    def capture(
        self, name: Hashable, payee: Hashable, amount: int | None, *, final: bool
    ) -> dict[str, Any]:
        """Move held money to the payee; the rest is given back when this was the last of it."""
        hold = self.hold(name)
        demand(payee != hold.account, "self_payment")
        taken = hold.left if amount is None else amount
        demand(taken <= hold.left, "insufficient_funds")
        account = self.account(hold.account)
        demand(account.status == "open", "invalid_state")
        hold.captured += taken
        account.held -= taken
        account.posted -= taken
        self.account(payee).posted += taken
        freed = hold.left if final else 0
        self.give_back(name, freed)
        if not hold.left:
            hold.status = "captured"
        return {"captured_minor": taken, "released_minor": freed,
                "remaining_minor": hold.left, "status": hold.status}  # fmt: skip

    def give_back(self, name: Hashable, amount: int) -> None:
        """Release a part of a hold."""
        hold = self.holds[name]
        hold.released += amount
        self.accounts[hold.account].held -= amount

    def release(self, name: Hashable, status: str, purpose: str = "hold") -> dict[str, Any]:
        """End a hold and give back what is left of it."""
        hold = self.hold(name, purpose)
        self.give_back(name, hold.left)
        hold.status = status
        return {"status": status, "captured_minor": hold.captured,
                "released_minor": hold.released}  # fmt: skip

    def hold(self, name: Hashable, purpose: str = "hold") -> Hold:
        """Return a hold that is open; raise :class:`Refused`."""
        demand(name in self.holds, "not_found")
        hold = self.holds[name]
        demand(hold.purpose == purpose, "invalid_state")
        demand(hold.status == "open", "invalid_state")
        return hold
