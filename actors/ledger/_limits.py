"""What may leave and enter an account in a day and a year, and what did.

Days and years are those of Asia/Shanghai, which has been eight hours ahead of UTC all year round
since 1992. The limits themselves are given by whoever opens the account.
"""

from datetime import datetime, timedelta

from schemas.errors import LimitExceeded
from schemas.ledger import AccountLimits

__all__ = ("Limits", "check_limits", "today")

_SHANGHAI = timedelta(hours=8)


def today(at: datetime) -> tuple[int, int]:
    """Return the day (its proleptic ordinal) and the year of an instant in Asia/Shanghai."""
    there = at + _SHANGHAI
    return there.toordinal(), there.year


class Limits:
    """The limits of one account and what was used of them; None is no limit, amounts minor units.

    What was used counts for ``day`` and ``year`` only: on another day it is nothing.
    """

    __slots__ = (
        "day", "day_in", "day_in_max", "day_out", "day_out_max", "exempt", "year", "year_in",
        "year_in_max", "year_out", "year_out_max",
    )  # fmt: skip

    def __init__(
        self, day_out_max: int | None, day_in_max: int | None, year_out_max: int | None,
        year_in_max: int | None, exempt: str, day: int = 0, day_out: int = 0, day_in: int = 0,
        year: int = 0, year_out: int = 0, year_in: int = 0,
    ) -> None:  # fmt: skip
        self.day_out_max = day_out_max
        self.day_in_max = day_in_max
        self.year_out_max = year_out_max
        self.year_in_max = year_in_max
        self.exempt = exempt
        self.day = day
        self.day_out = day_out
        self.day_in = day_in
        self.year = year
        self.year_out = year_out
        self.year_in = year_in

    @classmethod
    def of(cls, limits: AccountLimits) -> "Limits":
        """Return limits of which nothing is used."""
        return cls(
            limits.day_out_max, limits.day_in_max, limits.year_out_max, limits.year_in_max,
            limits.exempt,
        )  # fmt: skip

    def row(self) -> tuple[int | str | None, ...]:
        """Return the columns of the table ``account_limit`` that follow the account's id."""
        return (
            self.day_out_max, self.day_in_max, self.year_out_max, self.year_in_max, self.exempt,
            self.day, self.day_out, self.day_in, self.year, self.year_out, self.year_in,
        )  # fmt: skip

    def used(self, now: tuple[int, int], *, out: bool) -> tuple[int, int]:
        """Return what went out of, or into, the account on this day and in this year."""
        day, year = now
        in_day = (self.day_out if out else self.day_in) if self.day == day else 0
        in_year = (self.year_out if out else self.year_in) if self.year == year else 0
        return in_day, in_year


def check_limits(
    name: str, limits: Limits, amount: int, now: tuple[int, int], *, out: bool, field: str
) -> None:
    """Raise :class:`~schemas.errors.LimitExceeded` when the amount would pass a limit."""
    in_day, in_year = limits.used(now, out=out)
    most_day = limits.day_out_max if out else limits.day_in_max
    most_year = limits.year_out_max if out else limits.year_in_max
    for used, most, period in ((in_day, most_day, "day"), (in_year, most_year, "year")):
        if most is not None and used + amount > most:
            raise LimitExceeded(
                f"account {name!r}: {used} minor units {'left' if out else 'came in'} this"
                f" {period}, and {amount} more would pass its limit of {most}",
                field=field,
            )
