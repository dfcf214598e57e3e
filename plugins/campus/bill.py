"""A bill, and the arithmetic of paying it in parts.

What is open of a bill is its amount less what was paid and what was waived; nothing else changes
it, and it never grows. An agreement of instalments splits what is open on the day it is made into
parts with a date each. It changes when money is due, never how much.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from .fields import BillKind

__all__ = ("Bill", "Instalment", "largest_remainder")


class Instalment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a bill and when it is due; minor units."""

    due_at: datetime
    amount_minor: int


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """An open bill of a student, minor units.

    ``payee`` is the account to which it is paid. ``settled_before_minor`` is what was paid and
    waived before the instalments were agreed, which cover the rest. ``reminders`` counts those
    sent, and ``remind_every_days`` is the rule of the school when the bill was issued.
    """

    bill_id: str
    school_id: str
    term_id: str
    kind: BillKind
    title: str
    payee: str
    due_at: datetime
    amount_minor: int
    remind_every_days: int
    paid_minor: int = 0
    waived_minor: int = 0
    instalments: tuple[Instalment, ...] = ()
    settled_before_minor: int = 0
    reminders: int = 0

    @property
    def open_minor(self) -> int:
        """Return what is still to be paid, at once or by instalments."""
        return self.amount_minor - self.paid_minor - self.waived_minor

    @property
    def timer(self) -> str:
        """Return the name of the timer that reminds of the bill."""
        return f"bill-{self.bill_id}"

    def overdue_minor(self, now: datetime) -> int:
        """Return what should have been paid by now and is still open."""
        if not self.instalments:
            return self.open_minor if self.due_at <= now else 0
        due = sum(part.amount_minor for part in self.instalments if part.due_at <= now)
        return max(0, self.settled_before_minor + due - self.paid_minor - self.waived_minor)

    def next_due_at(self, now: datetime) -> datetime | None:
        """Return when something more falls due, or None when nothing will."""
        dates = [part.due_at for part in self.instalments] or [self.due_at]
        return min((due_at for due_at in dates if due_at > now), default=None)

    def paid(self, amount_minor: int) -> "Bill":
        """Return the bill with a payment; it must not be more than is open."""
        assert 0 < amount_minor <= self.open_minor
        return replace(self, paid_minor=self.paid_minor + amount_minor)

    def waived(self, amount_minor: int) -> "Bill":
        """Return the bill with a part forgiven; it must not be more than is open."""
        assert 0 < amount_minor <= self.open_minor
        return replace(self, waived_minor=self.waived_minor + amount_minor)

    def by_instalments(self, weights: Sequence[int], first: datetime, every: timedelta) -> "Bill":
        """Return the bill with what is open split by weights, due at equal distances."""
        parts = largest_remainder(self.open_minor, weights)
        return replace(
            self,
            instalments=tuple(
                Instalment(due_at=first + number * every, amount_minor=part)
                for number, part in enumerate(parts)
            ),
            settled_before_minor=self.paid_minor + self.waived_minor,
        )


def largest_remainder(amount_minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split an amount by weights, so that the parts sum to it to the fen.

    Each part is rounded down; the fen that are left go one each to the parts with the largest
    remainders, the earlier one first among equals.
    """
    total = sum(weights)
    parts = [amount_minor * weight // total for weight in weights]
    remainders = [amount_minor * weight % total for weight in weights]
    ranked = sorted(range(len(weights)), key=lambda number: -remainders[number])
    for number in ranked[: amount_minor - sum(parts)]:
        parts[number] += 1
    return tuple(parts)
