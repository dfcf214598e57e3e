"""The daily run of a plan: terms become due, interest accrues, what is late costs a penalty.

What a run does depends on the plan and on the day alone, so a run that was missed for a week does
in one go what seven would have done, and no operation has to wait for the timer: each brings its
plan up to the day first.
"""

from datetime import date, timedelta

import msgspec
from msgspec.structs import replace

from actors.credit.plan import PlanTerm, RepaymentPlan, is_late, standing
from actors.regulation.instalments import PPM

__all__ = ("DueRun", "next_day", "next_run_on", "run_until")

_ONE_DAY = timedelta(days=1)


class DueRun(msgspec.Struct, frozen=True, kw_only=True):
    """The plan after a run, and what the run added to it.

    ``charged_minor`` are fees or interest, ``billed`` the numbers of the terms that became due.
    """

    plan: RepaymentPlan
    charged_minor: int = 0
    penalty_minor: int = 0
    billed: tuple[int, ...] = ()


def run_until(plan: RepaymentPlan, day: date) -> DueRun:
    """Bring an open plan up to the beginning of ``day``; an earlier one changes nothing."""
    run = DueRun(plan=plan)
    while run.plan.is_open and run.plan.today < day:
        run = next_day(run)
    return run


def next_day(run: DueRun) -> DueRun:
    """Begin the day after the plan's: interest of the night, terms that are due, penalty."""
    plan = run.plan
    conditions = plan.conditions
    today = plan.today + _ONE_DAY
    micro = plan.interest_micro + plan.undue_principal * conditions.daily_ppm
    charged = run.charged_minor
    terms: list[PlanTerm] = []
    billed: list[int] = []
    for term in plan.terms:
        if term.due or term.due_on > today:
            terms.append(term)
            continue
        charge = term.charge_minor
        if conditions.kind == "loan":
            # Rounded down; what is left is carried to the next term.
            charge, micro = divmod(micro, PPM)
        if not term.charged:
            charged += charge
        billed.append(term.number)
        # A term in which nothing is to be paid is paid on its day.
        nothing = not (term.principal_unpaid or charge > term.charge_paid_minor)
        terms.append(
            replace(
                term,
                charge_minor=charge,
                charged=True,
                due=True,
                paid_on=today if nothing else None,
            )
        )
    plan = replace(plan, today=today, terms=tuple(terms), interest_micro=micro)
    late = sum(term.principal_unpaid for term in plan.terms if is_late(plan, term, today))
    # Rounded down, and what is left is carried to the next day.
    penalty, micro = divmod(plan.penalty_micro + late * conditions.penalty_ppm_per_day, PPM)
    plan = replace(plan, penalty_minor=plan.penalty_minor + penalty, penalty_micro=micro)
    return DueRun(
        plan=standing(plan),
        charged_minor=charged,
        penalty_minor=run.penalty_minor + penalty,
        billed=(*run.billed, *billed),
    )


def next_run_on(plan: RepaymentPlan) -> date | None:
    """Return the day on which the plan has to be looked at again, or None.

    That is its next due date, and every day while something is payable: its grace may end, a
    penalty accrue, or an automatic repayment find the money that it did not find the day before.
    """
    if not plan.is_open:
        return None
    if plan.payable.total_minor:
        return plan.today + _ONE_DAY
    return min((term.due_on for term in plan.terms if not term.due), default=None)
