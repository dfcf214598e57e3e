"""Invented people and companies with numbers that pass every check, as many as are wanted.

The bundled reference is the first of them; a demonstration or a load test makes more. They are born
between 1901 and 1910, before the first identity card was given out, and their phone numbers begin
with 140, which no network has for people.
"""

from datetime import date, timedelta

from stdnum import luhn
from stdnum.cn import ric, uscc

from actors.customers.reference_source import (
    Reference,
    ReferenceCard,
    ReferenceCompany,
    ReferencePerson,
)

__all__ = ("PEOPLE_MAX", "sample_company", "sample_person", "sample_reference")

# As many as have phone numbers of their own.
PEOPLE_MAX = 1_000_000

_FIRST_BIRTHDAY = date(1901, 1, 1)
_BIRTHDAYS = 3_652
_REGIONS = ("110101", "310101", "440106", "510104", "330106", "420106", "610103", "370202")
_SURNAMES = "李王张刘陈杨赵黄周吴徐孙马朱胡郭何林高罗"
_GIVEN = ("雷", "梅", "建国", "秀英", "志强", "丽华", "永安", "春生", "文静", "海峰", "晓明")
_TRADES = ("停车服务", "农产品批发", "物业管理", "餐饮管理", "自来水", "燃气", "教育科技")
_CITIES = ("北京", "上海", "广州", "成都", "杭州", "武汉", "西安", "青岛")
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def sample_person(number: int) -> ReferencePerson:
    """Return the person with a number from 0; each has a card of class I, some have others."""
    assert 0 <= number < PEOPLE_MAX
    born = _FIRST_BIRTHDAY + timedelta(days=number % _BIRTHDAYS)
    order = 1 + number // _BIRTHDAYS
    digits = f"{_REGIONS[number % len(_REGIONS)]}{born:%Y%m%d}{order:03d}"
    cards = [_card(f"629999{number:012d}", "class_1")]
    if number % 3 == 0:
        cards.append(_card(f"629998{number:09d}", "credit"))
    if number % 5 == 0:
        cards.append(_card(f"629997{number:012d}", "class_2"))
    return ReferencePerson(
        name=_SURNAMES[number % len(_SURNAMES)] + _GIVEN[number % len(_GIVEN)],
        id_number=digits + ric.calc_check_digit(f"{digits}0"),
        phone=f"14000{number:06d}",
        cards=tuple(cards),
    )


def _card(digits: str, kind: str) -> ReferenceCard:
    number = digits + luhn.calc_check_digit(digits)
    assert kind in ("class_1", "credit", "class_2")
    return ReferenceCard(number=number, kind=kind, bank="Sandbox Bank")  # type: ignore[arg-type]


def sample_company(number: int) -> ReferenceCompany:
    """Return the company with a number from 0; the person with the same number acts for it."""
    organisation = f"{90_000_000 + number:08d}"
    total = sum(int(one) * w for one, w in zip(organisation, _ORGANISATION_WEIGHTS, strict=True))
    check = "0123456789X0"[11 - total % 11]
    # 9: registered by the market regulator; 1: an enterprise.
    code = f"91{_REGIONS[number % len(_REGIONS)]}{organisation}{check}"
    city = _CITIES[number % len(_CITIES)]
    return ReferenceCompany(
        credit_code=code + uscc.calc_check_digit(code),
        name=f"{city}{_TRADES[number % len(_TRADES)]}{number}号有限公司",
        status="in_business",
        representative_name=sample_person(number).name,
    )


def sample_reference(people: int, companies: int) -> Reference:
    """Return the first people and companies as a reference."""
    return Reference(
        people=tuple(sample_person(number) for number in range(people)),
        companies=tuple(sample_company(number) for number in range(companies)),
    )
