"""When a merchant is settled, by its cycle and the Chinese calendar."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from actors.regulation.calendar import SHANGHAI
from actors.settlement.cycles import (
    as_time,
    daily_cut_off,
    day_closed_by,
    last_cut_off,
    next_cut_off,
)


def _at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=SHANGHAI)


def test_d1_settles_every_day() -> None:
    """D+1 runs on holidays too, and takes what came before midnight."""
    assert daily_cut_off("D+1", _at(2, 17, 1)) == _at(2, 17)
    assert last_cut_off("D+1", _at(2, 17, 15)) == _at(2, 17)


def test_t1_settles_on_business_days() -> None:
    """T+1 rests over the Spring Festival, works on the make-up Saturday, and then takes it all."""
    assert daily_cut_off("T+1", _at(2, 14, 1)) == _at(2, 14)  # a Saturday that is worked
    for day in range(15, 24):
        assert daily_cut_off("T+1", _at(2, day, 1)) is None
        assert last_cut_off("T+1", _at(2, day, 15)) == _at(2, 14)
    assert daily_cut_off("T+1", _at(2, 24, 1)) == _at(2, 24)
    assert next_cut_off("T+1", _at(2, 14, 12), _at(2, 14), _at(2, 24)) == _at(2, 24)


def test_t0_settles_up_to_now() -> None:
    """A run by hand takes everything up to this moment; the daily run what came before midnight."""
    assert last_cut_off("T+0", _at(3, 1, 12, 5)) == _at(3, 1, 12, 5)
    assert daily_cut_off("T+0", _at(3, 2, 1)) == _at(3, 2)


def test_an_outage_of_days_is_made_up_day_by_day() -> None:
    """After four days D+1 settles the oldest day first, then the next, and skips empty ones."""
    done, wanted = _at(3, 1), _at(3, 5)
    assert next_cut_off("D+1", _at(3, 1, 9), done, wanted) == _at(3, 2)
    assert next_cut_off("D+1", _at(3, 3, 9), _at(3, 2), wanted) == _at(3, 4)
    assert next_cut_off("D+1", None, _at(3, 4), wanted) is None
    assert next_cut_off("D+1", _at(3, 5, 0, 1), _at(3, 4), wanted) is None


def test_a_late_leg_goes_to_the_next_day() -> None:
    """A leg stamped before midnight and committed after the cut-off waits for the next day's."""
    late = _at(3, 1, 23, 59)
    assert next_cut_off("D+1", late, _at(3, 2), _at(3, 2)) is None
    assert next_cut_off("D+1", late, _at(3, 2), _at(3, 3)) == _at(3, 3)


def test_a_settlement_is_for_the_day_that_it_closes() -> None:
    """A cut-off at midnight closes the day before, one in the day that day."""
    assert day_closed_by(_at(3, 2)).isoformat() == "2026-03-01"
    assert day_closed_by(_at(3, 2, 0, 1)).isoformat() == "2026-03-02"


@given(
    first=st.integers(0, 10 * 1440), done=st.integers(0, 10), wanted=st.integers(0, 10),
)  # fmt: skip
def test_cut_offs_go_forward_and_never_beyond_what_is_wanted(
    first: int, done: int, wanted: int
) -> None:
    """A cut-off lies behind what was done and what it is for, and not behind what is wanted."""
    start = _at(3, 1)
    first_at = start + timedelta(minutes=first)
    done_until, wanted_until = start + timedelta(days=done), start + timedelta(days=wanted)
    cut_off = next_cut_off("D+1", first_at, done_until, wanted_until)
    if cut_off is not None:
        assert max(first_at, done_until) < cut_off <= wanted_until
    elif done_until < wanted_until:
        assert first_at >= wanted_until


def test_milliseconds_are_in_utc() -> None:
    """What is kept as Unix milliseconds comes back as the same instant."""
    assert as_time(int(_at(3, 1, 8).timestamp() * 1000)) == _at(3, 1, 8)
