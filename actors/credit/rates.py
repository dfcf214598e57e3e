"""The annualised rate of a plan, as a customer must see it before consent.

Source: PBoC announcement 〔2021〕 No. 3, see :mod:`actors.regulation.instalments`. The terms are
months, so the rate of a month is the internal rate of return of the payments by their numbers,
whatever the days between them.
"""

import msgspec
from pyxirr import irr

from actors.regulation.instalments import PPM

__all__ = ("AnnualRate", "annual_rate")

_MONTHS = 12


class AnnualRate(msgspec.Struct, frozen=True, kw_only=True):
    """Parts per million a year, each rounded to the nearest: a ten-thousandth of a percent.

    ``nominal_ppm`` is twelve times the monthly rate (IRR × 12), ``effective_ppm`` the monthly rate
    compounded over a year.
    """

    nominal_ppm: int
    effective_ppm: int


def annual_rate(principal_minor: int, payments_minor: tuple[int, ...]) -> AnnualRate:
    """Return the rate at which the monthly payments repay the principal.

    Floating point is good to about ten digits here; it enters what is shown and no amount of money.
    """
    assert principal_minor > 0
    assert sum(payments_minor) >= principal_minor, "a plan costs nothing or something"
    monthly = irr([float(principal_minor), *(-float(payment) for payment in payments_minor)])
    if monthly is None:
        raise ArithmeticError(f"no rate repays {principal_minor} with {payments_minor}")
    # A plan without cost comes out as a few parts in 10**12, of either sign.
    return AnnualRate(
        nominal_ppm=max(0, round(monthly * _MONTHS * PPM)),
        effective_ppm=max(0, round(((1 + monthly) ** _MONTHS - 1) * PPM)),
    )
