"""What a plan is made of on its first day."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.credit.plan import Conditions, RepaymentPlan, open_plan
from actors.credit.schedule import add_months, divided, due_dates, instalment_fee
from tests.unit.credit.plan_strategies import AMOUNTS, STARTS, TERMS, opened_plans


@given(AMOUNTS, TERMS)
def test_equal_parts_with_the_remainder_on_the_last(amount: int, terms: int) -> None:
    """All parts but the last are equal, the last is not smaller, and the sum is the whole."""
    parts = divided(amount, terms)
    assert len(parts) == terms
    assert sum(parts) == amount
    assert set(parts[:-1]) == {parts[0]}
    assert parts[0] <= parts[-1] < parts[0] + terms


@given(opened_plans())
def test_the_terms_of_a_plan_sum_to_its_principal(plan: RepaymentPlan) -> None:
    """The principal of the terms is the amount drawn, and nothing of them is negative."""
    assert sum(term.principal_minor for term in plan.terms) == plan.principal_minor
    assert len(plan.terms) == plan.conditions.terms
    assert all(term.principal_minor >= 0 and term.charge_minor >= 0 for term in plan.terms)
    assert [term.number for term in plan.terms] == list(range(1, len(plan.terms) + 1))


@given(AMOUNTS, TERMS, st.integers(0, 20_000), STARTS)
def test_a_fee_costs_the_same_up_front_and_by_the_term(
    amount: int, terms: int, fee_ppm: int, start: date
) -> None:
    """Both modes charge the one fee of the whole plan, which is exact to half a minor unit."""
    fees = []
    for mode in ("per_term", "up_front"):
        conditions = Conditions(kind="instalment", terms=terms, fee_mode=mode, fee_ppm=fee_ppm)
        fees.append(sum(term.charge_minor for term in open_plan(conditions, amount, start).terms))
    assert fees[0] == fees[1] == instalment_fee(amount, terms, fee_ppm)
    assert abs(2 * 10**6 * fees[0] - 2 * amount * fee_ppm * terms) <= 10**6


@given(AMOUNTS, TERMS, st.integers(1, 700), STARTS)
def test_the_interest_of_a_loan_is_that_of_its_days(
    amount: int, terms: int, daily_ppm: int, start: date
) -> None:
    """With the principal at the end, interest is principal × rate × days, rounded down once."""
    conditions = Conditions(kind="loan", terms=terms, method="interest_first", daily_ppm=daily_ppm)
    plan = open_plan(conditions, amount, start)
    days = (plan.terms[-1].due_on - start).days
    assert sum(term.charge_minor for term in plan.terms) == amount * daily_ppm * days // 10**6


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2026, 1, 31), 2, date(2026, 3, 31)),
        (date(2027, 11, 30), 3, date(2028, 2, 29)),
        (date(2026, 12, 15), 1, date(2027, 1, 15)),
        (date(2026, 2, 28), 24, date(2028, 2, 28)),
    ],
)
def test_months_are_clipped_at_their_end(start: date, months: int, expected: date) -> None:
    """A due date is the same day of the month, or the month's last when it is shorter."""
    assert add_months(start, months) == expected


@given(STARTS, TERMS)
def test_due_dates_are_a_month_apart(start: date, terms: int) -> None:
    """There is one due date in each month after the start, in order, on the day of the start."""
    dates = due_dates(start, terms)
    months = [day.year * 12 + day.month for day in (start, *dates)]
    assert months == list(range(months[0], months[0] + terms + 1))
    assert all(day.day == start.day or (day.day < start.day and day.day >= 28) for day in dates)
