"""Times that come from outside, and the days of a school."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from zhihui.plugin import Context, InvalidField

__all__ = ("CLOCK_SKEW_MAX", "check_past", "day_in", "in_past", "load_zone")

# How far clocks of terminals and meters may run ahead. They set their clocks once a day over
# whatever network they find: minutes happen, hours are a fault.
CLOCK_SKEW_MAX = timedelta(minutes=10)

# Before there were such terminals. It keeps all arithmetic off the ends of the calendar.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def check_past(context: Context, field: str, instant: datetime) -> None:
    """Raise :class:`InvalidField` for a time ahead of the service's clock, or long before it.

    There is no limit to lateness: a terminal that was in a drawer all summer has its say.
    """
    if not in_past(context, instant):
        now = context.clock.now()
        raise InvalidField(
            f"{field} is {instant.isoformat()}; expected a time after the year 2000 and at most "
            f"{CLOCK_SKEW_MAX} ahead of the service's clock at {now.isoformat()}",
            field=field,
        )


def in_past(context: Context, instant: datetime) -> bool:
    """Tell whether something may have happened then: see :func:`check_past`."""
    return _EARLIEST <= instant <= context.clock.now() + CLOCK_SKEW_MAX


def load_zone(name: str) -> ZoneInfo:
    """Return the time zone called ``name``; raise :class:`ValueError` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # A path out of the zone database is a ValueError, a folder in it (`Asia`) an OSError.
        raise ValueError(f"no time zone is called {name!r}") from error


def day_in(zone: str, instant: datetime) -> date:
    """Return the calendar day of a moment in a zone."""
    return instant.astimezone(load_zone(zone)).date()
