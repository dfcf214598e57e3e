"""Passes: buying and renewing, several plates on fewer places, and what happens at their end."""

from random import Random
from typing import Any

import msgspec
import pytest

from plugins.parking.pass_messages import PlaceGiven
from tests.unit.plugins.parking_lab import CAR, GREEN, OTHER, City, at
from zhihui.plugin import Ineligible, InsufficientFunds, InvalidField, InvalidState, NotFound

PLANS = [
    {"plan_id": "one", "months": 1, "price_minor": 30_000},
    {"plan_id": "family", "months": 1, "price_minor": 40_000, "places": 1, "plates_max": 3},
]
FAMILY = [CAR, OTHER, GREEN]
CARD = "card-1"


@pytest.fixture(name="city")
def _city() -> City:
    city = City()
    city.lot(plans=PLANS, shares=[{"payee": "land", "ppm": 500_000}])
    city.balances["anna"] = 100_000
    for plate in FAMILY:
        city.bind(20_000, plate)
    return city


def buy(city: City, plan: str = "one", plates: list[str] | None = None, **more: Any) -> Any:
    bought = city.call(
        "buy_pass",
        **{
            "pass_id": CARD,
            "lot_id": "lot",
            "plan_id": plan,
            "account_id": "anna",
            "plates": plates or [CAR],
            "from_day": "2026-06-15",
        }
        | more,
    )
    city.deliver()
    return bought


def test_a_pass_is_paid_and_covers_stays(city: City) -> None:
    """Its price is shared like any payment; then stays of its plate cost nothing there alone."""
    bought = buy(city)
    assert bought.valid_until == at(30 * 24)
    assert [city.balances[one] for one in ("anna", "op-lot", "land")] == [70_000, 15_000, 15_000]
    assert city.enter(8).pass_id == CARD
    left = city.exit(20)
    assert (left.status, left.fee_minor, left.pass_id) == ("free", 0, CARD)
    city.lot("b")
    city.enter(21, "b")
    assert city.exit(22.5, "b").fee_minor == 800


def test_a_pass_that_cannot_be_sold_is_not(city: City) -> None:
    """No money, no such plan, too many plates, one twice, sold before, years ahead."""
    city.balances["poor"] = 29_999
    with pytest.raises(InsufficientFunds):
        buy(city, account_id="poor")
    assert ("pass", CARD) not in city.documents
    for more, error in (
        ({"plan_id": "none"}, NotFound),
        ({"lot_id": "none"}, NotFound),
        ({"plates": [CAR, OTHER]}, InvalidField),
        ({"plan_id": "family", "plates": [CAR, CAR]}, InvalidField),
        ({"from_day": "2027-07-01"}, InvalidField),
    ):
        with pytest.raises(error):
            buy(city, **more)
    buy(city)
    with pytest.raises(InvalidState, match="renew"):
        buy(city)
    with pytest.raises(NotFound):
        city.call("get_pass", pass_id=CARD[::-1])


def test_an_expired_pass_falls_to_the_casual_tariff(city: City) -> None:
    """During a stay up to its end only; afterwards it is not looked at."""
    buy(city)
    last_evening = 30 * 24 - 2
    city.enter(last_evening)
    left = city.exit(last_evening + 4)
    assert (left.fee_minor, left.status, left.pass_id) == (400, "paid", CARD)
    expired = city.enter(last_evening + 12)
    assert expired.pass_id is msgspec.UNSET
    assert city.exit(last_evening + 13).fee_minor == 600
    city.lot(plans=PLANS, rules={"pass_only": True})
    with pytest.raises(Ineligible):
        city.enter(last_evening + 14)


def test_a_renewal_goes_on_from_the_end(city: City) -> None:
    """Also during a stay; a gap is allowed, an overlap is not, and the end of a month is kept."""
    buy(city, from_day="2026-01-31")
    renewed = city.call("renew_pass", pass_id=CARD, account_id="anna", from_day="2026-05-31")
    city.deliver()
    assert renewed.valid_until == at(15 * 24)
    city.enter(8)
    renewed = city.call("renew_pass", pass_id=CARD, account_id="anna")
    city.deliver()
    assert (renewed.valid_from, renewed.valid_until) == (at(-15 * 24), at(45 * 24))
    assert city.exit(20 * 24).fee_minor == 0
    assert city.balances["anna"] == 10_000
    with pytest.raises(InvalidField, match="paid until"):
        city.call("renew_pass", pass_id=CARD, account_id="anna", from_day="2026-07-01")


def test_a_pass_bought_inside_covers_from_its_day(city: City) -> None:
    """What was parked before the pass began is casual."""
    city.enter(20)
    buy(city, from_day="2026-06-16")
    assert city.exit(40).fee_minor == 600 * 2 + 200 * 2


def test_a_pass_bought_inside_moves_the_car_in_the_count(city: City) -> None:
    """It came in as a casual car, frees that place, and goes out as one with a pass."""
    city.lot(plans=PLANS, rules={"capacity": 1})
    city.enter(8)
    buy(city)
    assert (city.count().casual, city.count().passes) == (0, 1)
    assert city.exit(12).status == "free"
    assert (city.count().casual, city.count().passes) == (0, 0)


def test_plates_are_changed(city: City) -> None:
    """A plate that is taken off pays from its next stay on; the one that is put on does not."""
    buy(city)
    city.enter(8)
    city.call("change_plates", pass_id=CARD, plates=[OTHER])
    city.deliver()
    assert city.exit(9).fee_minor == 0
    city.enter(10)
    city.enter(10, plate=OTHER)
    assert (city.exit(11).fee_minor, city.exit(11, plate=OTHER).fee_minor) == (600, 0)
    assert city.call("get", plate=CAR).passes == ()
    assert [one.pass_id for one in city.call("get", plate=OTHER).passes] == [CARD]


def test_news_of_a_pass_may_come_in_any_order(city: City) -> None:
    """The newest revision stands, whichever message is the last."""
    first = {"lot_id": "lot", "plan_id": "one", "plates": [CAR], "from_day": "2026-06-15"}
    city.call("buy_pass", pass_id=CARD, account_id="anna", **first)
    city.call("renew_pass", pass_id=CARD, account_id="anna")
    assert len(city.sent) == 2
    city.sent.reverse()
    city.deliver()
    (held,) = city.vehicle().passes
    assert (held.revision, held.valid_until) == (2, city.season(CARD).valid_until)


def test_a_lot_for_passes_keeps_others_out(city: City) -> None:
    """And a full one lets passes in, whose places are not counted with those of casual cars."""
    city.lot("lot", plans=PLANS, rules={"pass_only": True, "capacity": 1})
    with pytest.raises(Ineligible, match="for passes"):
        city.enter(8)
    buy(city)
    city.enter(9)
    assert (city.count().casual, city.count().passes) == (0, 1)
    city.lot("lot", plans=PLANS, rules={"capacity": 1})
    city.enter(10, plate=OTHER)
    city.exit(11)
    assert city.enter(12).status == "entered"
    assert (city.count().casual, city.count().passes) == (1, 1)


def test_of_a_shared_pass_the_second_car_is_casual(city: City) -> None:
    """It pays until the first has left, and has the place from that moment on."""
    buy(city, "family", FAMILY)
    city.enter(8)
    city.enter(9, plate=OTHER)
    stays = [city.call("get", plate=plate).stay.pass_state for plate in (CAR, OTHER)]
    assert stays == ["placed", "queued"]
    assert city.exit(11).fee_minor == 0
    stays = [city.call("get", plate=OTHER).stay.pass_state]
    assert stays == ["placed"]
    assert city.exit(20, plate=OTHER).fee_minor == 2 * 600
    assert (city.season(CARD).inside, city.season(CARD).queue) == ((), ())


def test_who_leaves_the_queue_pays_all(city: City) -> None:
    """And the place goes to the next one when it comes free, not to the one that left."""
    buy(city, "family", FAMILY)
    for hours, plate in ((8, CAR), (9, OTHER), (9.5, GREEN)):
        city.enter(hours, plate=plate)
    assert city.exit(10, plate=OTHER).fee_minor == 600
    city.exit(11.5)
    assert city.exit(15, plate=GREEN).fee_minor == 2 * 600


def test_a_stay_that_ends_before_the_answer_is_covered(city: City) -> None:
    """And the place is free again, though the exit was heard of before the entry."""
    buy(city, "family", FAMILY)
    city.until(8.5)
    city.call("enter", plate=CAR, lot_id="lot", entered_at=at(8))
    asking = city.sent.pop()
    assert city.call("exit", plate=CAR, lot_id="lot", left_at=at(8.5)).fee_minor == 0
    city.deliver()
    assert len(city.season(CARD).gone) == 1
    city.sent.append(asking)
    city.deliver()
    season = city.season(CARD)
    assert (season.inside, season.queue, season.gone) == ((), (), ())


def test_news_of_a_queue_does_not_take_a_place_away(city: City) -> None:
    """A stay that has its place keeps it, though the older news comes after the newer."""
    buy(city, "family", FAMILY)
    city.enter(8)
    city.enter(9, plate=OTHER)
    queued = PlaceGiven(
        request_id="late", plate=OTHER, pass_id=CARD, entered_at=at(9), state="queued", since=at(9)
    )
    city.exit(10)
    city.send("give_place", msgspec.json.encode(queued))
    assert city.exit(20, plate=OTHER).fee_minor == 600


def test_a_lost_ticket_costs_nothing_with_a_pass(city: City) -> None:
    """Its entry was not read, but the pass was paid."""
    city.lot(plans=PLANS, rules={"lost_ticket_minor": 3_000})
    buy(city)
    assert city.exit(9).status == "free"
    assert city.exit(9, plate=OTHER).fee_minor == 3_000


@pytest.mark.parametrize("seed", range(20))
def test_places_are_never_given_twice(seed: int) -> None:
    """However messages overtake each other, no more cars have places than there are."""
    random = Random(seed)  # noqa: S311 - a story that anybody can repeat
    city = City()
    city.lot(plans=[{"plan_id": "family", "price_minor": 1, "places": 2, "plates_max": 3}])
    city.balances["anna"] = 1
    buy(city, "family", FAMILY)
    inside: set[str] = set()
    for step in range(60):
        plate = random.choice(FAMILY)
        moment = {"plate": plate, "lot_id": "lot"}
        city.until(1 + step)
        if plate in inside:
            city.call("exit", **moment, left_at=at(1 + step))
        else:
            city.call("enter", **moment, entered_at=at(1 + step))
        inside ^= {plate}
        if random.random() < 0.7:
            city.deliver(random)
        assert len(city.season(CARD).inside) <= 2
    city.deliver(random)
    season = city.season(CARD)
    assert {one.plate for one in (*season.inside, *season.queue)} == inside
    assert len(season.inside) == min(2, len(inside))
    for place in season.inside:
        session = city.vehicle(place.plate).session
        assert session is not None
        assert session.cover is not None
        assert session.cover.state == "placed"


def test_a_plate_on_too_many_passes_is_told(city: City) -> None:
    """The fifth pass in force is refused; one that has ended makes room."""
    for number in range(5):
        city.balances["anna"] = 30_000
        buy(city, pass_id=f"p{number}")
    assert len(city.told("pass_refused")) == 1
    city.until(31 * 24)
    city.balances["anna"] = 30_000
    buy(city, pass_id=CARD, from_day="2026-07-16")
    assert CARD in {ref.pass_id for ref in city.vehicle().passes}
