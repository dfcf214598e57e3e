"""What a stay costs: free minutes, rates by day, by night and by steps, caps of nights and days.

The rule, in the order in which it is applied:

1. A stay of at most ``free_minutes`` is free. A longer one is charged from the entry on: the free
   minutes are not taken off. A new-energy plate may have free minutes of its own.
2. Units (``unit_minutes``, an hour unless said otherwise) are counted from the entry, in elapsed
   time, and a started one is charged whole: rounded up. A stay of exactly 60 minutes is one hour.
3. A unit costs the night rate when it begins inside the night window, by the lot's wall clock;
   else the rate of the last step (``steps``) that it is not before, counted from the entry; else
   the day rate. Rates are for an hour; a shorter unit costs its part, rounded down to a fen.
4. The units of one night, across midnight, cost at most ``night_cap_minor`` if there is one.
5. A unit belongs to the calendar day, in the lot's zone, on which it begins; or, with ``cap_from``
   the entry, to the 24 hours since the entry in which it begins. The units of one day cost at most
   ``daily_cap_minor``.

So the fee never falls as a stay gets longer, and it never exceeds the cap times the days touched.
"""

from collections import defaultdict
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta
from msgspec.structs import replace

__all__ = (
    "RATE_MINOR_MAX",
    "STAY_DAYS_MAX",
    "Step",
    "Tariff",
    "check_steps",
    "dearest_unit_minor",
    "fee_minor",
    "load_zone",
    "tariff_for",
)

# Ten thousand yuan in fen, for an hour or for a day: far above any car park, and small enough
# that the dearest stay (366 caps) stays far below the largest amount of a payment.
RATE_MINOR_MAX = 1_000_000

# The hours beyond one leap year are not charged. It bounds the work of one message, and the harm
# of one clock that is years off.
STAY_DAYS_MAX = 366

# A plate of a new-energy vehicle has one character more than others (GA 36-2018).
_NEW_ENERGY_LENGTH = 8

_Rate = Annotated[int, Meta(ge=0, le=RATE_MINOR_MAX)]
_WallTime = Annotated[time, Meta(tz=False)]
_Minutes = Annotated[int, Meta(ge=0, le=1440)]


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The day rate of what begins at least ``after_minutes`` after the entry (阶梯价)."""

    after_minutes: Annotated[int, Meta(ge=1, le=10_080)]
    hour_minor: _Rate


class Tariff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The prices of one lot, in minor units. Equal ends of the night window mean there is none."""

    free_minutes: _Minutes = 0
    hour_minor: _Rate
    night_hour_minor: _Rate
    daily_cap_minor: _Rate
    night_from: _WallTime = time(22)
    night_until: _WallTime = time(6)
    zone: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*(?!\n)$")] = (
        "Asia/Shanghai"
    )
    unit_minutes: Literal[15, 20, 30, 60] = 60
    steps: Annotated[tuple[Step, ...], Meta(max_length=8)] = ()
    night_cap_minor: _Rate | None = None
    cap_from: Literal["midnight", "entry"] = "midnight"
    new_energy_free_minutes: _Minutes | None = None


def load_zone(name: str) -> ZoneInfo:
    """Return the time zone called ``name``; raise :class:`ValueError` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # A path out of the zone database is a ValueError, a folder in it (`Asia`) an OSError.
        raise ValueError(f"no time zone is called {name!r}") from error


def check_steps(tariff: Tariff) -> None:
    """Raise :class:`ValueError` unless each step begins after the one before it."""
    begins = [step.after_minutes for step in tariff.steps]
    if begins != sorted(set(begins)):
        raise ValueError(f"steps begin after {begins} minutes; expected each after the one before")


def tariff_for(tariff: Tariff, plate: str) -> Tariff:
    """Return the tariff as it is for a plate: new-energy vehicles may have more free minutes."""
    free = tariff.new_energy_free_minutes
    if free is None or len(plate) != _NEW_ENERGY_LENGTH:
        return tariff
    return replace(tariff, free_minutes=free)


def fee_minor(tariff: Tariff, entered_at: datetime, left_at: datetime) -> int:
    """Return the fee of a stay in minor units, by the rule at the top of this module.

    Both times are aware and may be in any zone. Raise :class:`ValueError` when one is not, or when
    the exit comes before the entry.
    """
    if entered_at.tzinfo is None or left_at.tzinfo is None:
        raise ValueError("the times of a stay must carry a zone")
    # In UTC first: Python subtracts two times of one zone by the wall clock, which is an hour off
    # on the days when that clock changes.
    entered = entered_at.astimezone(UTC)
    stay = left_at.astimezone(UTC) - entered
    if stay < timedelta(0):
        raise ValueError(f"exit at {left_at.isoformat()} before entry at {entered_at.isoformat()}")
    if stay <= timedelta(minutes=tariff.free_minutes):
        return 0
    zone = load_zone(tariff.zone)
    unit = timedelta(minutes=tariff.unit_minutes)
    days: defaultdict[int, int] = defaultdict(int)
    nights: defaultdict[int, int] = defaultdict(int)
    for number in range(-(-min(stay, timedelta(days=STAY_DAYS_MAX)) // unit)):
        begins = (entered + number * unit).astimezone(zone)
        elapsed_minutes = number * tariff.unit_minutes
        wall = begins.time()
        if _is_night(tariff, wall):
            charge = _night_minor(tariff, begins, nights)
        else:
            charge = _unit_minor(tariff, _day_rate_minor(tariff, elapsed_minutes))
        by_day = tariff.cap_from == "midnight"
        days[begins.toordinal() if by_day else elapsed_minutes // 1440] += charge
    return sum(min(charged, tariff.daily_cap_minor) for charged in days.values())


def dearest_unit_minor(tariff: Tariff) -> int:
    """Return what a unit costs at most."""
    rates = (tariff.hour_minor, tariff.night_hour_minor, *(one.hour_minor for one in tariff.steps))
    return _unit_minor(tariff, max(rates))


def _unit_minor(tariff: Tariff, hour_minor: int) -> int:
    # Down to a fen, in the driver's favour; the unit itself was rounded up.
    return hour_minor * tariff.unit_minutes // 60


def _day_rate_minor(tariff: Tariff, elapsed_minutes: int) -> int:
    rate = tariff.hour_minor
    for step in tariff.steps:
        if elapsed_minutes < step.after_minutes:
            break
        rate = step.hour_minor
    return rate


def _is_night(tariff: Tariff, wall: time) -> bool:
    start, end = tariff.night_from, tariff.night_until
    # A window such as 22:00-06:00 passes midnight: it is all that is not from 06:00 to 22:00.
    return start <= wall < end if start <= end else not end <= wall < start


def _night_minor(tariff: Tariff, begins: datetime, nights: defaultdict[int, int]) -> int:
    charge = _unit_minor(tariff, tariff.night_hour_minor)
    if tariff.night_cap_minor is None:
        return charge
    # A night is known by the day on which it began.
    passes_midnight = tariff.night_from > tariff.night_until
    night = begins.toordinal() - (passes_midnight and begins.time() < tariff.night_until)
    charge = min(charge, tariff.night_cap_minor - nights[night])
    nights[night] += charge
    return charge
