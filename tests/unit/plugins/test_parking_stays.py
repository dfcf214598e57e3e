"""What is done inside a lot: paying before the gate, stamps of shops; and what mandates allow."""

from typing import Any

import pytest

from plugins.parking.state import STAMPS_MAX
from tests.unit.plugins.parking_lab import CAR, OTHER, City, account, at
from zhihui.plugin import (
    HoldExpired,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
)


@pytest.fixture(name="city")
def _city() -> City:
    city = City()
    city.lot(rules={"stamp_minutes_max": 240}, shares=[{"payee": "land", "ppm": 250_000}])
    city.bind(10_000)
    city.balances["shop"] = 10_000
    return city


def shop(city: City, merchant_id: str = "shop", **more: Any) -> None:
    city.call(
        "register_merchant",
        **{"merchant_id": merchant_id, "account_id": "shop", "lots": ["lot"]} | more,
    )


def stamp(city: City, minutes: int = 120, merchant_id: str = "shop") -> Any:
    return city.call("stamp", plate=CAR, merchant_id=merchant_id, minutes=minutes)


# Paying inside.


def test_who_paid_inside_drives_out_within_the_minutes(city: City) -> None:
    """The exit within fifteen minutes moves nothing; a later one takes the difference."""
    city.enter(8)
    city.until(9.9)
    paid = city.call("prepay", plate=CAR, lot_id="lot", paid_at=at(9.9))
    assert (paid.status, paid.paid_minor, paid.leave_by) == ("prepaid", 1_200, at(10.15))
    left = city.exit(10.15)
    assert (left.status, left.fee_minor, left.paid_minor, left.prepaid_minor) == (
        "paid", 1_200, 0, 1_200,
    )  # fmt: skip
    city.enter(12)
    city.until(13.9)
    city.call("prepay", plate=CAR, lot_id="lot", paid_at=at(13.9))
    left = city.exit(13.9 + 0.26)
    assert (left.fee_minor, left.paid_minor, left.prepaid_minor) == (1_800, 600, 1_200)
    assert city.balances == {account(CAR): 7_000, "shop": 10_000, "op-lot": 2_250, "land": 750}


def test_paying_nothing_inside_gives_no_minutes(city: City) -> None:
    """Free minutes cannot be prolonged for ever by paying nothing, nor those after a payment."""
    city.enter(8)
    city.until(8.2)
    free = city.call("prepay", plate=CAR, lot_id="lot", paid_at=at(8.2))
    assert (free.status, free.leave_by) == ("nothing_due", None)
    city.until(8.5)
    first = city.call("prepay", plate=CAR, lot_id="lot", paid_at=at(8.5))
    city.until(8.7)
    again = city.call("prepay", plate=CAR, lot_id="lot", paid_at=at(8.7))
    assert (again.status, again.leave_by) == ("nothing_due", first.leave_by)
    assert city.exit(9.5).paid_minor == 600


def test_anybody_may_pay_inside_for_a_plate(city: City) -> None:
    """Of an unbound plate somebody with a phone; a second account may not go on with it."""
    city.enter(8, plate=OTHER)
    city.until(9)
    moment = {"plate": OTHER, "lot_id": "lot", "paid_at": at(9)}
    with pytest.raises(InvalidState, match="name one"):
        city.call("prepay", **moment)
    with pytest.raises(InsufficientFunds):
        city.call("prepay", **moment, account_id="empty")
    city.call("prepay", **moment, account_id="shop")
    city.until(11)
    with pytest.raises(InvalidState, match="another account"):
        city.call("prepay", **moment | {"paid_at": at(11)}, account_id=account(CAR))
    assert city.exit(11, plate=OTHER).arrears_minor == 1_200
    with pytest.raises(InvalidState, match="not in lot"):
        city.call("prepay", **moment, account_id="shop")


def test_a_payment_before_the_entry_is_refused(city: City) -> None:
    """A machine whose clock is wrong does not take money for a stay that had not begun."""
    city.enter(8)
    with pytest.raises(InvalidField):
        city.call("prepay", plate=CAR, lot_id="lot", paid_at=at(7.9))


# Stamps.


def test_a_shop_pays_for_minutes_when_the_car_leaves(city: City) -> None:
    """The worth is held meanwhile, taken at the exit and shared; the driver pays the rest."""
    shop(city)
    city.enter(8)
    stamped = stamp(city)
    assert (stamped.status, city.held("shop")) == ("stamped", stamped.held_minor)
    left = city.exit(11.5)
    assert (left.fee_minor, left.paid_minor, left.merchant_minor, left.status) == (
        2_400, 1_200, 1_200, "paid",
    )  # fmt: skip
    assert city.held("shop") == 0
    assert city.balances == {account(CAR): 8_800, "shop": 8_800, "op-lot": 1_800, "land": 600}


def test_shop_and_operator_share_the_cost(city: City) -> None:
    """The shop pays its parts per million, down to a fen; the operator forgoes the rest."""
    shop(city, pays_ppm=333_333)
    city.enter(8)
    stamp(city)
    left = city.exit(10)
    assert (left.fee_minor, left.paid_minor, left.merchant_minor, left.discount_minor) == (
        1_200, 0, 399, 801,
    )  # fmt: skip
    assert city.balances["shop"] == 10_000 - 399


def test_several_shops_stamp_one_stay(city: City) -> None:
    """Each takes its minutes off what the one before has left, and none is paid for nothing."""
    shop(city)
    shop(city, "cinema", pays_ppm=0)
    shop(city, "tea", pays_ppm=500_000)
    city.enter(8)
    for minutes, merchant_id in ((60, "shop"), (120, "cinema"), (60, "tea")):
        stamp(city, minutes, merchant_id)
    left = city.exit(10.5)
    assert (left.fee_minor, left.merchant_minor, left.discount_minor, left.paid_minor) == (
        1_800, 600, 1_200, 0,
    )  # fmt: skip
    assert (city.balances["shop"], city.held("shop")) == (9_400, 0)


def test_what_a_shop_may_stamp_is_limited(city: City) -> None:
    """Its own lots, its minutes, once for a stay, what the lot takes, and money behind it."""
    shop(city)
    shop(city, "other", lots=["elsewhere"])
    with pytest.raises(InvalidState, match="in no lot"):
        stamp(city)
    city.enter(8)
    with pytest.raises(InvalidState, match="in no lot"):
        stamp(city, merchant_id="other")
    with pytest.raises(NotFound):
        stamp(city, merchant_id="nobody")
    with pytest.raises(LimitExceeded, match="may stamp 120"):
        stamp(city, 121)
    stamp(city)
    with pytest.raises(InvalidState, match="has stamped"):
        stamp(city)
    for number in range(1, STAMPS_MAX):
        shop(city, f"s{number}")
        stamp(city, 30, f"s{number}")
    shop(city, "late")
    with pytest.raises(LimitExceeded, match="merchants"):
        stamp(city, 30, "late")
    city.exit(9)
    city.balances["shop"] = 0
    city.enter(10)
    with pytest.raises(InsufficientFunds):
        stamp(city)


def test_a_lot_bounds_the_minutes_of_all_shops(city: City) -> None:
    """A lot that says nothing about stamps takes none."""
    city.lot("none")
    shop(city, lots=["lot", "none"], minutes_max=300)
    city.enter(8)
    with pytest.raises(LimitExceeded, match="240 minutes"):
        stamp(city, 241)
    city.exit(9)
    city.enter(10, "none")
    with pytest.raises(LimitExceeded, match="0 minutes"):
        stamp(city, 1)


def test_a_stamp_of_a_free_stay_costs_the_shop_nothing(city: City) -> None:
    """Its hold is given back whole."""
    shop(city)
    city.enter(8)
    stamp(city)
    assert city.exit(8.2).status == "free"
    assert (city.balances["shop"], city.held("shop")) == (10_000, 0)


def test_a_stamp_goes_with_its_hold(city: City) -> None:
    """When the hold runs out after three days, the shop has its money and the driver pays all."""
    shop(city)
    city.enter(8)
    stamp(city)
    hold = ("vehicle", CAR, city.vehicle().session.stamps[0].hold)  # type: ignore[union-attr]
    city.until(8 + 73)
    # What a host does at that time, in one commit with the handler.
    city.void(hold)

    city.fire("vehicle", CAR, HoldExpired(name=hold[2]))
    assert len(city.told("stamp_expired")) == 1
    assert city.call("get", plate=CAR).stay.stamped_minutes == 0
    left = city.exit(8 + 73)
    assert left.merchant_minor == 0
    assert left.status == "unpaid"


def test_a_shop_whose_account_is_closed_locks_nobody_in(city: City) -> None:
    """The exit stands, and the driver owes what the shop should have paid."""
    shop(city)
    city.enter(8)
    stamp(city)
    city.closed.add("shop")
    left = city.exit(10)
    assert (left.status, left.merchant_minor, left.arrears_minor) == ("unpaid", 0, 1_200)


def test_a_lost_exit_costs_no_shop_anything(city: City) -> None:
    """Seen elsewhere, the car owes for the stay, and the hold is given back."""
    shop(city)
    city.lot("b")
    city.enter(8)
    stamp(city)
    assert city.enter(10, "b").lost_exit.fee_minor == 1_200
    assert (city.balances["shop"], city.held("shop")) == (10_000, 0)


def test_a_lost_exit_stands_though_a_hold_is_gone(city: City) -> None:
    """An entry does not fail for a hold that was resolved without the pack."""
    shop(city)
    city.lot("b")
    city.enter(8)
    stamp(city)
    city.void(("vehicle", CAR, city.vehicle().session.stamps[0].hold))  # type: ignore[union-attr]
    assert city.enter(10, "b").status == "entered"


def test_what_was_paid_inside_comes_off_a_lost_exit(city: City) -> None:
    """One day's cap is the most for both together."""
    city.lot("b")
    city.enter(8)
    city.until(9)
    city.call("prepay", plate=CAR, lot_id="lot", paid_at=at(9))
    assert city.enter(80, "b").lost_exit.fee_minor == 4_000 - 600


def test_the_hold_covers_free_minutes_that_come_back(city: City) -> None:
    """Fifty minutes may be worth two hours: without them the stay would have been free."""
    shop(city)
    city.enter(8)
    stamp(city, 50)
    left = city.exit(8 + 65 / 60)
    assert (left.fee_minor, left.merchant_minor, left.discount_minor) == (1_200, 1_200, 0)


# Mandates.


def test_a_mandate_caps_what_one_exit_deducts(city: City) -> None:
    """What is above it is owed, and the owner may still settle it by asking."""
    city.bind(10_000, mandate={"session_cap_minor": 1_500})
    city.enter(8)
    assert city.exit(11).status == "unpaid"
    city.enter(12)
    left = city.exit(13)
    assert (left.status, left.paid_minor, left.arrears_minor) == ("paid", 600, 1_800)
    assert city.call("settle", plate=CAR).paid_minor == 1_800


def test_a_mandate_caps_a_day_of_the_lot(city: City) -> None:
    """The next day begins anew at the lot's midnight."""
    city.bind(10_000, mandate={"day_cap_minor": 1_200})
    statuses = []
    for hours in (8, 10, 12, 24 + 8):
        city.enter(hours)
        statuses.append(city.exit(hours + 1).paid_minor)
    assert statuses == [600, 600, 0, 1_200]


def test_a_mandate_names_lots_and_ends(city: City) -> None:
    """Another lot, and any lot after its end, deducts nothing."""
    city.lot("b")
    city.bind(10_000, mandate={"lots": ["lot"], "until": at(24).isoformat()})
    city.enter(8)
    assert city.exit(9).status == "paid"
    city.enter(10, "b")
    assert city.exit(11, "b").status == "unpaid"
    city.enter(12)
    left = city.exit(13)
    assert (left.paid_minor, left.arrears_minor) == (600, 600)
    city.enter(23)
    assert city.exit(24).status == "unpaid"


def test_a_revoked_binding_deducts_nothing(city: City) -> None:
    """What is owed stays owed; there is nothing to revoke twice."""
    city.enter(8)
    city.call("unbind", plate=CAR)
    left = city.exit(9)
    assert (left.status, city.balances[account(CAR)]) == ("unpaid", 10_000)
    with pytest.raises(InvalidState):
        city.call("unbind", plate=CAR)
    city.bind(10_000)
    assert city.vehicle().mandate is None
    city.enter(10)
    assert city.exit(11).paid_minor == 1_200


# Settling.


def test_arrears_of_one_lot_are_settled_alone(city: City) -> None:
    """And by anybody who pays for them; the rest is still owed."""
    city.lot("b")
    for hours, lot in ((8, "lot"), (10, "b"), (12, "lot")):
        city.enter(hours, lot, plate=OTHER)
        city.exit(hours + 1, lot, plate=OTHER)
    settled = city.call("settle", plate=OTHER, lot_id="lot", account_id="shop")
    assert (settled.paid_minor, settled.arrears_minor) == (1_200, 600)
    assert [one.lot_id for one in city.vehicle(OTHER).arrears] == ["b"]
    assert city.balances["land"] == 300
