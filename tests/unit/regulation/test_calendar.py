"""Business days of the Chinese calendar, checked against the State Council's notices."""

import logging
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.regulation import calendar
from actors.regulation.calendar import (
    LAST_YEAR,
    SHANGHAI,
    BusinessDayRules,
    add_business_days,
    business_day,
    calendar_statistics,
    covers,
    day_of,
    is_business_day,
    next_business_day,
    start_of_day,
)

_DAYS = st.dates(min_value=date(2004, 1, 1), max_value=date(2026, 12, 31))


# 国办发明电〔2024〕12号 (2025) and 国办发明电〔2025〕7号 (2026).
@pytest.mark.parametrize(
    "day",
    [
        date(2025, 1, 28),  # the eve of the Spring Festival
        date(2025, 2, 4),
        date(2025, 4, 4),
        date(2025, 10, 8),
        date(2026, 1, 2),
        date(2026, 2, 16),
        date(2026, 2, 17),
        date(2026, 2, 23),  # a Monday, the ninth day of the holiday
        date(2026, 5, 5),
        date(2026, 6, 19),
        date(2026, 9, 25),
        date(2026, 10, 7),
        date(2026, 3, 7),  # a plain Saturday
    ],
)
def test_holidays_and_weekends_are_no_business_days(day: date) -> None:
    """Banks rest on statutory holidays and on plain weekends."""
    assert not is_business_day(day)


@pytest.mark.parametrize(
    "day",
    [
        date(2025, 1, 26),
        date(2025, 2, 8),
        date(2025, 4, 27),
        date(2025, 9, 28),
        date(2025, 10, 11),
        date(2026, 1, 4),
        date(2026, 2, 14),
        date(2026, 2, 28),
        date(2026, 5, 9),
        date(2026, 9, 20),
        date(2026, 10, 10),
    ],
)
def test_make_up_days_are_business_days(day: date) -> None:
    """A weekend day that makes up for a holiday is worked."""
    assert day.weekday() >= 5
    assert is_business_day(day)


def test_business_days_around_spring_festival() -> None:
    """The holiday of 2026 is nine days long and has a worked Saturday on either side."""
    assert add_business_days(date(2026, 2, 13), 1) == date(2026, 2, 14)
    assert add_business_days(date(2026, 2, 14), 1) == date(2026, 2, 24)
    assert add_business_days(date(2026, 2, 24), -1) == date(2026, 2, 14)
    assert add_business_days(date(2026, 2, 27), 1) == date(2026, 2, 28)
    assert next_business_day(date(2026, 2, 17)) == date(2026, 2, 24)


def test_a_weekend_shares_its_next_business_day() -> None:
    """One business day after Friday, Saturday and Sunday is the same Monday."""
    days = [date(2026, 3, 6), date(2026, 3, 7), date(2026, 3, 8)]
    assert {add_business_days(day, 1) for day in days} == {date(2026, 3, 9)}
    assert [add_business_days(day, 0) for day in days] == [
        date(2026, 3, 6), date(2026, 3, 9), date(2026, 3, 9),
    ]  # fmt: skip


def test_days_are_counted_in_shanghai() -> None:
    """The day turns at 16:00 UTC, and a naive datetime is refused."""
    assert day_of(datetime(2026, 3, 8, 15, 59, 59, tzinfo=UTC)) == date(2026, 3, 8)
    assert day_of(datetime(2026, 3, 8, 16, tzinfo=UTC)) == date(2026, 3, 9)
    assert start_of_day(date(2026, 3, 9)) == datetime(2026, 3, 8, 16, tzinfo=UTC)
    with pytest.raises(ValueError, match="no time zone"):
        day_of(datetime(2026, 3, 8))  # noqa: DTZ001


def test_the_cut_off_moves_an_instant_to_the_next_business_day() -> None:
    """From 15:00 on, an instant of a Friday belongs to Monday; a second earlier it is Friday's."""
    rules = BusinessDayRules(cut_off=time(15))
    friday = datetime(2026, 3, 6, 15, tzinfo=SHANGHAI)
    assert business_day(friday, rules) == date(2026, 3, 9)
    assert business_day(friday - timedelta(seconds=1), rules) == date(2026, 3, 6)
    assert business_day(friday) == date(2026, 3, 6)


def test_a_cut_off_on_the_last_day_before_a_holiday() -> None:
    """After the cut-off of the last worked Saturday the next business day is nine days away."""
    rules = BusinessDayRules(cut_off=time(15))
    assert business_day(datetime(2026, 2, 14, 16, tzinfo=SHANGHAI), rules) == date(2026, 2, 24)


def test_beyond_the_known_years_weekends_alone_count(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A year without a notice falls back to weekends, says so once and keeps a flag."""
    monkeypatch.setattr(calendar, "_fallback", calendar._Fallback())
    assert not calendar_statistics().fell_back_to_weekends
    new_year = date(LAST_YEAR + 1, 1, 1)
    with caplog.at_level(logging.WARNING):
        assert not covers(new_year)
        assert is_business_day(new_year) == (new_year.weekday() < 5)
        add_business_days(new_year, 5)
    assert calendar_statistics().fell_back_to_weekends
    assert len(caplog.records) == 1
    assert str(LAST_YEAR + 1) in caplog.text


def test_a_known_year_does_not_raise_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days of known years leave the flag down."""
    monkeypatch.setattr(calendar, "_fallback", calendar._Fallback())
    add_business_days(date(2026, 1, 5), 100)
    assert not calendar_statistics().fell_back_to_weekends


def test_a_reach_of_more_than_five_years_is_refused() -> None:
    """A mistaken number of days raises and does not loop."""
    with pytest.raises(ValueError, match="five years"):
        add_business_days(date(2010, 1, 4), 10_000)


@given(day=_DAYS, days=st.integers(1, 40))
def test_adding_business_days_counts_them(day: date, days: int) -> None:
    """Between a day and the n-th business day after it lie exactly n business days."""
    end = add_business_days(day, days)
    between = [day + timedelta(days=n) for n in range(1, (end - day).days + 1)]
    assert is_business_day(end)
    assert sum(is_business_day(each) for each in between) == days


@given(day=_DAYS, days=st.integers(1, 40))
def test_going_back_undoes_going_forward(day: date, days: int) -> None:
    """From a business day, n forward and n back is where one began."""
    start = next_business_day(day)
    assert add_business_days(add_business_days(start, days), -days) == start


@given(at=st.datetimes(datetime(2004, 1, 2), datetime(2026, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_lies_within_its_day(at: datetime) -> None:
    """The day of an instant begins at or before it and ends after it."""
    day = day_of(at)
    assert start_of_day(day) <= at < start_of_day(day + timedelta(days=1))
