"""What a repayment pays for, and what it costs to end a plan before its time."""

from datetime import date

from msgspec.structs import replace

from actors.credit.due_run import DueRun, next_day
from actors.credit.plan import Owed, PlanTerm, RepaymentPlan, overdue_days, standing
from actors.regulation.instalments import PPM

__all__ = ("payoff", "repaid", "run_paying", "settled")


def repaid(plan: RepaymentPlan, amount_minor: int) -> tuple[RepaymentPlan, Owed]:
    """Return the plan after a repayment on its day, and what the repayment was for.

    Penalty first, then fees or interest, then principal, the oldest term first in each; once the
    oldest term is late by more days than the conditions say, principal comes first and the penalty
    last. The amount is at most what is payable.
    """
    assert 0 < amount_minor <= plan.payable.total_minor
    rest = amount_minor
    penalty = 0
    terms = {term.number: term for term in plan.terms}

    def pay_penalty() -> None:
        nonlocal rest, penalty
        penalty = min(rest, plan.penalty_minor - plan.penalty_paid_minor)
        rest -= penalty

    def pay_charges() -> None:
        nonlocal rest
        for term in [term for term in terms.values() if term.due]:
            part = min(rest, term.charge_unpaid)
            rest -= part
            terms[term.number] = replace(term, charge_paid_minor=term.charge_paid_minor + part)

    def pay_principal() -> None:
        nonlocal rest
        for term in [term for term in terms.values() if term.due]:
            part = min(rest, term.principal_unpaid)
            rest -= part
            paid = term.principal_paid_minor + part
            terms[term.number] = replace(term, principal_paid_minor=paid)

    if overdue_days(plan) > plan.conditions.principal_first_after_days:
        order = (pay_principal, pay_charges, pay_penalty)
    else:
        order = (pay_penalty, pay_charges, pay_principal)
    for pay in order:
        pay()
    assert not rest
    after = replace(
        plan,
        terms=tuple(_noted(plan, term) for term in terms.values()),
        penalty_paid_minor=plan.penalty_paid_minor + penalty,
    )
    return standing(after), _difference(plan.payable, after.payable)


def run_paying(plan: RepaymentPlan, day: date) -> tuple[DueRun, RepaymentPlan, Owed]:
    """Run a plan until ``day``, paying on each day whatever is payable then.

    So whoever repays automatically owes nothing more because the bank was out for some days. Return
    the run with the plan as it stood before the last payment, the plan after it, and all that was
    paid.
    """
    run, after, paid = DueRun(plan=plan), plan, Owed()
    while after.is_open and (after.today < day or after.payable.total_minor):
        if after.today < day:
            run = next_day(replace(run, plan=after))
            after = run.plan
        if after.payable.total_minor:
            after, part = repaid(after, after.payable.total_minor)
            paid = paid.plus(part)
    return run, after, paid


def payoff(plan: RepaymentPlan) -> Owed:
    """Return what ends the plan on its day: all principal, and the charges up to that day.

    Of a fee that means the terms that have begun: the first one begins with the plan, each other
    one on the day after the due date before it. The fee of later terms is not charged; one that was
    charged up front is not given back. Interest is that of the days that have passed.
    """
    _, owed, _ = settled(plan)
    return owed


def settled(plan: RepaymentPlan) -> tuple[RepaymentPlan, Owed, int]:
    """Return the plan ended on its day, what was paid for that, and what of it was charged now."""
    terms = []
    charged_now = 0
    for term in plan.terms:
        charge = term.charge_minor
        if not term.charged:
            charge = _begun_charge(plan) if term is plan.next_term else 0
            charged_now += charge
        terms.append(
            replace(
                term,
                charge_minor=charge,
                charged=True,
                due=True,
                principal_paid_minor=term.principal_minor,
                charge_paid_minor=charge,
                paid_on=term.paid_on or plan.today,
            )
        )
    before = plan.in_the_books
    owed = replace(before, charge_minor=before.charge_minor + charged_now)
    early = plan.next_term is not None
    after = replace(plan, terms=tuple(terms), penalty_paid_minor=plan.penalty_minor)
    # What is below a minor unit is dropped.
    after = replace(after, interest_micro=0, penalty_micro=0)
    return replace(after, status="settled") if early else standing(after), owed, charged_now


def _begun_charge(plan: RepaymentPlan) -> int:
    """Return what the term that is under way costs if it ends today."""
    if plan.conditions.kind == "loan":
        return plan.interest_micro // PPM
    due = [term.due_on for term in plan.terms if term.due]
    begun = not due or plan.today > max(due)
    term = plan.next_term
    return term.charge_minor if term is not None and begun else 0


def _noted(plan: RepaymentPlan, term: PlanTerm) -> PlanTerm:
    open_ = not term.due or term.principal_unpaid or term.charge_unpaid
    return term if open_ or term.paid_on else replace(term, paid_on=plan.today)


def _difference(before: Owed, after: Owed) -> Owed:
    return Owed(
        penalty_minor=before.penalty_minor - after.penalty_minor,
        charge_minor=before.charge_minor - after.charge_minor,
        principal_minor=before.principal_minor - after.principal_minor,
    )
