"""What a coupon takes off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.rewards.discount import check_discount, discount_on
from schemas.errors import InvalidField
from schemas.rewards import PPM, Discount


@pytest.mark.parametrize(
    ("discount", "spent", "off"),
    [
        (Discount(face_minor=500, spend_min_minor=2_000), 1_999, 0),
        (Discount(face_minor=500, spend_min_minor=2_000), 2_000, 500),
        (Discount(face_minor=500), 300, 300),
        (Discount(rate_ppm=100_000, cap_minor=800), 1_239, 123),
        (Discount(rate_ppm=100_000, cap_minor=800), 8_001, 800),
        (Discount(rate_ppm=100_000, cap_minor=800), 9, 0),
    ],
)
def test_discounts(discount: Discount, spent: int, off: int) -> None:
    """Face values need the minimum spend; percentages are rounded down and capped."""
    check_discount(discount)
    assert discount_on(discount, spent) == off


@given(
    spent=st.integers(1, 10**9),
    rate=st.integers(1, PPM),
    cap=st.integers(1, 10**6),
    least=st.integers(0, 10**6),
)
def test_a_percentage_stays_in_its_bounds(spent: int, rate: int, cap: int, least: int) -> None:
    """Never above the cap, the purchase or the percentage, and less than a fen below it."""
    off = discount_on(Discount(rate_ppm=rate, cap_minor=cap, spend_min_minor=least), spent)
    assert 0 <= off <= min(cap, spent)
    if spent < least:
        assert off == 0
    elif off < cap:
        assert 0 <= spent * rate - off * PPM < PPM


@pytest.mark.parametrize(
    "discount",
    [
        Discount(),
        Discount(face_minor=1, rate_ppm=1, cap_minor=1),
        Discount(rate_ppm=1),
        Discount(face_minor=1, cap_minor=1),
    ],
)
def test_a_discount_says_what_it_is(discount: Discount) -> None:
    """Exactly one of face value and percentage; a cap belongs to the percentage."""
    with pytest.raises(InvalidField):
        check_discount(discount)
