"""Plans of every kind, as hypothesis draws them."""

from datetime import date, timedelta

from hypothesis import strategies as st

from actors.credit.plan import Conditions, RepaymentPlan, open_plan
from actors.regulation.instalments import CREDIT_RULES

__all__ = ("AMOUNTS", "CONDITIONS", "STARTS", "TERMS", "days_after", "opened_plans")

TERMS = st.sampled_from([price.terms for price in CREDIT_RULES.instalment.prices])
STARTS = st.dates(date(2024, 1, 1), date(2027, 12, 31))
# Far below any minimum as well, where a part is nothing and the remainder is all.
AMOUNTS = st.one_of(st.integers(1, 50), st.integers(51, 5_000_000), st.integers(1, 10**11))

_INSTALMENTS = st.builds(
    Conditions,
    kind=st.just("instalment"),
    terms=TERMS,
    fee_mode=st.sampled_from(["per_term", "up_front"]),
    fee_ppm=st.one_of(st.just(0), st.integers(1, 20_000)),
    penalty_ppm_per_day=st.integers(0, 1_000),
    grace_days=st.integers(0, 5),
)
_LOANS = st.builds(
    Conditions,
    kind=st.just("loan"),
    terms=TERMS,
    method=st.sampled_from(["equal_principal", "interest_first"]),
    daily_ppm=st.one_of(st.just(0), st.integers(1, 700)),
    penalty_ppm_per_day=st.integers(0, 1_000),
    grace_days=st.integers(0, 5),
)
CONDITIONS = st.one_of(_INSTALMENTS, _LOANS)


@st.composite
def opened_plans(draw: st.DrawFn) -> RepaymentPlan:
    """Return a plan on the day that it begins."""
    return open_plan(draw(CONDITIONS), draw(AMOUNTS), draw(STARTS))


def days_after(plan: RepaymentPlan, days: int) -> date:
    """Return a day counted from the plan's first."""
    return plan.started_on + timedelta(days=days)
