"""The daily run of a plan: what becomes due, what accrues, when it looks again."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.credit.due_run import next_run_on, run_until
from actors.credit.plan import Conditions, RepaymentPlan, open_plan
from actors.credit.repayment import repaid
from tests.unit.credit.plan_strategies import days_after, opened_plans


def paid_to_its_end(plan: RepaymentPlan) -> tuple[RepaymentPlan, list[int]]:
    """Pay what is due on every day that the plan asks for; return it and what was charged."""
    charged = []
    while plan.is_open:
        day = next_run_on(plan)
        assert day is not None
        run = run_until(plan, day)
        charged.append(run.charged_minor)
        assert run.penalty_minor == 0
        plan = run.plan
        if plan.payable.total_minor:
            plan, _ = repaid(plan, plan.payable.total_minor)
    return plan, charged


@given(opened_plans())
def test_the_terms_of_a_quote_are_those_that_are_billed(plan: RepaymentPlan) -> None:
    """Paid in time, every term is billed with exactly what the plan said on its first day."""
    ended, charged = paid_to_its_end(plan)
    assert [term.charge_minor for term in ended.terms] == [term.charge_minor for term in plan.terms]
    up_front = sum(term.charge_minor for term in plan.terms if term.charged)
    assert sum(charged) + up_front == sum(term.charge_minor for term in plan.terms)
    assert ended.status == "paid"
    assert ended.in_the_books.total_minor == 0
    assert [term.paid_on for term in ended.terms] == [term.due_on for term in plan.terms]


@given(opened_plans(), st.integers(0, 900), st.integers(0, 900))
def test_a_late_run_does_what_the_daily_ones_would(
    plan: RepaymentPlan, first: int, second: int
) -> None:
    """Where a run stops on its way makes no difference to what stands after the last one."""
    stops = sorted((first, second))
    at_once = run_until(plan, days_after(plan, stops[1]))
    before = run_until(plan, days_after(plan, stops[0]))
    after = run_until(before.plan, days_after(plan, stops[1]))
    assert after.plan == at_once.plan
    assert before.charged_minor + after.charged_minor == at_once.charged_minor
    assert before.penalty_minor + after.penalty_minor == at_once.penalty_minor
    assert before.billed + after.billed == at_once.billed


@given(opened_plans(), st.integers(0, 900))
def test_only_the_days_told_change_anything(plan: RepaymentPlan, days: int) -> None:
    """Until the day on which a plan wants to be looked at, nothing is charged and nothing due."""
    plan = run_until(plan, days_after(plan, days)).plan
    wanted = next_run_on(plan)
    if wanted is None:
        # Paid without a payment: nothing was ever due.
        return
    run = run_until(plan, wanted - timedelta(days=1))
    assert (run.charged_minor, run.penalty_minor, run.billed) == (0, 0, ())
    assert run.plan.status == plan.status


@given(opened_plans(), st.integers(0, 900))
def test_penalties_are_exact_to_the_last_day(plan: RepaymentPlan, days: int) -> None:
    """Unpaid, the penalty is overdue principal × rate × days, rounded down once in all."""
    grace = timedelta(days=plan.conditions.grace_days)
    last = days_after(plan, days)
    late = sum(
        term.principal_minor * max((last - (term.due_on + grace)).days, 0) for term in plan.terms
    )
    run = run_until(plan, last)
    assert run.penalty_minor == late * plan.conditions.penalty_ppm_per_day // 10**6
    assert run.plan.penalty_minor == run.penalty_minor


@given(opened_plans(), st.integers(0, 900))
def test_what_is_late_bears_a_penalty_and_no_interest(plan: RepaymentPlan, days: int) -> None:
    """Whoever pays nothing is charged the fees and the interest of whoever pays in time."""
    run = run_until(plan, days_after(plan, days))
    due = [term for term in run.plan.terms if term.due]
    assert [term.charge_minor for term in due] == [
        term.charge_minor for term in plan.terms[: len(due)]
    ]


def _late_plan(day: date) -> RepaymentPlan:
    conditions = Conditions(
        kind="instalment", terms=3, fee_ppm=6_000, penalty_ppm_per_day=500, grace_days=3
    )
    return run_until(open_plan(conditions, 300_000, date(2026, 1, 10)), day).plan


def test_the_days_of_grace_are_free() -> None:
    """A term is in time until its grace is over, and costs a penalty from the day after it."""
    in_time, late = _late_plan(date(2026, 2, 13)), _late_plan(date(2026, 2, 14))
    assert (in_time.status, in_time.penalty_minor) == ("active", 0)
    assert (late.status, late.penalty_minor) == ("overdue", 50)
    assert next_run_on(_late_plan(date(2026, 2, 9))) == date(2026, 2, 10)
    assert next_run_on(in_time) == date(2026, 2, 14)


def test_paying_what_is_late_ends_the_overdue() -> None:
    """Once the late term and its penalty are paid the plan is active, and waits for the next."""
    late = _late_plan(date(2026, 2, 20))
    cured, owed = repaid(late, late.payable.total_minor)
    assert (owed.penalty_minor, owed.charge_minor, owed.principal_minor) == (350, 1_800, 100_000)
    assert cured.status == "active"
    assert next_run_on(cured) == date(2026, 3, 10)


def test_what_is_below_a_minor_unit_is_carried() -> None:
    """A penalty of a third of a minor unit a day is charged on every third day."""
    conditions = Conditions(kind="instalment", terms=3, penalty_ppm_per_day=500, grace_days=0)
    plan = open_plan(conditions, 2_001, date(2026, 1, 10))
    seen = []
    plan = run_until(plan, date(2026, 2, 10)).plan
    for _ in range(9):
        run = run_until(plan, plan.today + timedelta(days=1))
        seen.append(run.penalty_minor)
        plan = run.plan
    assert seen == [0, 0, 1] * 3


def test_principal_comes_first_once_a_term_is_late_for_long() -> None:
    """Up to 90 days late the penalty is paid first, from the 91st the principal."""
    due = date(2026, 2, 10)
    for days, expected in ((90, (True, False)), (91, (False, True))):
        late = _late_plan(due + timedelta(days=days))
        after, owed = repaid(late, 1_000)
        assert (owed.penalty_minor > 0, owed.principal_minor > 0) == expected
        assert owed.total_minor == 1_000
        assert replace(after, today=late.today) == after
