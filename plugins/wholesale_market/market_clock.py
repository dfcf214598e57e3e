"""The market's clock: opening hours, the close of its day and of its week, months of turnover."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .terms import MarketTerms

__all__ = ("day_of", "is_open", "load_zone", "month_of", "next_day_close", "next_week_close")

_DAY = timedelta(days=1)
_SUNDAY = 6


def load_zone(name: str) -> ZoneInfo:
    """Return the time zone called ``name``; raise :class:`ValueError` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # A path out of the zone database is a ValueError, a folder in it (`Asia`) an OSError.
        raise ValueError(f"no time zone is called {name!r}") from error


def day_of(terms: MarketTerms, at: datetime) -> date:
    """Return the calendar day of a moment on the market's wall."""
    return at.astimezone(load_zone(terms.zone)).date()


def month_of(day: date) -> int:
    """Return a number for the month of a day; the next month has the next number."""
    return day.year * 12 + day.month - 1


def is_open(terms: MarketTerms, at: datetime) -> bool:
    """Tell whether goods are weighed at that moment."""
    wall = at.astimezone(load_zone(terms.zone)).time()
    opens, closes = terms.opens, terms.closes
    if opens == closes:
        return True
    # Most markets trade through the night: 22:00-10:00 is all that is not from 10:00 to 22:00.
    return opens <= wall < closes if opens < closes else not closes <= wall < opens


def next_day_close(terms: MarketTerms, after: datetime) -> datetime:
    """Return the next close of a day that is later than ``after``, in UTC."""
    day = day_of(terms, after)
    close = _at(terms, day, terms.day_close)
    return close if close > after else _at(terms, day + _DAY, terms.day_close)


def next_week_close(terms: MarketTerms, after: datetime) -> datetime:
    """Return the next close of a Sunday that is later than ``after``, in UTC."""
    close = next_day_close(terms, after)
    day = day_of(terms, close)
    return _at(terms, day + (_SUNDAY - day.weekday()) * _DAY, terms.day_close)


def _at(terms: MarketTerms, day: date, wall: time) -> datetime:
    return datetime.combine(day, wall, load_zone(terms.zone)).astimezone(UTC)
