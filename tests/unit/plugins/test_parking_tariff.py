"""The tariff of the car park, at its edges and as properties."""

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from plugins.parking.tariff import (
    RATE_MINOR_MAX,
    STAY_DAYS_MAX,
    Step,
    Tariff,
    check_steps,
    dearest_unit_minor,
    fee_minor,
    load_zone,
    tariff_for,
)

CHINA = timezone(timedelta(hours=8))

# 15 minutes free, ¥6 an hour, ¥2 in the night (22:00-06:00), at most ¥40 a day.
CITY = Tariff(free_minutes=15, hour_minor=600, night_hour_minor=200, daily_cap_minor=4000)
UNCAPPED = replace(CITY, daily_cap_minor=RATE_MINOR_MAX)
# The first hour ¥10, the second and third ¥6, then ¥3; half hours; a night costs ¥8 at most.
DOWNTOWN = Tariff(
    free_minutes=15,
    hour_minor=1000,
    night_hour_minor=200,
    daily_cap_minor=6000,
    unit_minutes=30,
    steps=(Step(after_minutes=60, hour_minor=600), Step(after_minutes=180, hour_minor=301)),
    night_cap_minor=800,
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


@pytest.mark.parametrize(
    ("entered", "left", "fee"),
    [
        pytest.param("2026-06-15 08:00:00", "2026-06-15 08:00:00", 0, id="no time at all"),
        pytest.param("2026-06-15 08:00:00", "2026-06-15 08:15:00", 0, id="last free second"),
        pytest.param("2026-06-15 08:00:00", "2026-06-15 08:15:01", 600, id="just not free"),
        pytest.param("2026-06-15 08:00:00", "2026-06-15 09:00:00", 600, id="a full hour is one"),
        pytest.param("2026-06-15 08:00:00", "2026-06-15 09:00:01", 1200, id="a started one counts"),
        pytest.param("2026-06-15 08:00:00", "2026-06-15 18:00:00", 4000, id="cap of the day"),
        pytest.param("2026-06-15 21:30:00", "2026-06-15 22:30:00", 600, id="hour begun by day"),
        pytest.param(
            "2026-06-15 21:30:00", "2026-06-15 22:31:00", 800, id="one by day, one by night"
        ),
        pytest.param("2026-06-15 22:00:00", "2026-06-15 23:00:00", 200, id="night begins at 22:00"),
        pytest.param("2026-06-15 05:00:00", "2026-06-15 06:00:00", 200, id="night until 06:00"),
        pytest.param("2026-06-15 05:00:00", "2026-06-15 06:00:01", 800, id="day begins at 06:00"),
        pytest.param(
            "2026-06-15 23:30:00", "2026-06-16 00:30:00", 200, id="one hour over midnight"
        ),
        pytest.param("2026-06-15 22:00:00", "2026-06-16 06:00:00", 1600, id="a whole night"),
        pytest.param("2026-06-15 09:00:00", "2026-06-16 00:00:00", 4000, id="leaving at midnight"),
        pytest.param(
            "2026-06-15 09:00:00", "2026-06-17 09:00:00", 4000 + 4000 + 3000, id="two days"
        ),
        pytest.param("2028-02-28 23:00:00", "2028-02-29 01:00:00", 400, id="into the leap day"),
        pytest.param("2028-02-28 06:00:00", "2028-03-01 00:00:00", 8000, id="leap day has a cap"),
        pytest.param("2027-02-28 06:00:00", "2027-03-01 00:00:00", 4000, id="no leap day, no cap"),
    ],
)
def test_fee_at_the_edges(entered: str, left: str, fee: int) -> None:
    """Each edge of the rule has the fee that a person works out by hand."""
    assert fee_minor(CITY, at(entered), at(left)) == fee


@pytest.mark.parametrize(
    ("entered", "left", "fee"),
    [
        pytest.param("2026-06-15 08:00:00", "2026-06-15 08:16:00", 500, id="a half hour"),
        pytest.param("2026-06-15 08:00:00", "2026-06-15 09:00:00", 1000, id="the first hour"),
        pytest.param("2026-06-15 08:00:00", "2026-06-15 09:00:01", 1300, id="second step begins"),
        pytest.param("2026-06-15 08:00:00", "2026-06-15 11:00:00", 2200, id="three hours"),
        # Half of 301 fen is 150, down.
        pytest.param("2026-06-15 08:00:00", "2026-06-15 11:30:00", 2350, id="third step, down"),
        pytest.param("2026-06-15 22:00:00", "2026-06-16 02:00:00", 800, id="the night's cap"),
        pytest.param("2026-06-15 22:00:00", "2026-06-16 06:00:00", 800, id="across midnight"),
        pytest.param("2026-06-15 22:00:00", "2026-06-16 07:00:00", 1100, id="and the morning"),
        pytest.param("2026-06-15 06:00:00", "2026-06-15 23:59:00", 6000, id="the cap of a day"),
        pytest.param("2026-06-15 01:00:00", "2026-06-15 23:00:00", 5800, id="two nights in a day"),
    ],
)
def test_fee_by_steps_units_and_nights(entered: str, left: str, fee: int) -> None:
    """Steps count from the entry, units of half an hour round down to a fen, a night has a cap."""
    assert fee_minor(DOWNTOWN, at(entered), at(left)) == fee


def test_night_cap_is_for_each_night() -> None:
    """Two nights in one calendar day are two nights, and one night in two days is one."""
    nights = replace(DOWNTOWN, hour_minor=0, steps=(), daily_cap_minor=RATE_MINOR_MAX)
    assert fee_minor(nights, at("2026-06-15 01:00:00"), at("2026-06-15 23:00:00")) == 800 + 200
    assert fee_minor(nights, at("2026-06-15 20:00:00"), at("2026-06-16 07:00:00")) == 800
    noon = replace(nights, night_from=time(12), night_until=time(20))
    assert fee_minor(noon, at("2026-06-15 00:00:00"), at("2026-06-17 00:00:00")) == 1600


def test_cap_of_24_hours_from_the_entry() -> None:
    """From noon to noon is one day by the entry, and two by the calendar."""
    rolling = replace(CITY, cap_from="entry", free_minutes=0)
    entered = at("2026-06-15 12:00:00")
    assert fee_minor(rolling, entered, entered + timedelta(hours=24)) == 4000
    assert fee_minor(rolling, entered, entered + timedelta(hours=25)) == 4600
    calendar = replace(rolling, cap_from="midnight")
    assert fee_minor(calendar, entered, entered + timedelta(hours=24)) == 8000


def test_new_energy_plates_have_free_minutes_of_their_own() -> None:
    """Where the lot gives them; they are known by the length of their plates."""
    assert tariff_for(CITY, "沪AD12345") == CITY
    kind = replace(CITY, new_energy_free_minutes=60)
    assert tariff_for(kind, "沪A12345").free_minutes == 15
    green = tariff_for(kind, "沪AD12345")
    assert fee_minor(green, at("2026-06-15 08:00:00"), at("2026-06-15 09:00:00")) == 0


def test_steps_follow_each_other() -> None:
    """A step that begins with or before the one before it is refused."""
    check_steps(DOWNTOWN)
    with pytest.raises(ValueError, match="after the one before"):
        check_steps(replace(DOWNTOWN, steps=DOWNTOWN.steps[::-1]))
    with pytest.raises(ValueError, match="after the one before"):
        check_steps(replace(DOWNTOWN, steps=(DOWNTOWN.steps[0],) * 2))


def test_exit_before_entry_is_refused() -> None:
    """A stay of negative length has no fee, not even zero."""
    with pytest.raises(ValueError, match="before entry"):
        fee_minor(CITY, at("2026-06-15 08:00:00"), at("2026-06-15 07:59:59"))


def test_naive_time_is_refused() -> None:
    """A time without a zone is not guessed at."""
    with pytest.raises(ValueError, match="zone"):
        fee_minor(CITY, at("2026-06-15 08:00:00"), datetime(2026, 6, 15, 9))  # noqa: DTZ001


def test_clock_in_another_zone_costs_the_same() -> None:
    """The lot's zone decides about night and midnight, not the zone of the camera's clock."""
    entered, left = at("2026-06-15 21:30:00"), at("2026-06-16 07:10:00")
    fee = fee_minor(CITY, entered, left)
    assert fee == fee_minor(CITY, entered.astimezone(UTC), left.astimezone(UTC))
    assert fee == fee_minor(CITY, entered.astimezone(ZoneInfo("America/Lima")), left)


def test_hours_are_elapsed_time_when_a_wall_clock_jumps() -> None:
    """In the night when New York skips an hour, a stay from 01:00 to 04:00 is two hours."""
    zone = ZoneInfo("America/New_York")
    tariff = replace(CITY, free_minutes=0, zone="America/New_York")
    entered = datetime(2026, 3, 8, 1, tzinfo=zone)
    assert fee_minor(tariff, entered, datetime(2026, 3, 8, 4, tzinfo=zone)) == 400


def test_night_window_within_a_day_and_none_at_all() -> None:
    """A window that does not pass midnight works, and equal ends mean no night."""
    noon = replace(CITY, night_from=time(12), night_until=time(14))
    assert fee_minor(noon, at("2026-06-15 11:00:00"), at("2026-06-15 15:00:00")) == 1600
    never = replace(CITY, night_from=time(0), night_until=time(0))
    assert fee_minor(never, at("2026-06-15 23:00:00"), at("2026-06-16 01:00:00")) == 1200


def test_hours_beyond_the_limit_are_not_charged() -> None:
    """A clock that is years off costs at most the caps of the limit's days."""
    entered = at("2026-06-15 00:00:00")
    most = fee_minor(CITY, entered, entered + timedelta(days=STAY_DAYS_MAX))
    assert most == STAY_DAYS_MAX * CITY.daily_cap_minor
    assert fee_minor(CITY, entered, at("2999-01-01 00:00:00")) == most


@pytest.mark.parametrize("zone", ["Asia/Nowhere", "Asia", "../../etc/passwd", "/etc/localtime"])
def test_unknown_zone_is_refused(zone: str) -> None:
    """A zone that does not exist, or reaches for a file, is one kind of error."""
    with pytest.raises(ValueError, match="no time zone"):
        load_zone(zone)


@pytest.mark.parametrize(
    "change",
    [
        {"hour_minor": -1},
        {"hour_minor": 6.5},
        {"daily_cap_minor": RATE_MINOR_MAX + 1},
        {"free_minutes": 1441},
        {"night_from": "22:00:00+08:00"},
        {"zone": "../../etc/passwd"},
        {"weekend_minor": 0},
        {"unit_minutes": 45},
        {"cap_from": "noon"},
        {"steps": [{"after_minutes": 0, "hour_minor": 1}]},
        {"night_cap_minor": -1},
    ],
)
def test_tariff_off_its_bounds_is_refused(change: dict[str, object]) -> None:
    """Every field of a tariff is bounded where it is decoded."""
    whole = {"hour_minor": 600, "night_hour_minor": 200, "daily_cap_minor": 4000}
    assert msgspec.convert(whole, Tariff).hour_minor == 600
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(whole | change, Tariff, strict=True)


rates = st.integers(0, 5_000)
walls = st.times().map(lambda wall: wall.replace(tzinfo=None))
steps = st.lists(
    st.builds(Step, after_minutes=st.integers(1, 2000), hour_minor=rates),
    max_size=4,
    unique_by=lambda step: step.after_minutes,
).map(lambda some: tuple(sorted(some, key=lambda step: step.after_minutes)))
tariffs = st.builds(
    Tariff,
    free_minutes=st.integers(0, 120),
    hour_minor=rates,
    night_hour_minor=rates,
    daily_cap_minor=rates,
    night_from=walls,
    night_until=walls,
    zone=st.sampled_from(["Asia/Shanghai", "Asia/Urumqi", "UTC", "America/New_York"]),
    unit_minutes=st.sampled_from([15, 20, 30, 60]),
    steps=steps,
    night_cap_minor=st.none() | rates,
    cap_from=st.sampled_from(["midnight", "entry"]),
)
zones = st.sampled_from([UTC, CHINA, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")])
instants = st.datetimes(
    min_value=datetime(2024, 2, 20),  # noqa: DTZ001  the strategy adds the zone
    max_value=datetime(2028, 3, 10),  # noqa: DTZ001
    timezones=zones,
)
stays = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=6))


@given(tariffs, instants, stays, stays)
def test_fee_never_falls_with_time(
    tariff: Tariff, entered: datetime, stay: timedelta, longer: timedelta
) -> None:
    """Staying longer never costs less."""
    start = entered.astimezone(UTC)
    fee = fee_minor(tariff, entered, start + stay)
    assert 0 <= fee <= fee_minor(tariff, entered, start + stay + longer)


@given(tariffs, instants, stays)
def test_fee_is_bounded_by_the_caps_of_the_days_touched(
    tariff: Tariff, entered: datetime, stay: timedelta
) -> None:
    """No stay costs more than the cap for each day that it touches: the zone's, or its own."""
    zone = ZoneInfo(tariff.zone)
    left = entered.astimezone(UTC) + stay
    first, last = (moment.astimezone(zone).date() for moment in (entered, left))
    days = (last - first).days + 1
    if tariff.cap_from == "entry":
        days = -(-stay // timedelta(days=1))
    assert fee_minor(tariff, entered, left) <= tariff.daily_cap_minor * days


@given(tariffs, instants, stays)
def test_a_unit_costs_at_most_the_dearest(
    tariff: Tariff, entered: datetime, stay: timedelta
) -> None:
    """No stay costs more than its started units at the dearest rate that there is."""
    units = -(-stay // timedelta(minutes=tariff.unit_minutes))
    left = entered.astimezone(UTC) + stay
    assert fee_minor(tariff, entered, left) <= units * dearest_unit_minor(tariff)


@given(tariffs, instants, stays)
def test_a_night_costs_at_most_its_cap(tariff: Tariff, entered: datetime, stay: timedelta) -> None:
    """With free days, a stay costs at most the cap of each night that it may touch."""
    cap = tariff.night_cap_minor or 0
    nights_only = replace(
        tariff, hour_minor=0, steps=(), night_cap_minor=cap, daily_cap_minor=RATE_MINOR_MAX
    )
    left = entered.astimezone(UTC) + stay
    assert fee_minor(nights_only, entered, left) <= cap * (stay // timedelta(days=1) + 2)


@given(tariffs, instants, st.floats(0, 1))
def test_fee_is_zero_within_the_free_minutes(
    tariff: Tariff, entered: datetime, part: float
) -> None:
    """No stay within the free minutes costs anything."""
    left = entered.astimezone(UTC) + part * timedelta(minutes=tariff.free_minutes)
    assert fee_minor(tariff, entered, left) == 0


@given(tariffs, instants, stays, zones, zones)
def test_fee_does_not_depend_on_how_times_are_written(
    tariff: Tariff, entered: datetime, stay: timedelta, one: timezone, other: timezone
) -> None:
    """The same instants in any zones cost the same."""
    left = entered.astimezone(UTC) + stay
    fee = fee_minor(tariff, entered, left)
    assert fee == fee_minor(tariff, entered.astimezone(one), left.astimezone(other))
