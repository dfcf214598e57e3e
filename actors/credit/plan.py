"""A plan by which a customer repays what was drawn: its conditions, its terms and where it stands.

All of it is plain data, and every step from one plan to the next is a function of the plan and a
day in Shanghai. Amounts are in minor units; what accrues by the day is counted in millionths of a
minor unit, without rounding, and charged in whole ones; what is left is carried on.

::

    active ──a due date and its days of grace pass unpaid──▶ overdue
      ▲──────────────all that was late is paid──────────────────┘
    active, overdue ──the last term is paid──▶ paid
    active, overdue ──all of it is paid before its time──▶ settled
    active, overdue ──the whole principal is refunded and nothing is owed──▶ refunded
"""

from datetime import date, timedelta

import msgspec
from msgspec.structs import replace

from actors.credit.schedule import divided, due_dates, instalment_fee
from actors.regulation.instalments import PPM
from schemas.credit import CreditKind, CreditPlanStatus, FeeMode, LoanMethod

__all__ = (
    "OPEN_STATUSES",
    "Conditions",
    "Owed",
    "PlanTerm",
    "RepaymentPlan",
    "is_late",
    "open_plan",
    "overdue_days",
    "projected",
    "standing",
)

OPEN_STATUSES = ("active", "overdue")


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer consents to; it stays as it was whatever the rules say later.

    An instalment plan has a fee (``fee_ppm`` of the principal for each term), a loan has interest
    (``daily_ppm`` of what is not yet due).
    """

    kind: CreditKind
    terms: int
    method: LoanMethod = "equal_principal"
    fee_mode: FeeMode = "per_term"
    fee_ppm: int = 0
    daily_ppm: int = 0
    penalty_ppm_per_day: int = 0
    grace_days: int = 0
    principal_first_after_days: int = 90


class PlanTerm(msgspec.Struct, frozen=True, kw_only=True):
    """One term: principal, and a charge, which is its fee or its interest.

    ``charged`` says that the charge stands in the books; until then it is what the term will cost
    if nothing else happens. ``due`` says that the term is payable.
    """

    number: int
    due_on: date
    principal_minor: int
    charge_minor: int
    charged: bool = False
    due: bool = False
    principal_paid_minor: int = 0
    charge_paid_minor: int = 0
    paid_on: date | None = None

    @property
    def principal_unpaid(self) -> int:
        """Return the principal that is still to be paid."""
        return self.principal_minor - self.principal_paid_minor

    @property
    def charge_unpaid(self) -> int:
        """Return what is charged and not paid; nothing before it is charged."""
        return self.charge_minor - self.charge_paid_minor if self.charged else 0


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """An amount by what it is for, in minor units."""

    penalty_minor: int = 0
    charge_minor: int = 0
    principal_minor: int = 0

    @property
    def total_minor(self) -> int:
        """Return the sum."""
        return self.penalty_minor + self.charge_minor + self.principal_minor

    def plus(self, other: "Owed") -> "Owed":
        """Return the sum, part by part."""
        return Owed(
            penalty_minor=self.penalty_minor + other.penalty_minor,
            charge_minor=self.charge_minor + other.charge_minor,
            principal_minor=self.principal_minor + other.principal_minor,
        )


class RepaymentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it stands at the beginning of ``today``, the last day that it was brought up to.

    ``refunded_minor`` came back from the payee, and ``returned_minor`` of it went to the customer,
    who had paid that much already. ``interest_micro`` and ``penalty_micro`` are what accrued and is
    not charged yet, in millionths.
    """

    conditions: Conditions
    principal_minor: int
    started_on: date
    today: date
    terms: tuple[PlanTerm, ...]
    status: CreditPlanStatus = "active"
    refunded_minor: int = 0
    returned_minor: int = 0
    interest_micro: int = 0
    penalty_micro: int = 0
    penalty_minor: int = 0
    penalty_paid_minor: int = 0

    @property
    def is_open(self) -> bool:
        """Tell whether anything can still happen to the plan."""
        return self.status in OPEN_STATUSES

    @property
    def undue_principal(self) -> int:
        """Return the principal of the terms that are not due yet."""
        return sum(term.principal_minor for term in self.terms if not term.due)

    @property
    def outstanding_principal(self) -> int:
        """Return the principal that is to be paid, due or not."""
        return sum(term.principal_unpaid for term in self.terms)

    @property
    def in_the_books(self) -> Owed:
        """Return what the line's accounts must show: outstanding principal and unpaid charges."""
        return Owed(
            penalty_minor=self.penalty_minor - self.penalty_paid_minor,
            charge_minor=sum(term.charge_unpaid for term in self.terms),
            principal_minor=self.outstanding_principal,
        )

    @property
    def payable(self) -> Owed:
        """Return what is due and unpaid."""
        due = [term for term in self.terms if term.due]
        return Owed(
            penalty_minor=self.penalty_minor - self.penalty_paid_minor,
            charge_minor=sum(term.charge_unpaid for term in due),
            principal_minor=sum(term.principal_unpaid for term in due),
        )

    @property
    def oldest_due_on(self) -> date:
        """Return the due date of the oldest term that is not paid; today when only a penalty is."""
        unpaid = (
            term.due_on
            for term in self.terms
            if term.due and (term.principal_unpaid or term.charge_unpaid)
        )
        return min(unpaid, default=self.today)

    @property
    def next_term(self) -> PlanTerm | None:
        """Return the first term that is not due yet."""
        return next((term for term in self.terms if not term.due), None)


def open_plan(conditions: Conditions, principal_minor: int, started_on: date) -> RepaymentPlan:
    """Return the plan of an amount drawn on ``started_on``.

    The fee that is charged up front is charged at once, and due with the first term.
    """
    count = conditions.terms
    assert count >= 1
    assert principal_minor >= 1
    if conditions.method == "interest_first":
        parts: tuple[int, ...] = (*[0] * (count - 1), principal_minor)
    else:
        parts = divided(principal_minor, count)
    fee = instalment_fee(principal_minor, count, conditions.fee_ppm)
    up_front = conditions.kind == "instalment" and conditions.fee_mode == "up_front"
    fees = (fee, *[0] * (count - 1)) if up_front else divided(fee, count)
    terms = tuple(
        PlanTerm(
            number=number + 1,
            due_on=due_on,
            principal_minor=parts[number],
            charge_minor=fees[number],
            charged=up_front and number == 0,
        )
        for number, due_on in enumerate(due_dates(started_on, count))
    )
    plan = RepaymentPlan(
        conditions=conditions,
        principal_minor=principal_minor,
        started_on=started_on,
        today=started_on,
        terms=terms,
    )
    return replace(plan, terms=projected(plan))


def projected(plan: RepaymentPlan) -> tuple[PlanTerm, ...]:
    """Return the terms, with the interest that each will cost if every one is paid in time.

    A term's interest is rounded down to the minor unit and what is left goes to the next one; what
    is left at the end is the customer's. The terms of an instalment plan stay as they are.
    """
    if plan.conditions.kind != "loan":
        return plan.terms
    micro, since, undue = plan.interest_micro, plan.today, plan.undue_principal
    terms = []
    for term in plan.terms:
        if term.due:
            terms.append(term)
            continue
        micro += undue * plan.conditions.daily_ppm * (term.due_on - since).days
        charge, micro = divmod(micro, PPM)
        since = term.due_on
        undue -= term.principal_minor
        terms.append(replace(term, charge_minor=charge))
    return tuple(terms)


def is_late(plan: RepaymentPlan, term: PlanTerm, day: date) -> bool:
    """Tell whether a term is due and its days of grace are over on ``day``."""
    return term.due and day > term.due_on + timedelta(days=plan.conditions.grace_days)


def overdue_days(plan: RepaymentPlan) -> int:
    """Return the days since the due date of the oldest term that is late and unpaid, or 0."""
    late = (
        term.due_on
        for term in plan.terms
        if is_late(plan, term, plan.today) and (term.principal_unpaid or term.charge_unpaid)
    )
    oldest = min(late, default=plan.today)
    return (plan.today - oldest).days


def standing(plan: RepaymentPlan) -> RepaymentPlan:
    """Return the plan with the status that its terms come to."""
    if not plan.is_open:
        return plan
    payable = plan.payable.total_minor
    status: CreditPlanStatus = "active"
    if plan.next_term is None and not payable:
        status = "refunded" if plan.refunded_minor == plan.principal_minor else "paid"
    elif overdue_days(plan) or plan.payable.penalty_minor:
        status = "overdue"
    return plan if status == plan.status else replace(plan, status=status)
