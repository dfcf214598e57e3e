"""The bank of the sequential model: balances, what is held of them, closed accounts.

``keeps`` and names such as ``@acct:…`` are resolved here, as the sender of the day does it.
"""

from collections import Counter
from typing import Any

__all__ = ("CLASS_III_MAX", "Bank", "Refused")

# All that an account of class III may hold, and all that may leave and enter it in a day (fen).
CLASS_III_MAX = 200_000


class Refused(Exception):
    """The message is rejected; the argument is the error's code."""


class Bank:
    """Balances by the names of accounts; amounts in fen."""

    def __init__(self) -> None:
        self.balances: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.closed: set[str] = set()
        self._examined: set[str] = set()
        # Accounts of class III, and what left and entered them on a day.
        self.limited: set[str] = set()
        self._out: Counter[str] = Counter()
        self._in: Counter[str] = Counter()

    def free(self, account: str) -> int:
        """Return what may be spent."""
        return self.balances[account] - self.held[account]

    def try_pay(self, payments: list[tuple[str, str, int]]) -> str | None:
        """Make all the payments ``(payer, payee, amount)`` or none; return the error's code."""
        left: Counter[str] = Counter()
        gone, come = Counter(self._out), Counter(self._in)
        for payer, payee, amount in payments:
            if payer in self.closed or payee in self.closed:
                return "invalid_state"
            if self.free(payer) + left[payer] < amount:
                return "insufficient_funds"
            left[payer] -= amount
            left[payee] += amount
            gone[payer] += amount
            come[payee] += amount
            if payee in self.limited and self.balances[payee] + left[payee] > CLASS_III_MAX:
                return "balance_limit"
            if max(gone[payer] * (payer in self.limited), come[payee] * (payee in self.limited)) > (
                CLASS_III_MAX
            ):
                return "limit_exceeded"
        self._out, self._in = gone, come
        for payer, payee, amount in payments:
            self.balances[payer] -= amount
            self.balances[payee] += amount
        return None

    def pay(self, payments: list[tuple[str, str, int]]) -> None:
        """Make all the payments, or raise why not."""
        code = self.try_pay(payments)
        if code is not None:
            raise Refused(code)

    def new_day(self) -> None:
        """Begin to count anew what leaves and enters accounts of class III."""
        self._out.clear()
        self._in.clear()

    def hold(self, account: str, amount: int) -> None:
        """Set money aside, or raise why not."""
        if self.free(account) < amount:
            raise Refused("insufficient_funds")
        self.held[account] += amount

    def account_get(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return what a read of an account shows."""
        name = body["account_id"]
        return "ok", {
            "posted_minor": self.balances[name],
            "available_minor": self.free(name),
            "held_minor": self.held[name],
        }

    def account_open(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Open an account; its name in the day is in the message."""
        return "ok", {"holder": body["holder"]}

    def account_deposit(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Take in money from outside."""
        name = body["account_id"]
        if name in self.closed:
            raise Refused("invalid_state")
        # Only ever from the bound card, which counts against the balance alone.
        if name in self.limited and self.balances[name] + body["amount_minor"] > CLASS_III_MAX:
            raise Refused("balance_limit")
        self.balances[name] += body["amount_minor"]
        return "ok", {"amount_minor": body["amount_minor"]}

    def customer_register(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Register a person."""
        return "ok", {}

    def account_open_personal(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Ask for an account of class III; it is opened when the recording was looked at."""
        return "ok", {"account_class": body["account_class"]}

    def case_submit_evidence(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Hand in the recording."""
        self._examined.add(body["case_id"])
        return "examining", {}

    def case_get(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Look how far an opening is."""
        return ("opened" if body["case_id"] in self._examined else "verifying"), {}

    def account_close(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Close an account that holds nothing."""
        name = body["account_id"]
        if name in self.closed or self.balances[name] or self.held[name]:
            raise Refused("invalid_state")
        self.closed.add(name)
        return "ok", {"status": "closed"}
