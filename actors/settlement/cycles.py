"""When a merchant is settled: the cut-offs of its cycle.

- ``D+1``: every day, the day before.
- ``T+1``: every business day, all since the last one; Monday settles Friday to Sunday.
- ``T+0``: whenever it is asked for, up to that moment; and every day, what was left of the day
  before.

A cut-off is an instant: legs stamped before it are settled, later ones wait for the next.
"""

from datetime import UTC, date, datetime, timedelta

from actors.regulation.calendar import add_business_days, day_of, is_business_day, start_of_day
from schemas.merchants import Cycle

__all__ = ("as_time", "daily_cut_off", "day_closed_by", "last_cut_off", "next_cut_off")

_ONE_DAY = timedelta(days=1)


def as_time(at_ms: int) -> datetime:
    """Return Unix milliseconds as a time in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def daily_cut_off(cycle: Cycle, now: datetime) -> datetime | None:
    """Return up to when the daily run at ``now`` settles; None on a day on which it does not."""
    today = day_of(now)
    if cycle == "T+1" and not is_business_day(today):
        return None
    return start_of_day(today)


def last_cut_off(cycle: Cycle, now: datetime) -> datetime:
    """Return up to when a run by hand at ``now`` settles."""
    if cycle == "T+0":
        return now
    today = day_of(now)
    if cycle == "T+1" and not is_business_day(today):
        today = add_business_days(today, -1)
    return start_of_day(today)


def next_cut_off(
    cycle: Cycle, first_at: datetime | None, done_until: datetime, wanted_until: datetime
) -> datetime | None:
    """Return the cut-off of the next settlement, or None when there is nothing to settle yet.

    ``first_at`` is when the first leg that is not settled was made, None when there is none. After
    an outage of some days each day gets its own settlement under D+1, as if it had been in time.
    """
    if first_at is None or first_at >= wanted_until:
        return None
    if cycle != "D+1":
        return wanted_until
    # A leg that was committed after the cut-off of its day belongs to the day after.
    reached = max(first_at, done_until)
    cut_off = start_of_day(day_of(reached) + _ONE_DAY)
    return cut_off if cut_off <= wanted_until else None


def day_closed_by(cut_off: datetime) -> date:
    """Return the last day of which a settlement with this cut-off holds something."""
    return day_of(cut_off - timedelta(microseconds=1))
