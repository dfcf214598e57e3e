"""When a plan's terms are due, and how its principal and fee are divided among them.

Due dates are calendar days: the same day of each month, or the month's last when it is shorter.
They are not moved on weekends and holidays, because an account can be debited on every day.
"""

from calendar import monthrange
from datetime import date

from actors.regulation.instalments import PPM

__all__ = ("add_months", "divided", "due_dates", "instalment_fee")

_MONTHS = 12


def add_months(day: date, months: int) -> date:
    """Return the same day ``months`` later, or the last of that month when it has no such day."""
    year, month = divmod(day.year * _MONTHS + day.month - 1 + months, _MONTHS)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def due_dates(started_on: date, terms: int) -> tuple[date, ...]:
    """Return the due date of each term.

    Each is counted from ``started_on``, so that a short month moves none but its own: a plan of
    31 January is due on 28 February and on 31 March.
    """
    return tuple(add_months(started_on, number) for number in range(1, terms + 1))


def divided(amount_minor: int, terms: int) -> tuple[int, ...]:
    """Divide an amount (minor units) into equal parts, rounded down; the last takes the rest."""
    part = amount_minor // terms
    return (*[part] * (terms - 1), amount_minor - part * (terms - 1))


def instalment_fee(principal_minor: int, terms: int, fee_ppm: int) -> int:
    """Return the whole fee of a plan in minor units, rounded half up, once.

    ``fee_ppm`` is per term. The parts of the terms are made from the whole by :func:`divided`, so
    that a plan costs the same whether it is charged up front or term by term.
    """
    return (2 * principal_minor * fee_ppm * terms + PPM) // (2 * PPM)
