"""On which day an order to a fund counts, when it is confirmed, and from when units earn.

An order given before 15:00 of a business day counts for that day (T), a later one for the next.
Source: the opening hours of the exchanges, to which each fund's prospectus (招募说明书) binds its
orders; the calendar is :mod:`actors.regulation.calendar`.
"""

from datetime import date, datetime, time, timedelta

from actors.regulation.calendar import (
    BusinessDayRules,
    add_business_days,
    business_day,
    day_of,
    start_of_day,
)

__all__ = (
    "CLEARING_TIME",
    "DAY_ENDED_AFTER",
    "FUND_DAYS",
    "INCOME_TIME",
    "POSTPONED_FOR",
    "clearing_at",
    "clearing_day",
    "confirmation_day",
    "day_after",
    "has_ended",
    "next_time",
    "order_day",
)

FUND_DAYS = BusinessDayRules(cut_off=time(15))

# A request is decided at once and committed before its deadline, which is at most a minute away. So
# what belongs to a day is in the books this long after its end.
DAY_ENDED_AFTER = timedelta(minutes=5)

# In the morning of T+1 the fund's registrar has confirmed what was redeemed: then redemptions are
# paid, and the bank gets back what it advanced.
CLEARING_TIME = time(9)
# Income is credited before the customers of the day come.
INCOME_TIME = time(6)
# An income page that could not be booked is read anew after this.
POSTPONED_FOR = timedelta(minutes=1)


def order_day(at: datetime) -> date:
    """Return T, the business day for which an order at this instant counts."""
    return business_day(at, FUND_DAYS)


def confirmation_day(at: datetime, days: int = 1) -> date:
    """Return T+``days``: when units are confirmed, or ordinary redemptions paid.

    With zero days an order is confirmed at once, on its calendar day.
    """
    return add_business_days(order_day(at), days) if days else day_of(at)


def clearing_day(at: datetime) -> date:
    """Return T+1, the business day on which an advance made at this instant is cleared."""
    return add_business_days(order_day(at), 1)


def clearing_at(day: date) -> datetime:
    """Return the instant of ``day`` at which redemptions are paid and advances cleared."""
    return datetime.combine(day, CLEARING_TIME, start_of_day(day).tzinfo)


def has_ended(day: date, now: datetime) -> bool:
    """Tell whether all that belongs to a calendar day is in the books by ``now``."""
    return now >= start_of_day(day_after(day)) + DAY_ENDED_AFTER


def next_time(now: datetime, at: time) -> datetime:
    """Return the next instant at which it is ``at`` in Shanghai."""
    found = datetime.combine(day_of(now), at, start_of_day(day_of(now)).tzinfo)
    return found if found > now else found + timedelta(days=1)


def day_after(day: date) -> date:
    """Return the next calendar day."""
    return day + timedelta(days=1)
