"""Rules of eligibility, one condition at a time."""

from typing import Any

import pytest

from actors.channels.routing.eligibility import Eligibility
from schemas.routing import EligibilityRule, RoutedPayment
from tests.unit.routing.routing_lab import CHANNELS, offers, payment


def _excluded(asked: RoutedPayment, **rule: Any) -> dict[str, str]:
    return Eligibility((EligibilityRule(name="r1", **rule),)).excluded(asked, offers())


@pytest.mark.parametrize(
    ("condition", "inside", "outside"),
    [
        ({"methods": ("quick",)}, payment(), payment(method="seamless")),
        ({"apps": ("campus", "market")}, payment(app="market"), payment(app="parking")),
        ({"payee_types": ("person",)}, payment(payee_type="person"), payment(payee_type="")),
        ({"amount_min_minor": 100}, payment(amount_minor=100), payment(amount_minor=99)),
        ({"amount_max_minor": 100}, payment(amount_minor=100), payment(amount_minor=101)),
        ({"hour_from": 9, "hour_to": 17}, payment(hour=17), payment(hour=18)),
        ({"hour_from": 23, "hour_to": 1}, payment(hour=0), payment(hour=2)),
        ({"hour_from": 5, "hour_to": 5}, payment(hour=5), payment(hour=4)),
    ],
)
def test_each_condition_divides(
    condition: dict[str, Any], inside: RoutedPayment, outside: RoutedPayment
) -> None:
    """A rule excludes the channel it names from the payments that match, or from all others."""
    named = {**condition, "channels": ("alipay",)}
    assert _excluded(inside, effect="exclude", **named).keys() == {"alipay"}
    assert _excluded(outside, effect="exclude", **named) == {}
    assert _excluded(inside, effect="require", **named) == {}
    assert _excluded(outside, effect="require", **named).keys() == {"alipay"}


def test_a_rule_that_names_no_channel_concerns_all() -> None:
    """Without channels a rule takes every one of them."""
    assert _excluded(payment(), effect="exclude", apps=("campus",)).keys() == set(CHANNELS)


def test_all_conditions_of_a_rule_must_hold() -> None:
    """Two conditions exclude only what matches both."""
    rule: dict[str, Any] = {"effect": "exclude", "methods": ("quick",), "amount_min_minor": 1_000}
    assert _excluded(payment(amount_minor=1_000), **rule)
    assert not _excluded(payment(amount_minor=999), **rule)
    assert not _excluded(payment(amount_minor=1_000, method="seamless"), **rule)


def test_the_reason_names_the_rule_and_what_it_asks() -> None:
    """The first rule that excludes a channel is the reason, in words that an operator wrote."""
    rules = (
        EligibilityRule(
            name="big-ones", effect="require", channels=("alipay", "wechat"),
            methods=("quick", "seamless"), amount_max_minor=50_000,
        ),
        EligibilityRule(name="night", effect="exclude", channels=("alipay",), hour_from=0,
                        hour_to=23),
    )  # fmt: skip
    found = Eligibility(rules).excluded(payment(amount_minor=60_000), offers())
    said = "rule big-ones allows it only for method quick or seamless and amount_minor <= 50000"
    assert found == {"alipay": said, "wechat": said}
    assert Eligibility(rules).excluded(payment(), offers()) == {
        "alipay": "rule night excludes it for hour 0-23"
    }
