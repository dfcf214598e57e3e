"""Check digits, compared with the standards' own formulas written out here."""

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.customers.numbers import (
    checked_card_number,
    checked_credit_code,
    checked_identity_number,
    checked_phone_number,
)
from schemas.errors import InvalidField

_TODAY = date(2026, 11, 25)

# GB 11643, table 1: the weights of the first 17 places, and the digit for each remainder.
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_DIGIT_OF_REMAINDER = "10X98765432"
# GB 32100: the characters by value, and the weights of the first 17 places.
_CODE_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CODE_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def _identity_digit(digits: str) -> str:
    total = sum(int(one) * weight for one, weight in zip(digits, _WEIGHTS, strict=True))
    return _DIGIT_OF_REMAINDER[total % 11]


def _luhn_digit(digits: str) -> str:
    total = 0
    for place, one in enumerate(reversed(digits)):
        doubled = int(one) * 2 if place % 2 == 0 else int(one)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def _code_digit(code: str) -> str:
    total = sum(
        _CODE_CHARACTERS.index(one) * weight
        for one, weight in zip(code, _CODE_WEIGHTS, strict=True)
    )
    return _CODE_CHARACTERS[(31 - total % 31) % 31]


_IDENTITIES = st.builds(
    lambda region, born, order: f"{region:06d}{born:%Y%m%d}{order:03d}",
    st.integers(110_000, 659_999),
    st.dates(date(1900, 1, 1), _TODAY),
    st.integers(1, 999),
)
_CODES = st.builds(
    str.__add__,
    st.text("0123456789", min_size=8, max_size=8),
    st.text(_CODE_CHARACTERS, min_size=9, max_size=9),
)


def _taken(check: Callable[[str], str], number: str) -> str:
    """Return the last character if the number passes, else nothing; the error must not tell it."""
    try:
        return check(number)[-1]
    except InvalidField as error:
        message = error.message
    assert number[:-1] not in message
    return ""


def _identity(number: str) -> str:
    return checked_identity_number(number, today=_TODAY)


@given(_IDENTITIES)
def test_the_right_digit_of_an_identity_number_is_the_standards(digits: str) -> None:
    """Of the eleven possible last characters exactly the one by GB 11643 is taken."""
    taken = "".join(_taken(_identity, digits + last) for last in "0123456789X")
    assert taken == _identity_digit(digits)


@given(st.text("0123456789", min_size=11, max_size=18))
def test_the_right_digit_of_a_card_is_luhns(digits: str) -> None:
    """Of ten last digits exactly one is taken."""
    taken = "".join(_taken(checked_card_number, digits + last) for last in "0123456789")
    assert taken == _luhn_digit(digits)


@given(_CODES)
def test_the_right_character_of_a_credit_code_is_the_standards(code: str) -> None:
    """Of 31 last characters exactly the one by GB 32100 is taken."""
    taken = "".join(_taken(checked_credit_code, code + last) for last in _CODE_CHARACTERS)
    assert taken == _code_digit(code)


def test_a_small_x_is_the_same_number() -> None:
    """An identity number has one form, so that it is found however it was typed."""
    assert checked_identity_number("11010519491231002x", today=_TODAY) == "11010519491231002X"


@pytest.mark.parametrize("born", ["20261126", "19000230", "19991301", "00000101"])
def test_a_date_of_birth_has_to_be_one(born: str) -> None:
    """A number with a day that never was, or is to come, is refused by its field's name alone."""
    digits = f"110101{born}001"
    with pytest.raises(InvalidField, match="date of birth") as caught:
        checked_identity_number(digits + _identity_digit(digits), today=_TODAY)
    assert caught.value.field == "id_number"
    assert born not in caught.value.message


def test_regions_younger_than_the_tables_are_taken() -> None:
    """A district of 2021 is on identity cards, whatever a library's table says."""
    digits = "33011320210501001"
    number = digits + _identity_digit(digits)
    assert checked_identity_number(number, today=_TODAY) == number


def test_phone_numbers_have_one_form() -> None:
    """With and without the country's prefix it is the same number."""
    assert checked_phone_number("+8613812341234") == checked_phone_number("13812341234")
