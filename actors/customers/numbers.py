"""Check digits: is this a number that was ever given to anybody?

The errors name the field and the rule, and never the value, which would be in an answer then, and
remembered with it. The digits are calculated by `python-stdnum`.
"""

from datetime import date

from stdnum import luhn
from stdnum.cn import ric, uscc
from stdnum.exceptions import ValidationError

from schemas.errors import InvalidField

__all__ = (
    "checked_card_number",
    "checked_credit_code",
    "checked_identity_number",
    "checked_phone_number",
)


def checked_identity_number(number: str, *, today: date, field: str = "id_number") -> str:
    """Return an identity number in its one form, with a capital X.

    GB 11643: six digits of a region, the date of birth, a number, and a check digit by ISO 7064
    MOD 11-2. Whether the region exists is not asked: regions are made and renamed every year, and
    the tables of them in libraries are behind, so it would turn away people with good cards.
    """
    number = number.upper()
    try:
        right = number[-1] == ric.calc_check_digit(number)
        born = ric.get_birth_date(number)
    except (ValidationError, ValueError):
        raise InvalidField(
            f"{field} is not an identity number: its date of birth is none (GB 11643)", field=field
        ) from None
    if not right:
        raise InvalidField(
            f"{field} is not an identity number: its check digit is wrong (GB 11643)", field=field
        )
    if born > today:
        raise InvalidField(
            f"{field} is not an identity number: its date of birth is to come", field=field
        )
    return number


def checked_credit_code(code: str, *, field: str = "credit_code") -> str:
    """Return a unified social credit code (GB 32100)."""
    if not uscc.is_valid(code) or uscc.compact(code) != code:
        raise InvalidField(
            f"{field} is not a unified social credit code: its form or its check digit is wrong"
            " (GB 32100)",
            field=field,
        )
    return code


def checked_card_number(number: str, *, field: str = "card_number") -> str:
    """Return the number of a card or account whose last digit is right (ISO/IEC 7812, Luhn)."""
    if not luhn.is_valid(number):
        raise InvalidField(
            f"{field} is not the number of a card: its check digit is wrong (Luhn)", field=field
        )
    return number


def checked_phone_number(number: str) -> str:
    """Return a mobile number in its one form, without the country's prefix."""
    return number.removeprefix("+86")
