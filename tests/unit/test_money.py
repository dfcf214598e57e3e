"""Money on the wire."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import UnsupportedCurrency
from schemas.money import CNY, MAX_AMOUNT_MINOR, AmountMinor, check_currency


class _Bill(msgspec.Struct):
    amount_minor: AmountMinor


def _decode(text: str) -> int:
    return msgspec.json.decode(f'{{"amount_minor":{text}}}', type=_Bill).amount_minor


def test_the_largest_amount_is_exact_everywhere() -> None:
    """The limit is exact in a JavaScript number, and a day's sum of it fits a bigint."""
    assert MAX_AMOUNT_MINOR < 2**53
    assert MAX_AMOUNT_MINOR * 10**5 < 2**63


@given(st.integers(1, MAX_AMOUNT_MINOR))
def test_every_amount_in_range_is_read_exactly(amount: int) -> None:
    """An amount within the limits is read as the integer that was written."""
    assert _decode(str(amount)) == amount


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-1",
        str(MAX_AMOUNT_MINOR + 1),
        str(2**53),
        str(2**53 + 1),
        str(2**63),
        str(-(2**63) - 1),
        str(10**400),
        "1.5",
        "1e400",
        "NaN",
        "Infinity",
        '"100"',
        "true",
        "null",
        "[1]",
        "{}",
    ],
)
def test_other_amounts_are_refused(text: str) -> None:
    """Zero, negative, huge, fractional and mistyped amounts never become an amount."""
    with pytest.raises(msgspec.MsgspecError):
        _decode(text)


def test_yuan_is_kept() -> None:
    """The one currency that is kept passes."""
    check_currency(CNY)


@pytest.mark.parametrize("currency", ["USD", "cny", "", "CNY ", "CNY\n", "人民币", "\x00"])
def test_other_currencies_are_refused(currency: Any) -> None:
    """Any other currency is a typed error that names the field and the value."""
    with pytest.raises(UnsupportedCurrency) as raised:
        check_currency(currency)
    assert raised.value.field == "currency"
    assert repr(currency) in raised.value.message
