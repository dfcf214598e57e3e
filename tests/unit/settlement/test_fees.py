"""Fees in parts per million, rounded half up to the fen."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.settlement.fees import NO_FEE, fee_of, fee_rate_for, half_up
from schemas.merchants import PPM, FeeRate
from schemas.money import MAX_AMOUNT_MINOR


@given(amount=st.integers(0, MAX_AMOUNT_MINOR), ppm=st.integers(0, PPM))
def test_a_share_is_rounded_half_up(amount: int, ppm: int) -> None:
    """It is what exact decimal arithmetic gives, rounded half up."""
    exact = Decimal(amount) * Decimal(ppm) / Decimal(PPM)
    assert half_up(amount, ppm) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("amount", "rate", "fee"),
    [
        (10_000, FeeRate(ppm=3_800), 38),
        (125, FeeRate(ppm=4_000), 1),  # 0.5 goes up
        (124, FeeRate(ppm=4_000), 0),  # 0.496 goes down
        (10_000, FeeRate(ppm=3_800, min_minor=50), 50),
        (100_000_000, FeeRate(ppm=3_800, max_minor=8_000), 8_000),
        (1, FeeRate(ppm=0, min_minor=50), 1),
        (0, FeeRate(ppm=3_800, min_minor=50), 0),
        (10_000, NO_FEE, 0),
        (10_000, FeeRate(ppm=PPM), 10_000),
    ],
)
def test_fees_as_a_person_would_work_them_out(amount: int, rate: FeeRate, fee: int) -> None:
    """Rate, least, most, and never more than the payment."""
    assert fee_of(amount, rate) == fee


@given(
    amount=st.integers(0, MAX_AMOUNT_MINOR),
    ppm=st.integers(0, PPM),
    least=st.integers(0, 10**6),
    most=st.none() | st.integers(0, 10**6),
)
def test_a_fee_stays_within_its_bounds(amount: int, ppm: int, least: int, most: int | None) -> None:
    """A fee is never negative, never above the payment, and never above its most."""
    fee = fee_of(amount, FeeRate(ppm=ppm, min_minor=least, max_minor=most))
    assert 0 <= fee <= amount
    assert most is None or fee <= most


def test_a_method_has_its_own_rate() -> None:
    """A named method has its rate, others the default, and without one there is no fee."""
    rates = {"qr_static": FeeRate(ppm=2_000)}
    assert fee_rate_for("qr_static", rates, FeeRate(ppm=6_000)).ppm == 2_000
    assert fee_rate_for("quick", rates, FeeRate(ppm=6_000)).ppm == 6_000
    assert fee_rate_for("quick", rates, None) == NO_FEE
