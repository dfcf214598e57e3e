"""Disputes: what is suspended, waived and given back, by whom, and by when."""

from typing import Any

import pytest

from plugins.parking.dispute_messages import DisputeDecided
from plugins.parking.state import RECEIPTS_MAX
from tests.unit.plugins.parking_lab import CAR, City, account, at
from zhihui.plugin import (
    Ineligible,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    NotFound,
)

RULES = {"dispute_days": 7, "dispute_hours": 24}


@pytest.fixture(name="city")
def _city() -> City:
    city = City()
    city.lot(
        rules=RULES,
        shares=[{"payee": "land", "ppm": 333_333}, {"payee": "platform", "ppm": 10_000}],
    )
    city.bind(0)
    return city


def stay(city: City, hours: float, lasts: float = 2) -> Any:
    city.enter(hours)
    return city.exit(hours + lasts)


def dispute(city: City, hours: float, name: str = "d", **more: Any) -> Any:
    return city.call(
        "dispute",
        **{
            "plate": CAR,
            "dispute_id": name,
            "lot_id": "lot",
            "entered_at": at(hours),
            "opened_at": city.now,
            "reason": "not_there",
            "evidence": "photo 17",
        }
        | more,
    )


def decide(city: City, decision: str, name: str = "d", **more: Any) -> Any:
    return city.call("decide_dispute", plate=CAR, dispute_id=name, decision=decision, **more)


def test_what_is_disputed_is_not_collected(city: City) -> None:
    """Nor settled, nor does it keep the car out; upheld, it is collected like any other."""
    city.lot(rules=RULES | {"refuse_debt_above_minor": 0})
    stay(city, 8)
    opened = dispute(city, 8)
    assert (opened.kind, opened.amount_minor, opened.due_at) == ("owed", 1_200, at(34))
    city.balances[account(CAR)] = 10_000
    assert city.call("settle", plate=CAR).paid_minor == 0
    assert stay(city, 11, 1).paid_minor == 600
    assert city.call("get", plate=CAR).disputes == ("d",)
    assert decide(city, "uphold").arrears_minor == 1_200
    assert city.call("settle", plate=CAR).paid_minor == 1_200
    assert city.timers == {}


def test_a_charge_is_disputed_once(city: City) -> None:
    """What was decided stands, and what is open is open."""
    stay(city, 8)
    dispute(city, 8)
    with pytest.raises(InvalidState, match="in dispute already"):
        dispute(city, 8, "again")
    decide(city, "uphold")
    with pytest.raises(InvalidState, match="in dispute already"):
        dispute(city, 8)
    with pytest.raises(NotFound):
        decide(city, "uphold")


def test_what_is_owed_is_waived_to_what_the_stay_costs(city: City) -> None:
    """In part, or all of it."""
    stay(city, 8)
    stay(city, 11)
    dispute(city, 8)
    dispute(city, 11, "e")
    decided = decide(city, "waive", fee_minor=200)
    assert (decided.status, decided.waived_minor, decided.arrears_minor) == (
        "waived", 1_000, 1_400,
    )  # fmt: skip
    assert decide(city, "waive", "e").arrears_minor == 200
    assert [one.amount_minor for one in city.vehicle().arrears] == [200]


def test_what_was_paid_is_given_back_by_all_who_had_it(city: City) -> None:
    """Each gives back in proportion, and nobody more than it has had."""
    city.balances[account(CAR)] = 1_200
    stay(city, 8)
    assert [city.balances[one] for one in ("op-lot", "land", "platform")] == [788, 400, 12]
    dispute(city, 8)
    decided = decide(city, "refund", fee_minor=600, evidence="ticket 4")
    assert (decided.status, decided.refunded_minor, decided.by) == ("refunded", 600, "operator")
    assert city.balances == {account(CAR): 600, "op-lot": 394, "land": 200, "platform": 6}


def test_what_was_paid_inside_goes_back_to_who_paid_it(city: City) -> None:
    """First what the exit took, then what somebody else had paid before."""
    city.balances |= {account(CAR): 600, "friend": 600}
    city.enter(8)
    city.until(9)
    city.call("prepay", plate=CAR, lot_id="lot", paid_at=at(9), account_id="friend")
    assert city.exit(10).paid_minor == 600
    assert dispute(city, 8).amount_minor == 1_200
    decide(city, "refund", fee_minor=200)
    assert (city.balances[account(CAR)], city.balances["friend"]) == (600, 400)
    assert sum(city.balances.values()) == 1_200


def test_a_decision_fits_the_charge(city: City) -> None:
    """What is owed is not refunded, and nothing is decided to cost more than it did."""
    stay(city, 8)
    dispute(city, 8)
    with pytest.raises(InvalidState, match="waived"):
        decide(city, "refund")
    with pytest.raises(InvalidField, match="less than"):
        decide(city, "waive", fee_minor=1_200)


def test_an_operator_without_money_decides_later(city: City) -> None:
    """The refund falls as a whole, and the dispute stays open."""
    city.balances[account(CAR)] = 1_200
    stay(city, 8)
    dispute(city, 8)
    city.balances["platform"] = 11
    with pytest.raises(InsufficientFunds):
        decide(city, "refund")
    assert city.balances[account(CAR)] == 0
    city.balances["platform"] = 12
    assert decide(city, "refund").refunded_minor == 1_200


def test_who_does_not_answer_is_wrong(city: City) -> None:
    """At the deadline what is owed is waived, and what was paid is given back."""
    stay(city, 8)
    dispute(city, 8)
    city.until(34)
    assert city.vehicle().arrears == ()
    city.balances[account(CAR)] = 1_200
    stay(city, 40)
    dispute(city, 40)
    city.until(70)
    assert city.balances[account(CAR)] == 1_200
    assert [one.by for one in city.told("dispute_decided") if isinstance(one, DisputeDecided)] == [
        "timer",
        "timer",
    ]


def test_a_refund_that_the_operator_cannot_pay_is_tried_every_day(city: City) -> None:
    """Until it goes; the dispute stays open that long."""
    city.balances[account(CAR)] = 1_200
    stay(city, 8)
    dispute(city, 8)
    city.balances["op-lot"] = 0
    city.until(34 + 2)
    assert city.call("get", plate=CAR).disputes == ("d",)
    city.balances["op-lot"] = 788
    city.until(34 + 25)
    assert city.balances[account(CAR)] == 1_200
    assert not city.timers


def test_a_timer_of_a_decided_dispute_changes_nothing(city: City) -> None:
    """One that comes after the decision, or for an older dispute of that name, is ignored."""
    stay(city, 8)
    dispute(city, 8)
    ((_, timer),) = city.timers.items()
    decide(city, "uphold")
    stay(city, 11)
    dispute(city, 11)
    before = city.vehicle()
    city.fire("vehicle", CAR, timer.body)
    assert city.vehicle() == before


def test_what_can_be_disputed_is_limited(city: City) -> None:
    """By the lot, by days, to charges that are there; and not by a name that is taken."""
    city.lot("none")
    city.enter(5, "none")
    city.exit(6, "none")
    with pytest.raises(Ineligible):
        dispute(city, 5, lot_id="none")
    with pytest.raises(NotFound):
        dispute(city, 5)
    stay(city, 8)
    stay(city, 12)
    dispute(city, 8)
    with pytest.raises(InvalidState, match="is open"):
        dispute(city, 12)
    with pytest.raises(InvalidField, match="taken"):
        dispute(city, 12, "review-1")
    city.until(14 + 7 * 24 + 0.1)
    with pytest.raises(InvalidState, match="until"):
        dispute(city, 12, "late")


def test_the_last_stays_can_be_disputed(city: City) -> None:
    """Receipts are bounded; one that is in dispute is not pushed out."""
    city.balances[account(CAR)] = 100_000
    stay(city, 8)
    dispute(city, 8)
    for number in range(1, RECEIPTS_MAX + 2):
        stay(city, 8 + 2 * number, 1)
    assert len(city.vehicle().receipts) <= RECEIPTS_MAX + 1
    with pytest.raises(NotFound):
        dispute(city, 10, "old")
    assert dispute(city, 8 + 2 * RECEIPTS_MAX, "new").kind == "paid"
    assert decide(city, "refund").refunded_minor == 1_200
