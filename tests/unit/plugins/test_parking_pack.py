"""The car park's operations, run against a small fake host."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.parking.messages import EnterLot, Plate
from plugins.parking.pack import CLOCK_SKEW_MAX, Parking
from plugins.parking.state import ARREARS_MAX, Lot, Vehicle
from tests.unit.plugins.fake_host import FakeHost
from zhihui.plugin import InsufficientFunds, InvalidField, InvalidState, NotFound

CAR = "沪A12345"
DAY = datetime(2026, 6, 15, tzinfo=UTC)
TARIFF = {
    "free_minutes": 15,
    "hour_minor": 600,
    "night_hour_minor": 200,
    "daily_cap_minor": 4000,
    "zone": "UTC",
}


class Lots(FakeHost):
    """The fake host with two lots, one car and words for what they do."""

    def __init__(self, balance: int = 0) -> None:
        super().__init__(Parking(), DAY + timedelta(days=400))
        for letter in "ab":
            lot = {"lot_id": f"lot-{letter}", "payee": f"acct-op-{letter}"}
            self.call("open_lot", **lot, tariff=TARIFF)
        self.call("bind", plate=CAR, account_id="acct-car")
        self.balances["acct-car"] = balance

    def call(self, verb: str, **body: Any) -> Any:
        if self.operations[verb].mutates:
            body["request_id"] = self.request_id
        return self.send(verb, msgspec.json.encode(body))

    def vehicle(self, plate: str = CAR) -> Vehicle:
        vehicle = self.documents["vehicle", plate]
        assert isinstance(vehicle, Vehicle)
        return vehicle

    def enter(self, hours: float, lot: str = "lot-a", plate: str = CAR) -> Any:
        return self.call("enter", plate=plate, lot_id=lot, entered_at=at(hours))

    def exit(self, hours: float, lot: str = "lot-a", plate: str = CAR) -> Any:
        return self.call("exit", plate=plate, lot_id=lot, left_at=at(hours))


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


@pytest.fixture(name="host")
def _host() -> Lots:
    return Lots()


def test_stay_is_paid_from_the_bound_account(host: Lots) -> None:
    """Two daytime hours are paid to the lot's operator, with a reference that names the stay."""
    host.balances["acct-car"] = 5000
    entered = host.enter(8)
    assert (entered.status, entered.arrears_minor, host.notices) == (
        "entered",
        0,
        ["parking.entered"],
    )
    left = host.exit(10)
    assert (left.status, left.fee_minor, left.paid_minor, left.arrears_minor) == (
        "paid",
        1200,
        1200,
        0,
    )
    assert host.balances == {"acct-car": 3800, "acct-op-a": 1200}
    assert host.notices == ["parking.exited"]
    assert host.payments[0].reference == "parking lot-a 沪A12345 2026-06-15T08:00:00+00:00"


def test_short_stay_is_free(host: Lots) -> None:
    """Within the free minutes nothing is paid, by anybody."""
    host.enter(8)
    left = host.exit(8.25)
    assert (left.status, left.fee_minor, left.paid_minor) == ("free", 0, 0)
    assert len(host.plans) == 1
    assert host.payments == []


def test_empty_account_leaves_arrears_that_the_next_exit_collects(host: Lots) -> None:
    """A fee that cannot be paid is owed, and is paid together with the next one."""
    host.enter(8)
    first = host.exit(9)
    assert (first.status, first.paid_minor, first.arrears_minor) == ("unpaid", 0, 600)
    assert host.notices == ["parking.exited", "parking.arrears_recorded"]
    host.balances["acct-car"] = 10_000
    assert host.enter(12, "lot-b").arrears_minor == 600
    second = host.exit(14, "lot-b")
    assert (second.status, second.fee_minor, second.paid_minor) == ("paid", 1200, 1800)
    assert (second.collected_minor, second.arrears_minor) == (600, 0)
    assert host.notices == ["parking.exited", "parking.arrears_collected"]
    assert host.balances == {"acct-car": 8200, "acct-op-a": 600, "acct-op-b": 1200}


def test_fee_alone_is_paid_when_the_arrears_are_too_much(host: Lots) -> None:
    """The plans come in order: everything, the fee alone, nothing; the first that fits stands."""
    host.enter(8)
    host.exit(18)
    host.balances["acct-car"] = 700
    host.enter(19)
    left = host.exit(20)
    asked = [sum(pay.amount_minor for pay in plan.effects) for plan in host.plans]  # type: ignore[attr-defined]
    assert asked == [4600, 600, 0]
    assert (left.status, left.paid_minor, left.collected_minor, left.arrears_minor) == (
        "paid",
        600,
        0,
        4000,
    )


def test_free_exit_collects_arrears_too(host: Lots) -> None:
    """A debtor cannot hide behind free stays."""
    host.enter(8)
    host.exit(9)
    host.balances["acct-car"] = 600
    host.enter(10)
    left = host.exit(10.1)
    assert (left.status, left.fee_minor, left.paid_minor, left.arrears_minor) == ("free", 0, 600, 0)


def test_unbound_plate_owes_at_once() -> None:
    """Without an account there is one plan: the fee is owed. A later binding pays it."""
    host = Lots()
    host.enter(8, plate="京AD12345")
    left = host.exit(9, plate="京AD12345")
    assert (left.status, left.arrears_minor, len(host.plans)) == ("unpaid", 600, 1)
    bound = host.call("bind", plate="京AD12345", account_id="acct-new")
    assert bound.arrears_minor == 600
    host.balances["acct-new"] = 600
    assert host.call("settle", plate="京AD12345").paid_minor == 600
    assert host.vehicle("京AD12345").arrears == ()


def test_double_entry_to_the_same_lot_is_rejected(host: Lots) -> None:
    """A camera that reads twice does not open a second stay, nor restart the first."""
    host.enter(8)
    with pytest.raises(InvalidState, match="since 2026-06-15T08:00"):
        host.enter(9)
    assert host.exit(10).fee_minor == 1200


def test_entry_elsewhere_closes_the_lost_exit(host: Lots) -> None:
    """A car seen at another lot has left: the old stay is owed, at most one day's cap of it."""
    host.enter(8)
    entered = host.enter(10, "lot-b")
    assert (entered.lost_exit.lot_id, entered.lost_exit.fee_minor) == ("lot-a", 1200)
    assert entered.arrears_minor == 1200
    assert host.notices == ["parking.entered", "parking.exit_lost"]
    assert host.enter(10 + 72, "lot-a").lost_exit.fee_minor == TARIFF["daily_cap_minor"]
    assert [arrear.reason for arrear in host.vehicle().arrears] == ["lost_exit", "lost_exit"]


def test_lost_exit_within_the_free_minutes_owes_nothing(host: Lots) -> None:
    """A lost exit without a fee leaves no arrear of zero."""
    host.enter(8)
    assert host.enter(8.1, "lot-b").lost_exit.fee_minor == 0
    assert host.vehicle().arrears == ()


def test_exit_without_entry_is_rejected(host: Lots) -> None:
    """An unknown plate is not found; a known one that is outside is in the wrong state."""
    with pytest.raises(NotFound):
        host.exit(9, plate="苏E88888")
    with pytest.raises(InvalidState, match="in no lot"):
        host.exit(9)
    host.enter(8)
    host.exit(9)
    with pytest.raises(InvalidState, match="in no lot"):
        host.exit(9)


def test_exit_at_another_lot_is_rejected(host: Lots) -> None:
    """A stay ends where it began."""
    host.enter(8)
    with pytest.raises(InvalidState, match="'lot-a', not in 'lot-b'"):
        host.exit(9, "lot-b")
    assert host.exit(9).status == "unpaid"


def test_exit_before_entry_is_rejected(host: Lots) -> None:
    """A stay of negative length is a fault of a clock; the car stays inside."""
    host.enter(8)
    with pytest.raises(InvalidField) as caught:
        host.exit(7.99)
    assert caught.value.field == "left_at"
    assert host.vehicle().session is not None


def test_stays_of_a_plate_follow_each_other(host: Lots) -> None:
    """An entry may not lie before the last exit or the open entry, beyond the skew of clocks."""
    host.enter(8)
    with pytest.raises(InvalidField, match="before the entry"):
        host.enter(7.9, "lot-b")
    host.exit(10)
    with pytest.raises(InvalidField, match="before the last exit"):
        host.enter(9.5, "lot-b")
    assert host.enter(9.9, "lot-b").status == "entered"


def test_times_from_the_future_or_the_far_past_are_rejected(host: Lots) -> None:
    """A clock that runs ahead may not charge for time that has not passed."""
    now = host.clock.now()
    host.call("enter", plate=CAR, lot_id="lot-a", entered_at=now + CLOCK_SKEW_MAX)
    ahead = now + CLOCK_SKEW_MAX + timedelta(seconds=1)
    for moment in (ahead, datetime(1, 1, 1, tzinfo=UTC)):
        with pytest.raises(InvalidField):
            host.call("exit", plate=CAR, lot_id="lot-a", left_at=moment)


def test_times_without_an_offset_are_rejected() -> None:
    """A naive time is an invalid field at the edge, before any code of the pack runs."""
    body = {"request_id": "r", "plate": CAR, "lot_id": "a", "entered_at": "2026-06-15T08:00:00"}
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.convert(body, EnterLot)
    aware = msgspec.convert(body | {"entered_at": "2026-06-15T08:00:00+08:00"}, EnterLot)
    assert aware.entered_at == DAY


def test_unknown_lot_is_rejected(host: Lots) -> None:
    """A car cannot enter a lot that was never opened."""
    with pytest.raises(NotFound) as caught:
        host.enter(8, "lot-z")
    assert caught.value.field == "lot_id"


def test_tariff_of_the_entry_applies(host: Lots) -> None:
    """A new tariff or payee is for cars that enter afterwards."""
    assert (
        host.call("open_lot", lot_id="lot-a", payee="acct-op-a", tariff=TARIFF).status
        == "unchanged"
    )
    assert host.notices == []
    host.balances["acct-car"] = 10_000
    host.enter(8)
    dearer = TARIFF | {"hour_minor": 900}
    assert (
        host.call("open_lot", lot_id="lot-a", payee="acct-op-c", tariff=dearer).status == "updated"
    )
    assert host.exit(9).fee_minor == 600
    host.enter(10)
    assert host.exit(11).fee_minor == 900
    assert (host.balances["acct-op-a"], host.balances["acct-op-c"]) == (600, 900)


def test_tariff_with_an_unknown_zone_is_rejected(host: Lots) -> None:
    """A lot cannot be opened in a zone that no computer knows."""
    with pytest.raises(InvalidField) as caught:
        host.call("open_lot", lot_id="x", payee="p", tariff=TARIFF | {"zone": "Mars/Olympus"})
    assert caught.value.field == "tariff.zone"


def test_debtor_is_refused_at_the_gate_but_never_locked_in(host: Lots) -> None:
    """At the limit of arrears an entry is rejected until they are settled; an exit never is."""
    for stay in range(ARREARS_MAX):
        host.enter(8 + 2 * stay)
        assert host.exit(9 + 2 * stay).status == "unpaid"
    with pytest.raises(InvalidState, match="settle"):
        host.enter(100)
    with pytest.raises(InsufficientFunds):
        host.call("settle", plate=CAR)
    owed = host.vehicle().arrears_minor
    host.balances["acct-car"] = owed
    assert host.call("settle", plate=CAR).paid_minor == owed
    assert host.enter(100).arrears_minor == 0


def test_settle_needs_an_account_and_may_find_nothing(host: Lots) -> None:
    """Settling an unbound plate is the wrong state; settling no debt is no payment."""
    assert host.call("settle", plate=CAR).paid_minor == 0
    assert host.payments == []
    host.enter(8, plate="粤B00001")
    with pytest.raises(InvalidState, match="bind"):
        host.call("settle", plate="粤B00001")


def test_get_tells_where_a_car_is(host: Lots) -> None:
    """The view follows the car in and out; an unknown plate is not found."""
    with pytest.raises(NotFound):
        host.call("get", plate="苏E88888")
    assert host.call("get", plate=CAR).status == "outside"
    host.enter(8)
    view = host.call("get", plate=CAR)
    assert (view.status, view.stay.lot_id, view.account_id) == ("inside", "lot-a", "acct-car")
    host.exit(9)
    view = host.call("get", plate=CAR)
    assert (view.status, view.arrears_minor, view.last.fee_minor) == ("outside", 600, 600)


@pytest.mark.parametrize(
    ("plate", "good"),
    [
        ("沪A12345", True),
        ("京AD12345", True),
        ("粤B12345F", True),
        ("粤Z1234港", True),
        ("苏E8888学", True),
        ("沪A1234", False),
        ("沪A1234567", False),
        ("沪AO1234", False),
        ("沪I12345", False),
        ("A12345", False),
        ("沪A12345\n", False),
        ("沪A·12345", False),
        ("沪a12345", False),
        ("沪AX12345", False),
    ],
)
def test_plate_pattern(plate: str, *, good: bool) -> None:
    """Plates are taken in the forms of GA 36-2018 and in no other."""
    if good:
        assert msgspec.convert(plate, Plate) == plate
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(plate, Plate)


steps = st.lists(
    st.tuples(
        st.sampled_from(["enter", "exit", "deposit", "settle"]),
        st.sampled_from(["lot-a", "lot-b"]),
        st.integers(0, 30),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(steps)
def test_what_was_charged_is_paid_or_owed(script: list[tuple[str, str, int]]) -> None:
    """After any story, fees charged = money that left the account + arrears, to the fen."""
    host = Lots()
    now, charged, deposited = 0.0, 0, 0
    for verb, lot, size in script:
        now += size / 4
        try:
            if verb == "enter":
                lost = host.enter(now, lot).lost_exit
                charged += lost.fee_minor if lost else 0
            elif verb == "exit":
                charged += host.exit(now, lot).fee_minor
            elif verb == "settle":
                host.call("settle", plate=CAR)
            else:
                host.balances["acct-car"] += size * 100
                deposited += size * 100
        except (InvalidState, InsufficientFunds):
            continue
        spent = deposited - host.balances["acct-car"]
        assert charged == spent + host.vehicle().arrears_minor
        assert spent == host.balances.get("acct-op-a", 0) + host.balances.get("acct-op-b", 0)
        assert len(host.vehicle().arrears) <= ARREARS_MAX
    assert isinstance(host.documents["lot", "lot-a"], Lot)
