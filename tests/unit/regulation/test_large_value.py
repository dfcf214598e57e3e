"""Thresholds of the large-value report, and when it is due."""

from datetime import date

import pytest

from actors.regulation.large_value import LARGE_VALUE


@pytest.mark.parametrize(
    ("party", "what", "yuan"),
    [
        ("person", "transfer", 500_000),
        ("company", "transfer", 2_000_000),
        ("person", "cash", 50_000),
        ("company", "cash", 50_000),
    ],
)
def test_thresholds_are_those_of_the_order(party: str, what: str, yuan: int) -> None:
    """Article 5 of order 〔2016〕3, in fen."""
    assert LARGE_VALUE.threshold_minor(party, what) == yuan * 100  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("day", "due"),
    [
        # A plain week.
        (date(2026, 11, 23), date(2026, 11, 30)),
        # Saturday: five working days from Monday on.
        (date(2026, 11, 21), date(2026, 11, 27)),
        # Before National Day 2025: the 28th is a worked Sunday, holidays last until 8 October.
        (date(2025, 9, 26), date(2025, 10, 10)),
    ],
)
def test_it_is_due_after_five_working_days(day: date, due: date) -> None:
    """Holidays do not count, make-up days do."""
    assert LARGE_VALUE.due(day) == due
