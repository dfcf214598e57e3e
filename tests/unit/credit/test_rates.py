"""The annualised rate against a calculation of our own."""

from datetime import date
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from actors.credit.plan import Conditions, RepaymentPlan, open_plan
from actors.credit.rates import annual_rate
from tests.unit.credit.plan_strategies import opened_plans


def _monthly(principal: int, payments: tuple[int, ...]) -> Decimal:
    """Return the monthly rate by bisection in decimals, to 25 digits."""
    with localcontext() as context:
        context.prec = 60
        low, high = Decimal(0), Decimal(1)

        def worth(rate: Decimal) -> Decimal:
            value, factor = Decimal(0), 1 / (1 + rate)
            discount = factor
            for payment in payments:
                value += payment * discount
                discount *= factor
            return value

        while worth(high) > principal:
            high *= 2
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if worth(middle) > principal else (low, middle)
        return low


def _payments(plan: RepaymentPlan) -> tuple[int, ...]:
    return tuple(term.principal_minor + term.charge_minor for term in plan.terms)


@given(opened_plans())
def test_the_rate_is_that_of_an_independent_calculation(plan: RepaymentPlan) -> None:
    """Both rates agree with a bisection in decimals, to the last part per million shown."""
    payments = _payments(plan)
    rate = annual_rate(plan.principal_minor, payments)
    monthly = _monthly(plan.principal_minor, payments)
    with localcontext() as context:
        context.prec = 60
        assert abs(monthly * 12 * 10**6 - rate.nominal_ppm) <= Decimal("0.501")
        effective = ((1 + monthly) ** 12 - 1) * 10**6
        # A fee of many times the principal takes more digits than a float has.
        room = Decimal("0.501") + effective * Decimal("1e-9")
        assert abs(effective - rate.effective_ppm) <= room


def test_the_rate_of_a_known_plan() -> None:
    """12 terms at 0.6 % each cost 13.03 % a year, 13.84 % compounded, and not 7.2 %."""
    conditions = Conditions(kind="instalment", terms=12, fee_ppm=6_000)
    plan = open_plan(conditions, 1_200_000, date(2026, 1, 15))
    rate = annual_rate(plan.principal_minor, _payments(plan))
    assert (rate.nominal_ppm, rate.effective_ppm) == (130_342, 138_418)


@given(st.integers(1, 10**11), st.sampled_from([3, 12, 24]))
def test_a_plan_without_cost_has_no_rate(principal: int, terms: int) -> None:
    """Without a fee both rates are zero, whatever the rounding of the solver."""
    plan = open_plan(Conditions(kind="instalment", terms=terms), principal, date(2026, 1, 15))
    rate = annual_rate(principal, _payments(plan))
    assert (rate.nominal_ppm, rate.effective_ppm) == (0, 0)


@given(opened_plans())
def test_a_dearer_plan_shows_a_higher_rate(plan: RepaymentPlan) -> None:
    """Whoever pays more in a term sees a rate that is not lower."""
    payments = _payments(plan)
    dearer = (payments[0] + plan.principal_minor // 100 + 1, *payments[1:])
    assert (
        annual_rate(plan.principal_minor, dearer).nominal_ppm
        > annual_rate(plan.principal_minor, payments).nominal_ppm
    )
