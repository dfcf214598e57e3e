"""Ending a plan early and refunding its purchase, at any point of any plan."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from actors.credit.due_run import run_until
from actors.credit.plan import Conditions, RepaymentPlan, open_plan
from actors.credit.refund import refunded
from actors.credit.repayment import payoff, repaid, settled
from tests.unit.credit.plan_strategies import days_after, opened_plans


@st.composite
def plans_under_way(draw: st.DrawFn) -> RepaymentPlan:
    """Return a plan of which some was paid, and some perhaps refunded, by some day."""
    plan = draw(opened_plans())
    day = plan.started_on
    for _ in range(draw(st.integers(0, 5))):
        day += timedelta(days=draw(st.integers(0, 120)))
        plan = run_until(plan, day).plan
        payable = plan.payable.total_minor
        match draw(st.sampled_from(["pay", "pay all", "refund", "wait"])):
            case "pay" if payable:
                plan, _ = repaid(plan, draw(st.integers(1, payable)))
            case "pay all" if payable:
                plan, _ = repaid(plan, payable)
            case "refund" if plan.refunded_minor < plan.principal_minor:
                most = plan.principal_minor - plan.refunded_minor
                plan = refunded(plan, draw(st.integers(1, most))).plan
            case _:
                pass
    return plan


def _paid_principal(plan: RepaymentPlan) -> int:
    return sum(term.principal_paid_minor for term in plan.terms)


def assert_consistent(plan: RepaymentPlan) -> None:
    """Fail unless the plan accounts for every minor unit of its principal."""
    owed = plan.in_the_books
    assert min(owed.penalty_minor, owed.charge_minor, owed.principal_minor) >= 0
    for term in plan.terms:
        assert 0 <= term.principal_paid_minor <= term.principal_minor
        assert 0 <= term.charge_paid_minor <= max(term.charge_minor, 0)
    reduced = plan.refunded_minor - plan.returned_minor
    assert plan.principal_minor == _paid_principal(plan) + owed.principal_minor + reduced
    assert 0 <= plan.returned_minor <= plan.refunded_minor <= plan.principal_minor
    assert plan.returned_minor <= _paid_principal(plan)
    if not plan.is_open:
        assert owed.total_minor == 0


@given(plans_under_way())
def test_every_minor_unit_of_the_principal_is_somewhere(plan: RepaymentPlan) -> None:
    """Paid, outstanding and refunded principal make the amount drawn, whatever happened."""
    assert_consistent(plan)


@given(plans_under_way(), st.integers(0, 400))
def test_early_settlement_ends_a_plan_for_what_it_said(plan: RepaymentPlan, days: int) -> None:
    """On any day the payoff is all principal and the charges so far, and nothing is left."""
    plan = run_until(plan, days_after(plan, (plan.today - plan.started_on).days + days)).plan
    if not plan.is_open:
        return
    told = payoff(plan)
    early = plan.next_term is not None
    after, owed, charged_now = settled(plan)
    assert owed == told
    assert owed.principal_minor == plan.outstanding_principal
    assert owed.penalty_minor == plan.in_the_books.penalty_minor
    assert owed.charge_minor == plan.in_the_books.charge_minor + charged_now
    assert_consistent(after)
    assert not after.is_open
    assert (after.status == "settled") is early
    whole = sum(term.charge_minor for term in plan.terms)
    assert sum(term.charge_minor for term in after.terms) <= whole


@given(plans_under_way(), st.data())
def test_a_refund_takes_from_the_end_and_never_raises_anything(
    plan: RepaymentPlan, data: st.DataObject
) -> None:
    """What a refund does not pay back is returned, and no term costs more than before it."""
    most = plan.principal_minor - plan.refunded_minor
    if not most:
        return
    amount = data.draw(st.integers(1, most))
    result = refunded(plan, amount)
    after = result.plan
    assert_consistent(after)
    assert result.reduced_minor + result.returned_minor == amount
    assert result.reduced_minor == plan.outstanding_principal - after.outstanding_principal
    if plan.is_open:
        assert result.returned_minor == 0 or after.outstanding_principal == 0
    before = {term.number: term for term in plan.terms}
    for term in after.terms:
        assert term.principal_minor <= before[term.number].principal_minor
        if plan.conditions.kind == "instalment" or term.due:
            assert term.charge_minor <= before[term.number].charge_minor
    assert sum(t.charge_minor for t in after.terms) <= sum(t.charge_minor for t in plan.terms)
    # What is due stays due unless nothing else is left to reduce.
    if after.undue_principal:
        assert after.payable == plan.payable


@given(opened_plans())
def test_a_full_refund_on_the_first_day_undoes_the_plan(plan: RepaymentPlan) -> None:
    """Nothing is owed after it but a fee that was charged up front."""
    result = refunded(plan, plan.principal_minor)
    charged = plan.in_the_books.charge_minor
    assert (result.reduced_minor, result.returned_minor) == (plan.principal_minor, 0)
    assert result.plan.in_the_books.total_minor == charged
    assert (result.plan.status == "refunded") is (charged == 0)


@given(opened_plans(), st.integers(0, 900), st.data())
def test_refunds_in_parts_reduce_as_much_as_one(
    plan: RepaymentPlan, days: int, data: st.DataObject
) -> None:
    """Two refunds on one day leave the principal, and return what, one of their sum would."""
    plan = run_until(plan, days_after(plan, days)).plan
    if plan.principal_minor < 2:
        return
    first = data.draw(st.integers(1, plan.principal_minor - 1))
    second = data.draw(st.integers(1, plan.principal_minor - first))
    parts = refunded(refunded(plan, first).plan, second).plan
    whole = refunded(plan, first + second).plan
    assert parts.outstanding_principal == whole.outstanding_principal
    assert parts.returned_minor == whole.returned_minor
    assert [t.principal_minor for t in parts.terms] == [t.principal_minor for t in whole.terms]
    assert [t.charge_minor for t in parts.terms] == [t.charge_minor for t in whole.terms]


def _instalments(fee_mode: str = "per_term") -> RepaymentPlan:
    conditions = Conditions(kind="instalment", terms=6, fee_ppm=6_000, fee_mode=fee_mode)  # type: ignore[arg-type]
    return open_plan(conditions, 600_000, date(2026, 1, 10))


def test_fees_of_terms_that_have_not_begun_are_not_charged() -> None:
    """On a due date only what is billed costs a fee, on the day after the next term does too."""
    on_due = run_until(_instalments(), date(2026, 3, 10)).plan
    assert payoff(on_due).charge_minor == 2 * 3_600
    day_after = run_until(on_due, date(2026, 3, 11)).plan
    assert payoff(day_after).charge_minor == 3 * 3_600
    assert payoff(_instalments()).charge_minor == 3_600
    assert payoff(_instalments("up_front")).charge_minor == 6 * 3_600


def test_a_loan_that_is_settled_costs_the_days_so_far() -> None:
    """Ten days of a loan cost ten days of interest, and the day of the draw itself nothing."""
    conditions = Conditions(kind="loan", terms=12, daily_ppm=100)
    plan = open_plan(conditions, 1_200_000, date(2026, 1, 10))
    assert payoff(plan).charge_minor == 0
    plan = run_until(plan, date(2026, 1, 20)).plan
    assert payoff(plan).charge_minor == 10 * 120
    assert payoff(plan).principal_minor == 1_200_000


def test_a_refund_shortens_the_plan_and_cheapens_what_is_left() -> None:
    """Half of the purchase refunded: the last three terms go, the fee of the others is halved."""
    plan = run_until(_instalments(), date(2026, 2, 10)).plan
    after = refunded(plan, 300_000).plan
    assert [term.principal_minor for term in after.terms] == [100_000] * 3
    assert [term.charge_minor for term in after.terms] == [3_600, 1_800, 1_800]


def test_what_was_paid_beyond_is_returned() -> None:
    """A full refund when four terms are paid returns them, and cancels the rest."""
    plan = _instalments()
    for month in (2, 3, 4, 5):
        plan = run_until(plan, date(2026, month, 10)).plan
        plan, _ = repaid(plan, plan.payable.total_minor)
    result = refunded(plan, 600_000)
    assert (result.reduced_minor, result.returned_minor) == (200_000, 400_000)
    assert result.plan.status == "refunded"


def test_the_interest_so_far_outlives_a_full_refund() -> None:
    """The days that a loan was used are billed with the term under way, and nothing after it."""
    conditions = Conditions(kind="loan", terms=12, daily_ppm=100, method="interest_first")
    plan = run_until(open_plan(conditions, 1_200_000, date(2026, 1, 10)), date(2026, 1, 20)).plan
    after = refunded(plan, 1_200_000).plan
    assert [(term.number, term.charge_minor) for term in after.terms] == [(1, 1_200)]
    due = run_until(after, date(2026, 2, 10)).plan
    assert due.payable.charge_minor == 1_200
    ended, _ = repaid(due, 1_200)
    assert ended.status == "refunded"
