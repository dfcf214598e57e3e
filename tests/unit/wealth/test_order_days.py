"""On which day an order counts, is confirmed and is cleared."""

from datetime import date, datetime, timedelta

import pytest

from actors.regulation.calendar import SHANGHAI, is_business_day, start_of_day
from actors.wealth.order_days import (
    DAY_ENDED_AFTER,
    clearing_at,
    clearing_day,
    confirmation_day,
    has_ended,
    order_day,
)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("at", "ordered", "confirmed"),
    [
        # A Wednesday, before and after the cut-off.
        ("2026-11-25T14:59:59", date(2026, 11, 25), date(2026, 11, 26)),
        ("2026-11-25T15:00:00", date(2026, 11, 26), date(2026, 11, 27)),
        # Over a weekend.
        ("2026-11-27T10:00:00", date(2026, 11, 27), date(2026, 11, 30)),
        ("2026-11-27T15:00:00", date(2026, 11, 30), date(2026, 12, 1)),
        ("2026-11-28T10:00:00", date(2026, 11, 30), date(2026, 12, 1)),
        # Before the National Day of 2026; its 10 October is a Saturday that is worked.
        ("2026-09-30T16:00:00", date(2026, 10, 8), date(2026, 10, 9)),
        ("2026-10-09T10:00:00", date(2026, 10, 9), date(2026, 10, 10)),
    ],
)
def test_orders_follow_the_calendar(at: str, ordered: date, confirmed: date) -> None:
    """Before 15:00 of a business day counts for it; T+1 passes over holidays, not make-up days."""
    assert order_day(_at(at)) == ordered
    assert confirmation_day(_at(at)) == clearing_day(_at(at)) == confirmed
    assert confirmation_day(_at(at), 0) == _at(at).date()
    assert is_business_day(confirmed)


def test_advances_are_cleared_in_the_morning() -> None:
    """Clearing is at 09:00 of Shanghai."""
    assert clearing_at(date(2026, 11, 26)) == _at("2026-11-26T09:00:00")


def test_a_day_ends_when_its_last_request_is_booked() -> None:
    """A day has ended some minutes after midnight, not at midnight."""
    midnight = start_of_day(date(2026, 11, 26))
    assert not has_ended(date(2026, 11, 25), midnight)
    assert not has_ended(date(2026, 11, 25), midnight + DAY_ENDED_AFTER - timedelta(seconds=1))
    assert has_ended(date(2026, 11, 25), midnight + DAY_ENDED_AFTER)
