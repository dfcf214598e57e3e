"""Lots and their gates: hours, capacity, shares, lost and late messages."""

import pytest

from plugins.parking.gate_clock import CLOCK_SKEW_MAX
from tests.unit.plugins.parking_lab import CAR, OTHER, TARIFF, City, account, at
from zhihui.plugin import Ineligible, InvalidField, InvalidState, LimitExceeded, NotFound


@pytest.fixture(name="city")
def _city() -> City:
    return City()


def test_a_plain_visit_takes_nothing_but_its_payment(city: City) -> None:
    """Without rules of the lot, an entry has no effects and an exit has its payment alone."""
    city.lot()
    city.bind(5_000)
    city.enter(8)
    assert [plan.effects for plan in city.plans] == [()]
    city.exit(10)
    assert [len(plan.effects) for plan in city.plans] == [1, 0]
    assert not city.timers
    assert not city.sent


def test_shares_are_passed_on_with_each_payment(city: City) -> None:
    """Landlord and platform have their parts per million, the operator the rest, to the fen."""
    city.lot(shares=[{"payee": "land", "ppm": 333_333}, {"payee": "platform", "ppm": 20_000}])
    city.bind(5_000)
    city.enter(8)
    city.exit(9)
    assert city.balances == {account(CAR): 4_400, "op-lot": 388, "land": 200, "platform": 12}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"shares": [{"payee": "a", "ppm": 600_000}, {"payee": "b", "ppm": 400_001}]}, "shares"),
        ({"shares": [{"payee": "a", "ppm": 1}, {"payee": "a", "ppm": 1}]}, "shares"),
        ({"shares": [{"payee": "op-lot", "ppm": 1}]}, "shares"),
        ({"rules": {"opens_at": "07:00:00"}}, "rules.opens_at"),
        ({"plans": [{"plan_id": "m", "price_minor": 1}] * 2}, "plans"),
        (
            {"tariff": {"steps": [{"after_minutes": 60, "hour_minor": 1}] * 2}},
            "tariff.steps",
        ),
    ],
)
def test_a_lot_that_makes_no_sense_is_refused(city: City, more: dict, field: str) -> None:  # type: ignore[type-arg]
    """Each contradiction is told by its field."""
    with pytest.raises(InvalidField) as caught:
        city.lot(**more)
    assert caught.value.field == field


def test_rules_that_say_nothing_change_nothing(city: City) -> None:
    """Empty rules are the same as none."""
    city.lot()
    assert city.lot(rules={}).status == "unchanged"
    assert city.lot(rules={"leave_minutes": 20}).status == "updated"


def test_a_closed_lot_lets_nobody_in_and_everybody_out(city: City) -> None:
    """Closing hours, across midnight too, bound entries by the wall clock of the lot."""
    city.lot(rules={"opens_at": "07:00:00", "closes_at": "23:00:00"})
    city.lot("night", rules={"opens_at": "18:00:00", "closes_at": "08:00:00"})
    with pytest.raises(Ineligible, match="from 07:00:00 to 23:00:00"):
        city.enter(6.9)
    city.enter(7)
    assert city.exit(22).status == "unpaid"
    with pytest.raises(Ineligible):
        city.enter(23, "lot")
    assert city.enter(24 + 7.5, "night").status == "entered"
    city.exit(24 + 9, "night")
    with pytest.raises(Ineligible):
        city.enter(24 + 9, "night")


def test_a_full_lot_refuses_casual_cars(city: City) -> None:
    """The count follows entries and exits, and the sign at the gate is told once each way."""
    city.lot(rules={"capacity": 1})
    city.enter(8)
    assert city.call("get_lot", lot_id="lot").status == "full"
    with pytest.raises(LimitExceeded, match="1 of 1"):
        city.enter(8.1, plate=OTHER)
    city.exit(9)
    assert city.call("get_lot", lot_id="lot").free == 1
    assert city.enter(9.1, plate=OTHER).status == "entered"
    assert [len(city.told(type_)) for type_ in ("lot_full", "lot_free")] == [2, 1]
    city.lot("large", rules={"capacity": 2})
    city.enter(10, "large")
    assert [len(city.told(type_)) for type_ in ("lot_full", "lot_free")] == [2, 1]


def test_counting_is_a_sum_in_any_order(city: City) -> None:
    """An exit that is counted before its entry leaves the right number, never below nothing."""
    city.lot(rules={"capacity": 5})
    city.until(8)
    for verb, field in (("enter", "entered_at"), ("exit", "left_at")):
        city.call(verb, plate=CAR, lot_id="lot", **{field: at(8)})
    city.sent.reverse()
    entering = city.sent.pop()
    city.deliver()
    assert city.count().casual == -1
    assert city.call("get_lot", lot_id="lot").casual == 0
    city.sent.append(entering)
    city.deliver()
    assert city.count().casual == 0


def test_what_people_count_replaces_the_sum(city: City) -> None:
    """An inventory says how far the gates were off, and fills or frees the lot."""
    city.lot(rules={"capacity": 2})
    city.enter(8)
    city.until(9)
    counted = city.call("count_lot", lot_id="lot", casual=2, counted_at=at(9))
    assert (counted.casual, counted.drift, city.notices) == (2, -1, ["parking.lot_full"])
    with pytest.raises(LimitExceeded):
        city.enter(9, plate=OTHER)
    with pytest.raises(NotFound):
        city.call("count_lot", lot_id="nowhere", casual=2, counted_at=at(9))
    with pytest.raises(NotFound):
        city.call("get_lot", lot_id="nowhere")


def test_a_debtor_is_refused_where_the_lot_says_so(city: City) -> None:
    """Another lot's debt above the limit keeps a car out; a lot without such a rule lets it in."""
    city.lot("strict", rules={"refuse_debt_above_minor": 500})
    city.lot("mild")
    city.enter(8, "mild")
    city.exit(9, "mild")
    with pytest.raises(Ineligible, match="owes 600"):
        city.enter(10, "strict")
    assert city.enter(10, "mild").arrears_minor == 600
    city.exit(10.1, "mild")
    city.balances["friend"] = 600
    city.call("settle", plate=CAR, account_id="friend")
    assert city.enter(11, "strict").arrears_minor == 0


def test_an_exit_without_entry_costs_a_lost_ticket(city: City) -> None:
    """Where the lot says so; a second report of an exit is not charged, whatever its id."""
    city.lot(rules={"lost_ticket_minor": 3_000})
    city.bind(10_000)
    left = city.exit(9)
    assert (left.status, left.fee_minor, left.paid_minor, left.missing_entry) == (
        "paid", 3_000, 3_000, True,
    )  # fmt: skip
    with pytest.raises(InvalidState, match="second report"):
        city.exit(9 + CLOCK_SKEW_MAX.total_seconds() / 3600)
    assert city.exit(12, plate=OTHER).status == "unpaid"
    assert [one.reason for one in city.vehicle(OTHER).arrears] == ["lost_ticket"]
    with pytest.raises(InvalidField, match="before the last exit"):
        city.call("exit", plate=OTHER, lot_id="lot", left_at=at(11))


def test_an_exit_waits_for_an_entry_that_is_late(city: City) -> None:
    """The exit is answered at once; the entry then ends the stay, at the times that were true."""
    city.lot(rules={"wait_entry_minutes": 30, "lost_ticket_minor": 3_000})
    city.bind(10_000)
    waiting = city.exit(10)
    assert (waiting.status, waiting.fee_minor) == ("waiting", 0)
    with pytest.raises(InvalidState, match="waits for its entry"):
        city.exit(10.2)
    entered = city.call("enter", plate=CAR, lot_id="lot", entered_at=at(8))
    assert (entered.left.status, entered.left.fee_minor, entered.left.left_at) == (
        "paid", 1_200, at(10),
    )  # fmt: skip
    assert city.call("get", plate=CAR).status == "outside"
    assert not city.timers
    city.until(20)
    assert city.balances == {account(CAR): 8_800, "op-lot": 1_200}


def test_an_entry_that_never_comes_is_a_lost_ticket(city: City) -> None:
    """When the time is over the exit is charged, or let go where the lot names no price."""
    city.lot(rules={"wait_entry_minutes": 30, "lost_ticket_minor": 3_000})
    city.lot("free", rules={"wait_entry_minutes": 30})
    city.bind(10_000)
    city.exit(10)
    city.exit(10, "free", plate=OTHER)
    city.until(11)
    assert city.balances[account(CAR)] == 7_000
    assert city.vehicle(OTHER).arrears == ()
    assert len(city.told("exit_unmatched")) == 1
    city.until(20)
    assert city.balances[account(CAR)] == 7_000


def test_a_late_entry_does_not_end_a_newer_stay(city: City) -> None:
    """The car is elsewhere by now: the late stay is charged, and the new one goes on."""
    city.lot(rules={"wait_entry_minutes": 600})
    city.lot("b")
    city.exit(10)
    city.enter(11, "b")
    late = city.call("enter", plate=CAR, lot_id="lot", entered_at=at(9))
    assert late.left.fee_minor == 600
    session = city.vehicle().session
    assert session is not None
    assert session.lot_id == "b"
    assert city.exit(12, "b").fee_minor == 600
    assert city.vehicle().arrears_minor == 1_200


def test_a_lost_ticket_of_a_car_that_is_elsewhere_is_owed(city: City) -> None:
    """The timer of the exit ends no stay that is newer than it."""
    city.lot(rules={"wait_entry_minutes": 60, "lost_ticket_minor": 3_000})
    city.lot("b")
    city.bind(10_000)
    city.exit(10)
    city.enter(10.5, "b")
    city.until(12)
    assert city.vehicle().session is not None
    assert city.vehicle().arrears_minor == 3_000
    assert city.exit(12, "b").paid_minor == 3_000 + 1_200


def test_a_lost_ticket_of_a_car_that_left_elsewhere_is_owed(city: City) -> None:
    """What it did later stays the last that is known of it."""
    city.lot(rules={"wait_entry_minutes": 120, "lost_ticket_minor": 3_000})
    city.lot("b")
    city.bind(10_000)
    city.exit(10)
    city.enter(10.5, "b")
    city.exit(11.5, "b")
    city.until(13)
    last = city.vehicle().last
    assert last is not None
    assert (last.lot_id, city.vehicle().arrears_minor) == ("b", 3_000)


def test_a_timer_of_another_exit_is_ignored(city: City) -> None:
    """An exit that waits is charged by its own timer and by no older one."""
    city.lot(rules={"wait_entry_minutes": 60, "lost_ticket_minor": 3_000})
    city.exit(10)
    ((_, timer),) = city.timers.items()
    city.call("enter", plate=CAR, lot_id="lot", entered_at=at(9))
    city.exit(10.5)
    before = city.vehicle()
    city.fire("vehicle", CAR, timer.body)
    assert city.vehicle() == before
    city.until(12)
    assert city.vehicle().arrears_minor == 3_600


def test_a_second_entry_much_later_means_a_missed_exit(city: City) -> None:
    """Soon it is a camera that reads twice; after the lot's hours the first stay is lost."""
    city.lot(rules={"reentry_hours": 12})
    city.enter(8)
    with pytest.raises(InvalidState):
        city.enter(19.9)
    entered = city.enter(20)
    assert (entered.lost_exit.lot_id, entered.arrears_minor) == ("lot", 4_000)


def test_a_gate_whose_clock_is_behind_is_forgiven(city: City) -> None:
    """Within the lot's skew an exit before its entry is a stay of no time; beyond it is refused."""
    city.lot(rules={"gate_skew_s": 120})
    city.enter(8)
    with pytest.raises(InvalidField):
        city.exit(8 - 121 / 3600)
    left = city.exit(8 - 120 / 3600)
    assert (left.status, left.left_at) == ("free", at(8))


def test_a_stay_whose_exit_never_comes_goes_to_review(city: City) -> None:
    """The timer closes it at one day's cap, nobody collects that, and the operator decides."""
    city.lot(rules={"max_stay_hours": 48, "capacity": 9})
    city.bind(50_000)
    city.enter(8)
    city.until(8 + 48)
    assert city.count().casual == 0
    (overdue,) = city.told("stay_overdue")
    review = overdue.dispute_id  # type: ignore[attr-defined]
    assert (overdue.fee_minor, city.vehicle().arrears_minor) == (4_000, 4_000)  # type: ignore[attr-defined]
    city.enter(60)
    assert city.exit(61).paid_minor == 600
    decided = city.call(
        "decide_dispute", plate=CAR, dispute_id=review, decision="waive", fee_minor=1_200
    )
    assert (decided.waived_minor, decided.arrears_minor) == (2_800, 1_200)
    city.enter(62)
    assert city.exit(62.1).paid_minor == 1_200
    city.until(500)
    assert city.balances == {account(CAR): 48_200, "op-lot": 1_800}


def test_an_exit_in_time_calls_the_review_off(city: City) -> None:
    """After a normal exit the timer is gone, and one that comes all the same changes nothing."""
    city.lot(rules={"max_stay_hours": 48})
    city.enter(8)
    ((_, timer),) = city.timers.items()
    city.exit(9)
    assert not city.timers
    before = city.vehicle()
    city.fire("vehicle", CAR, timer.body)
    assert city.vehicle() == before
    city.enter(10)
    before = city.vehicle()
    city.fire("vehicle", CAR, timer.body)
    assert city.vehicle() == before


def test_old_documents_are_read_and_written_for_the_version_before(city: City) -> None:
    """Version 1 has no steps in its tariffs; going forward changes nothing."""
    migrate = city.pack.migrate  # type: ignore[attr-defined]
    old = {"lot_id": "lot", "payee": "op", "tariff": dict(TARIFF)}
    assert migrate("lot", 1, 2, old) == old
    new = {"lot_id": "lot", "payee": "op", "tariff": TARIFF | {"steps": [], "unit_minutes": 60}}
    assert migrate("lot", 2, 1, new) == old
    stay = {"plate": CAR, "session": {"tariff": TARIFF | {"cap_from": "midnight"}}}
    assert migrate("vehicle", 2, 1, stay) == {"plate": CAR, "session": {"tariff": TARIFF}}
    assert migrate("vehicle", 2, 1, {"plate": CAR}) == {"plate": CAR}
    owing = {"plate": CAR, "arrears": [{"reason": "lost_ticket"}, {"reason": "unpaid"}]}
    back = migrate("vehicle", 2, 1, owing)
    assert [one["reason"] for one in back["arrears"]] == ["lost_exit", "unpaid"]
