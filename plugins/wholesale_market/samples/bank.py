"""The bank in the model: accounts, what is held in them, and how often they were paid."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ("Bank", "Refused")


class Refused(Exception):
    """The message is rejected; the argument is the error's code."""


class Bank:
    """Balances and holds, one movement after another; what does not go as a whole does not go."""

    def __init__(self) -> None:
        self.posted: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.payments = 0
        self.captures = 0

    def available(self, account: str) -> int:
        """Return what may be spent."""
        return self.posted[account] - self.held[account]

    def move(self, steps: Iterable[tuple[str, str, int]]) -> bool:
        """Make all payments in order, or none; tell whether they were made."""
        before = self.posted.copy()
        for payer, payee, amount in steps:
            if not amount:
                continue
            if self.available(payer) < amount:
                self.posted = before
                return False
            self.posted[payer] -= amount
            self.posted[payee] += amount
        return True

    def pay_all(self, payer: str, owners: Mapping[str, str], parts: Mapping[str, int]) -> bool:
        """Pay the parts of a deal: all of it to the farmer, who passes on what is not his."""
        whole = sum(parts.values())
        passed = [
            (owners["farmer"], owners[who], part) for who, part in parts.items() if who != "farmer"
        ]
        if not self.move([(payer, owners["farmer"], whole), *passed]):
            return False
        self.payments += 1
        return True

    def open(self, account: str) -> None:
        """Open an account."""
        self.posted[account] += 0

    def deposit(self, body: Mapping[str, Any]) -> None:
        """Take money from outside."""
        self.posted[body["account_id"]] += body["amount_minor"]

    def create(self, body: Mapping[str, Any]) -> None:
        """Make a plain payment, or refuse it."""
        payer, payee, amount = body["payer"], body["payee"], body["amount_minor"]
        if payer == payee:
            raise Refused("self_payment")
        if payer not in self.posted or payee not in self.posted:
            raise Refused("not_found")
        if not self.move([(payer, payee, amount)]):
            raise Refused("insufficient_funds")
        self.payments += 1
