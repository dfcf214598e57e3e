"""Dormitory power: steps of the tariff, readings of the meter, warnings."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.campus.power_tariff import PowerStep, buy_units, check_steps
from tests.unit.plugins.campus_lab import SCHOOL, CampusHost, day
from zhihui.plugin import InsufficientFunds, InvalidField, InvalidState, NotFound

# 50 fen a kWh for the first 100 kWh of a month, 60 up to 200, 85 beyond.
STEPS = (
    PowerStep(kwh_minor=50, up_to_units=10_000),
    PowerStep(kwh_minor=60, up_to_units=20_000),
    PowerStep(kwh_minor=85),
)
_JSON = [
    {"kwh_minor": 50, "up_to_units": 10_000},
    {"kwh_minor": 60, "up_to_units": 20_000},
    {"kwh_minor": 85},
]


@pytest.fixture(name="host")
def _host() -> CampusHost:
    host = CampusHost()
    host.balances |= {"acct-mother": 50_000, "acct-ann": 10_000}
    opened(host)
    return host


def opened(host: CampusHost, **fields: Any) -> Any:
    room = {"room_id": "d1-301", "school_id": SCHOOL, "steps": _JSON, "meter_units": 1_000}
    return host.call("open_room", **(room | fields))


def bought(host: CampusHost, amount: int, guardian: str | None = None) -> Any:
    return host.call(
        "top_up_power",
        room_id="d1-301",
        student_id="ann",
        amount_minor=amount,
        guardian_id=guardian,
    )


def read(host: CampusHost, units: int, at: float) -> Any:
    return host.call("read_meter", room_id="d1-301", meter_units=units, read_at=day(at).isoformat())


@pytest.mark.parametrize(
    ("before", "change", "amount", "units", "left"),
    [
        pytest.param(0, 0, 1, 2, 0, id="one fen"),
        pytest.param(0, 0, 5_000, 10_000, 0, id="all of the first step"),
        pytest.param(0, 0, 5_001, 10_001, 40, id="a unit of the second"),
        pytest.param(9_999, 0, 1, 1, 50, id="the last unit of a step leaves too little"),
        pytest.param(0, 0, 5_000 + 6_000 + 85, 20_100, 0, id="through all steps"),
        pytest.param(20_000, 0, 1, 1, 15, id="beyond the last end"),
        pytest.param(20_000, 84, 1, 2, 14, id="what was kept helps"),
        pytest.param(30_000, 0, 85, 100, 0, id="a whole kWh"),
    ],
)
def test_units_at_the_edges(before: int, change: int, amount: int, units: int, left: int) -> None:
    """Each edge of the steps gives what a person works out by hand."""
    purchase = buy_units(STEPS, before, change, amount)
    assert (purchase.units, purchase.change) == (units, left)


@given(
    st.lists(st.integers(1, 20_000), min_size=1, max_size=8),
    st.lists(st.integers(1, 999), min_size=3, max_size=3),
    st.integers(1, 30_000),
    st.integers(1, 30_000),
)
def test_money_is_the_price_of_the_units_and_what_is_kept(
    amounts: list[int], prices: list[int], first: int, second: int
) -> None:
    """Many top-ups buy what their sum buys, and no hundredth of a fen is lost."""
    steps = (
        PowerStep(kwh_minor=prices[0], up_to_units=first),
        PowerStep(kwh_minor=prices[1], up_to_units=first + second),
        PowerStep(kwh_minor=prices[2]),
    )
    total = kept = 0
    for amount in amounts:
        purchase = buy_units(steps, total, kept, amount)
        total, kept = total + purchase.units, purchase.change
    in_steps = (
        min(total, first),
        min(max(total - first, 0), second),
        max(total - first - second, 0),
    )
    cost = sum(units * price for units, price in zip(in_steps, prices, strict=True))
    assert cost + kept == 100 * sum(amounts)
    assert 0 <= kept < 1_000
    at_once = buy_units(steps, 0, 0, sum(amounts))
    assert (at_once.units, at_once.change) == (total, kept)


@pytest.mark.parametrize(
    "steps",
    [
        [PowerStep(kwh_minor=50, up_to_units=10)],
        [PowerStep(kwh_minor=50), PowerStep(kwh_minor=60)],
        [
            PowerStep(kwh_minor=50, up_to_units=10),
            PowerStep(kwh_minor=60, up_to_units=10),
            PowerStep(kwh_minor=70),
        ],
    ],
)
def test_steps_must_rise_and_end_open(steps: list[PowerStep]) -> None:
    """A tariff with a hole or a top is refused."""
    with pytest.raises(ValueError, match="step"):
        check_steps(steps)


def test_power_is_paid_from_wallet_or_guardian(host: CampusHost) -> None:
    """The room gets units, the power account the money, from whoever is named."""
    first = bought(host, 1_000)
    assert (first.payer, first.bought_units, first.left_units) == ("acct-ann", 2_000, 2_000)
    second = bought(host, 500, "mother")
    assert (second.payer, second.left_units) == ("acct-mother", 3_000)
    assert host.balances["acct-power"] == 1_500
    with pytest.raises(NotFound):
        bought(host, 1, "aunt")
    host.balances["acct-ann"] = 0
    with pytest.raises(InsufficientFunds):
        bought(host, 1)
    assert host.room("d1-301").paid_minor == 1_500


def test_steps_begin_anew_each_month(host: CampusHost) -> None:
    """Units of last month do not make those of this month dearer."""
    assert bought(host, 10_000, "mother").bought_units == 10_000 + 8_333
    host.advance(30 * 86_400)
    assert bought(host, 5_000, "mother").bought_units == 10_000
    # 20 hundredths of a fen were kept: 10,000 fen less 100 kWh at 50 and 83.33 kWh at 60.
    assert host.room("d1-301").kept == 20


def test_readings_use_up_what_was_bought(host: CampusHost) -> None:
    """The meter counts from where it stood at the opening."""
    bought(host, 1_000)
    taken = read(host, 1_800, -2)
    assert (taken.status, taken.used_units, taken.left_units) == ("taken", 800, 1_200)
    assert read(host, 3_100, -1).left_units == -100


def test_readings_out_of_order_end_the_same(host: CampusHost) -> None:
    """Late and repeated readings change nothing; the newest one counts."""
    bought(host, 1_000)
    read(host, 1_900, -1)
    for units, at in ((1_200, -3), (1_500, -2), (1_900, -1)):
        assert read(host, units, at).status == "stale"
    assert host.room("d1-301").left_units == 1_100


def test_meter_does_not_run_backwards(host: CampusHost) -> None:
    """A newer reading that shows less is a fault; so is one from the future."""
    read(host, 1_500, -2)
    with pytest.raises(InvalidField) as backwards:
        read(host, 1_499, -1)
    assert backwards.value.field == "meter_units"
    with pytest.raises(InvalidField) as ahead:
        read(host, 1_600, 1)
    assert ahead.value.field == "read_at"


def test_room_is_warned_once(host: CampusHost) -> None:
    """Low is told once until power is bought, and used up is told as well."""
    bought(host, 1_000)
    told = []
    for units, at in ((1_100, -9), (2_500, -8), (2_600, -7), (3_000, -6), (3_100, -5)):
        read(host, units, at)
        told.append(list(host.notices))
    low, nothing = ["campus.power_low"], list[str]()
    assert told == [nothing, low, nothing, low, nothing]
    bought(host, 500)
    read(host, 3_700, -4)
    assert host.notices == low
    assert host.call("get_room", room_id="d1-301").status == "low"


def test_new_meter_goes_on_where_the_old_one_ended(host: CampusHost) -> None:
    """A new meter starts from its own number, and no reading of the old one counts any more."""
    bought(host, 1_000)
    read(host, 1_400, -3)
    replaced = host.call(
        "replace_meter",
        room_id="d1-301",
        old_meter_units=1_500,
        new_meter_units=7,
        replaced_at=day(-2).isoformat(),
    )
    assert (replaced.used_units, replaced.left_units) == (500, 1_500)
    with pytest.raises(InvalidField, match="after the last"):
        # The technician presses again: what the old meter showed is counted already.
        host.call(
            "replace_meter",
            room_id="d1-301",
            old_meter_units=1_500,
            new_meter_units=7,
            replaced_at=day(-2).isoformat(),
        )
    assert host.room("d1-301").used_units == 500
    assert read(host, 1_450, -2.5).status == "stale"
    assert read(host, 107, -1).left_units == 1_400
    with pytest.raises(InvalidField):
        host.call(
            "replace_meter",
            room_id="d1-301",
            old_meter_units=200,
            new_meter_units=0,
            replaced_at=day(-2).isoformat(),
        )


def test_room_keeps_its_meter_when_its_tariff_changes(host: CampusHost) -> None:
    """A new tariff is for what is bought afterwards; school and meter stay."""
    assert opened(host).status == "unchanged"
    bought(host, 100)
    changed = opened(host, steps=[{"kwh_minor": 100}], meter_units=0)
    assert (changed.status, changed.left_units) == ("updated", 200)
    assert bought(host, 100).bought_units == 100
    assert host.room("d1-301").meter_units == 1_000
    with pytest.raises(NotFound):
        opened(host, school_id="lowland")
    with pytest.raises(InvalidField):
        opened(host, steps=[{"kwh_minor": 1, "up_to_units": 5}])
    with pytest.raises(NotFound):
        host.call("get_room", room_id="nowhere")


def test_room_stays_with_its_school(host: CampusHost) -> None:
    """Another school cannot take over a room."""
    other = host.school(school_id="lowland")
    host.call("open_school", **other)
    with pytest.raises(InvalidState):
        opened(host, school_id="lowland")
