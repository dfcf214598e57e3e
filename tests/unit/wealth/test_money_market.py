"""The income of a money-market fund: exact to the hundred-millionth of a fen, and conserved."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.wealth.money_market import CARRY_PER_FEN, daily_income, seven_day_yield
from schemas.wealth import RATE_MAX

_UNITS = st.integers(0, 10**13)
_RATES = st.integers(0, RATE_MAX)


def test_income_is_what_the_published_figure_says() -> None:
    """10,000 units at 0.5312 yuan earn 53 fen, and 0.12 fen are carried."""
    income = daily_income(1_000_000, 5_312)
    assert (income.income_minor, Fraction(income.carried, CARRY_PER_FEN)) == (53, Fraction(12, 100))


@given(units=_UNITS, rate=_RATES)
def test_income_is_rounded_down(units: int, rate: int) -> None:
    """A holder gets the whole fen of what an independent calculation in yuan gives."""
    yuan = Decimal(units) / 100 / 10_000 * Decimal(rate) / 10_000
    income = daily_income(units, rate)
    assert income.income_minor == int(yuan * 100)
    assert 0 <= income.carried < CARRY_PER_FEN


@given(days=st.lists(st.tuples(_UNITS, _RATES), max_size=40))
def test_nothing_is_lost_over_days(days: list[tuple[int, int]]) -> None:
    """What was credited and what is carried add up to what the units earned, whatever the days."""
    credited = carried = 0
    for units, rate in days:
        income = daily_income(units, rate, carried)
        credited, carried = credited + income.income_minor, income.carried
    assert credited * CARRY_PER_FEN + carried == sum(units * rate for units, rate in days)


@given(holders=st.lists(_UNITS, min_size=1, max_size=50), rate=_RATES)
def test_holders_together_get_what_the_fund_earned(holders: list[int], rate: int) -> None:
    """Of a day's accrual at most a fen for each holder is carried, and none is made up."""
    incomes = [daily_income(units, rate) for units in holders]
    whole = daily_income(sum(holders), rate)
    credited = sum(one.income_minor for one in incomes)
    carried = sum(one.carried for one in incomes)
    assert credited * CARRY_PER_FEN + carried == (
        whole.income_minor * CARRY_PER_FEN + whole.carried
    )
    assert 0 <= whole.income_minor - credited < len(holders)


@pytest.mark.parametrize(
    ("units", "rate", "carried"), [(-1, 1, 0), (1, -1, 0), (1, 1, -1), (1, 1, CARRY_PER_FEN)]
)
def test_nonsense_is_refused(units: int, rate: int, carried: int) -> None:
    """No income is made of what cannot be."""
    with pytest.raises(ValueError, match="no income"):
        daily_income(units, rate, carried)


def test_seven_day_yield_is_the_disclosed_formula() -> None:
    """0.5 yuan a day on 10,000 is 1.8417 % a year, compounded daily."""
    assert seven_day_yield([5_000] * 7) == round(((1 + 0.5 / 10_000) ** 365 - 1) * 1_000_000)
    with pytest.raises(ValueError, match="7 days"):
        seven_day_yield([5_000] * 6)


@given(rates=st.lists(_RATES, min_size=7, max_size=7))
def test_the_order_of_the_days_does_not_matter(rates: list[int]) -> None:
    """The yield is that of the product of the days, and grows with each of them."""
    assert seven_day_yield(rates) == seven_day_yield(sorted(rates))
    assert seven_day_yield([rate + 1000 for rate in rates]) > seven_day_yield(rates)
