"""Days and business days of the Chinese mainland, in Asia/Shanghai.

Source of the working days: the State Council's yearly notice on the arrangement of holidays
(国务院办公厅关于部分节假日安排的通知), as the package ``chinesecalendar`` carries it:
statutory holidays, and the weekend days that are worked to make up for them (调休). The notice for
a year appears in the autumn before it, so the package knows no year beyond the next one. Outside of
the years it knows, Monday to Friday count as business days; the log says so once, and
:func:`calendar_statistics` keeps saying it.

Every argument ``at`` is an aware datetime of any zone; a naive one raises ``ValueError``, because
the machine's own zone must not decide on which day money moves.
"""

import logging
from datetime import date, datetime, time, timedelta, timezone

import chinese_calendar  # type: ignore[import-untyped]
import msgspec
from chinese_calendar.constants import holidays  # type: ignore[import-untyped]

__all__ = (
    "DAYS_SEARCHED_MAX",
    "FIRST_YEAR",
    "LAST_YEAR",
    "SHANGHAI",
    "BusinessDayRules",
    "CalendarStatistics",
    "add_business_days",
    "business_day",
    "calendar_statistics",
    "covers",
    "day_of",
    "is_business_day",
    "next_business_day",
    "start_of_day",
)

_log = logging.getLogger(__name__)

# Shanghai has kept this offset since it gave up summer time in 1991, so no table of zones is needed
# and a machine without one counts the same days.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

FIRST_YEAR: int = min(holidays).year
LAST_YEAR: int = max(holidays).year

# Five years: no T+n of a bank reaches further, and a mistaken n must not turn into a long loop.
DAYS_SEARCHED_MAX = 1830

_ONE_DAY = timedelta(days=1)
_SATURDAY = 5


class BusinessDayRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Configure where a business day ends.

    ``cut_off`` is the time of day in Shanghai from which an instant belongs to the business day
    after; null means midnight. Funds take orders until 15:00 (each fund's prospectus, 招募说明书),
    payments until midnight.
    """

    cut_off: time | None = None


class CalendarStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Say which years are known, and whether a day outside of them was ever asked for."""

    first_year: int
    last_year: int
    fell_back_to_weekends: bool


class _Fallback:
    """Whether the fallback was needed, so that the log says it once and not once a payment."""

    def __init__(self) -> None:
        self.happened = False

    def note(self, day: date) -> None:
        if self.happened:
            return
        self.happened = True
        _log.warning(
            "no holidays are known for %d (only %d to %d); outside of these years every Monday to "
            "Friday counts as a business day until chinesecalendar is updated",
            day.year,
            FIRST_YEAR,
            LAST_YEAR,
        )


_fallback = _Fallback()
_MIDNIGHT = BusinessDayRules()


def day_of(at: datetime) -> date:
    """Return the calendar day in Shanghai to which an instant belongs."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone; hand in an aware datetime")
    return at.astimezone(SHANGHAI).date()


def start_of_day(day: date) -> datetime:
    """Return the instant at which a day begins in Shanghai, as an aware datetime."""
    return datetime.combine(day, time.min, SHANGHAI)


def covers(day: date) -> bool:
    """Tell whether holidays and make-up days are known for ``day``."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


def is_business_day(day: date) -> bool:
    """Tell whether banks work on ``day``: make-up Saturdays yes, holidays no."""
    if covers(day):
        return bool(chinese_calendar.is_workday(day))
    _fallback.note(day)
    return day.weekday() < _SATURDAY


def next_business_day(day: date) -> date:
    """Return ``day`` if it is a business day, else the first one after it."""
    return _search(day, 1)


def business_day(at: datetime, rules: BusinessDayRules = _MIDNIGHT) -> date:
    """Return the business day to which an instant belongs.

    An instant at or after the cut-off belongs to the next day; a day that is none belongs to the
    first business day after it. So Friday 15:00 with a cut-off at 15:00 is Monday's.
    """
    day = day_of(at)
    if rules.cut_off is not None and at.astimezone(SHANGHAI).time() >= rules.cut_off:
        day += _ONE_DAY
    return next_business_day(day)


def add_business_days(day: date, days: int) -> date:
    """Return the ``days``-th business day after ``day``, or before it when negative.

    ``day`` itself never counts, whether it is a business day or not: one business day after a
    Friday, a Saturday or a Sunday is the same Monday. Zero gives ``day`` or the first business day
    after it. Raises ``ValueError`` when that lies more than five years away.
    """
    if days == 0:
        return next_business_day(day)
    step = 1 if days > 0 else -1
    found = day
    for _ in range(abs(days)):
        found = _search(found + step * _ONE_DAY, step)
        if abs((found - day).days) > DAYS_SEARCHED_MAX:
            raise ValueError(f"{days} business days reach more than five years away from {day}")
    return found


def calendar_statistics() -> CalendarStatistics:
    """Return the years that are known and whether the fallback was needed since the start."""
    return CalendarStatistics(
        first_year=FIRST_YEAR, last_year=LAST_YEAR, fell_back_to_weekends=_fallback.happened
    )


def _search(day: date, step: int) -> date:
    # The longest run of holidays is nine days, so this ends soon.
    while not is_business_day(day):
        day += step * _ONE_DAY
    return day
