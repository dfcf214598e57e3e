"""The document of a student: all that one person has, owes and may spend.

Everything of a student is in one document, because one message may touch all of it: a purchase
takes from a subsidy, then from the wallet, and collects old debts with the same money.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

from .bill import Bill
from .fields import Category

__all__ = (
    "CHARGED_MAX",
    "COLLECTED_MAX",
    "DEBTS_MAX",
    "ENDED_MAX",
    "GRANTS_MAX",
    "SPENT_DAYS_MAX",
    "Charged",
    "DaySpent",
    "Debt",
    "Grant",
    "GuardianLink",
    "Student",
    "merged_debts",
)

# Sales that a student may owe one by one. Further ones of the same payee are added to its newest,
# so the list stays short however long a terminal was offline; three meals a day make 16 in a week.
DEBTS_MAX = 16
# Debts that one plan collects, the oldest ones: what a change may hold is bounded.
COLLECTED_MAX = 40
# Sales that are remembered to know them again when a terminal reports them twice, once online and
# once offline. The terminal's own list catches all that come later than a moment after each other;
# these are about three weeks of one student.
CHARGED_MAX = 112
# Days whose spending is known, for the daily cap. Older ones are not capped any more.
SPENT_DAYS_MAX = 8
# Subsidies at a time. Real ones are a living grant, a holiday grant and a work-study allowance.
GRANTS_MAX = 8
# Names of bills and subsidies that are over, kept so that none of them comes to life again.
ENDED_MAX = 64


class GuardianLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may pay for a student and set the cap; ``self`` is a student of age."""

    guardian_id: str
    relation: Literal["father", "mother", "guardian", "self"] = "guardian"


class DaySpent(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought on a day of the school, in minor units, whoever's money it was."""

    day: date
    amount_minor: int


class Debt(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be taken from the wallet: an entry of the overdraft list.

    ``ref`` is ``<terminal>:<sequence>``; ``sales`` counts the sales that were added together.
    """

    ref: str
    payee: str
    amount_minor: int
    purchased_at: datetime
    sales: int = 1


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A subsidy: money of the fund that is held for this student.

    ``hold`` is the name of the hold and of the timer that ends it.
    """

    grant_id: str
    hold: str
    left_minor: int
    purpose: Category
    expires_at: datetime


class Charged(msgspec.Struct, frozen=True, kw_only=True):
    """A sale that was charged; ``ref`` is ``<terminal>:<sequence>``."""

    purchased_at: datetime
    ref: str
    amount_minor: int


class Student(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of a student.

    ``revision`` is that of the roster that the entry comes from. ``grants`` are in the order in
    which they are spent, ``debts`` in the order in which they are collected, both by date.
    """

    student_id: str
    school_id: str
    class_id: str
    name: str
    guardians: tuple[GuardianLink, ...]
    revision: int
    status: Literal["active", "left"] = "active"
    wallet: str | None = None
    day_cap_minor: int | None = None
    spent: tuple[DaySpent, ...] = ()
    debts: tuple[Debt, ...] = ()
    grants: tuple[Grant, ...] = ()
    grants_given: int = 0
    grants_ended: tuple[str, ...] = ()
    bills: tuple[Bill, ...] = ()
    bills_ended: tuple[str, ...] = ()
    charged: tuple[Charged, ...] = ()

    @property
    def debts_minor(self) -> int:
        """Return the sum of the overdraft list."""
        return sum(debt.amount_minor for debt in self.debts)

    @property
    def grants_minor(self) -> int:
        """Return what is left of all subsidies."""
        return sum(grant.left_minor for grant in self.grants)

    @property
    def bills_minor(self) -> int:
        """Return what is open of all bills."""
        return sum(bill.open_minor for bill in self.bills)

    def bill(self, bill_id: str) -> Bill | None:
        """Return the open bill of that name, or None."""
        return next((bill for bill in self.bills if bill.bill_id == bill_id), None)

    def has_guardian(self, guardian_id: str) -> bool:
        """Tell whether the roster names this guardian."""
        return any(link.guardian_id == guardian_id for link in self.guardians)

    def sale(self, ref: str) -> Charged | None:
        """Return the sale of that name, if it is among those remembered."""
        return next((charged for charged in self.charged if charged.ref == ref), None)

    def spent_minor(self, day: date) -> int:
        """Return what was bought on a day, as far as that is still known."""
        return next((spent.amount_minor for spent in self.spent if spent.day == day), 0)

    def with_sale(
        self, ref: str, purchased_at: datetime, day: date, amount_minor: int
    ) -> "Student":
        """Return the student with a sale noted; of many the newest are kept, in any order."""
        spent = {one.day: one.amount_minor for one in self.spent}
        spent[day] = spent.get(day, 0) + amount_minor
        sale = Charged(purchased_at=purchased_at, ref=ref, amount_minor=amount_minor)
        return replace(
            self,
            spent=tuple(
                DaySpent(day=one, amount_minor=spent[one])
                for one in sorted(spent)[-SPENT_DAYS_MAX:]
            ),
            charged=tuple(sorted((*self.charged, sale), key=_moment)[-CHARGED_MAX:]),
        )

    def with_bill(self, bill: Bill) -> "Student":
        """Return the student with the bill in its new shape; a settled one is open no longer."""
        others = tuple(one for one in self.bills if one.bill_id != bill.bill_id)
        if bill.open_minor:
            ordered = sorted((*others, bill), key=lambda one: (one.due_at, one.bill_id))
            return replace(self, bills=tuple(ordered))
        ended = (*self.bills_ended, bill.bill_id)[-ENDED_MAX:]
        return replace(self, bills=others, bills_ended=ended)

    def without_grant(self, hold: str) -> "Student":
        """Return the student without a subsidy that is over."""
        over = tuple(grant.grant_id for grant in self.grants if grant.hold == hold)
        return replace(
            self,
            grants=tuple(grant for grant in self.grants if grant.hold != hold),
            grants_ended=(*self.grants_ended, *over)[-ENDED_MAX:],
        )


def merged_debts(debts: Iterable[Debt], new: Debt) -> tuple[Debt, ...]:
    """Return the overdraft list with one more entry, the oldest first.

    In a full list it is added to the newest entry of the same payee, if there is one.
    """
    listed = list(debts)
    same = [debt for debt in listed if debt.payee == new.payee]
    if len(listed) >= DEBTS_MAX and same:
        newest = same[-1]
        listed[listed.index(newest)] = replace(
            newest, amount_minor=newest.amount_minor + new.amount_minor, sales=newest.sales + 1
        )
        return tuple(listed)
    return tuple(sorted((*listed, new), key=_moment))


def _moment(one: Debt | Charged) -> tuple[datetime, str]:
    return one.purchased_at, one.ref
