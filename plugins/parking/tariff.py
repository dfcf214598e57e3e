"""What a stay costs: free minutes, a rate by day and by night, a cap for each calendar day.

The rule, in the order in which it is applied:

1. A stay of at most ``free_minutes`` is free. A longer one is charged from the entry on: the free
   minutes are not taken off.
2. Hours are counted from the entry, in elapsed time, and a started hour is charged whole. That is
   the only rounding, and it is up; a stay of exactly 60 minutes is one hour.
3. A started hour costs the night rate when it begins inside the night window, else the day rate,
   by the lot's wall clock.
4. It belongs to the calendar day, in the lot's zone, on which it begins. The hours of one day
   cost at most ``daily_cap_minor``.

So the fee never falls as a stay gets longer, and it never exceeds the cap times the days touched.
"""

from collections import defaultdict
from datetime import UTC, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

__all__ = ("RATE_MINOR_MAX", "STAY_DAYS_MAX", "Tariff", "fee_minor", "load_zone")

# Ten thousand yuan in fen, for an hour or for a day: far above any car park, and small enough
# that the dearest stay (366 caps) stays far below the largest amount of a payment.
RATE_MINOR_MAX = 1_000_000

# The hours beyond one leap year are not charged. It bounds the work of one message, and the harm
# of one clock that is years off.
STAY_DAYS_MAX = 366

_HOUR = timedelta(hours=1)

_Rate = Annotated[int, Meta(ge=0, le=RATE_MINOR_MAX)]
_WallTime = Annotated[time, Meta(tz=False)]


class Tariff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The prices of one lot, in minor units. Equal ends of the night window mean there is none."""

    free_minutes: Annotated[int, Meta(ge=0, le=1440)] = 0
    hour_minor: _Rate
    night_hour_minor: _Rate
    daily_cap_minor: _Rate
    night_from: _WallTime = time(22)
    night_until: _WallTime = time(6)
    zone: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*(?!\n)$")] = (
        "Asia/Shanghai"
    )


def load_zone(name: str) -> ZoneInfo:
    """Return the time zone called ``name``; raise :class:`ValueError` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # A path out of the zone database is a ValueError, a folder in it (`Asia`) an OSError.
        raise ValueError(f"no time zone is called {name!r}") from error


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
    days: defaultdict[int, int] = defaultdict(int)
    for hour in range(_started_hours(stay)):
        begins = (entered + hour * _HOUR).astimezone(zone)
        days[begins.toordinal()] += _rate_minor(tariff, begins.time())
    return sum(min(charged, tariff.daily_cap_minor) for charged in days.values())


def _started_hours(stay: timedelta) -> int:
    return -(-min(stay, timedelta(days=STAY_DAYS_MAX)) // _HOUR)


def _rate_minor(tariff: Tariff, wall: time) -> int:
    start, end = tariff.night_from, tariff.night_until
    # A window such as 22:00-06:00 passes midnight: it is all that is not from 06:00 to 22:00.
    night = start <= wall < end if start <= end else not end <= wall < start
    return tariff.night_hour_minor if night else tariff.hour_minor
