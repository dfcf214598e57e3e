"""The mathematics of a money-market fund whose unit is worth 1.00 yuan at all times.

Units are counted in hundredths (0.01 unit), so that one minor unit of the fund and one fen are the
same number. The fund publishes for each day what 10,000 units earned (万份收益), here an integer in
1/10,000 yuan: 5312 is 0.5312 yuan. What a holder earned is then exactly::

    units_minor × rate   in hundred-millionths of a fen

Rule of rounding: each day a holder gets whole fen, rounded down, as new units; what is below a fen
is carried to the next day and is never lost or rounded up. So over any number of days the fen
credited and the sums carried add up to what the units earned.

The income of day T is credited on T+1, after the day is over. A unit earns on the days from its
confirmation to the day before it leaves. Source: Measures for the Supervision of Money-Market Funds
(货币市场基金监督管理办法, CSRC and PBoC order 〔2015〕120): units bought on T share in the income
from the next business day on, units redeemed on T share in it until then.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext

import msgspec

__all__ = ("CARRY_PER_FEN", "YIELD_DAYS", "Income", "daily_income", "seven_day_yield")

# 100 (units_minor in a unit) × 10,000 (units that the rate is for) × 10,000 (the rate's own unit)
# / 100 (fen in a yuan): how many of the parts in which income is exact make a fen.
CARRY_PER_FEN = 10**8

# Over how many days the published yield is annualised.
YIELD_DAYS = 7

_DAYS_A_YEAR = 365


class Income(msgspec.Struct, frozen=True):
    """What a day brings: fen to credit as new units, and what is carried on (parts of a fen)."""

    income_minor: int
    carried: int


def daily_income(units_minor: int, rate: int, carried: int = 0) -> Income:
    """Return the income of one day on ``units_minor``, with what was carried so far.

    ``rate`` is what 10,000 units earned, in 1/10,000 yuan; ``carried`` is in
    1/:data:`CARRY_PER_FEN` fen. Rounded down to fen; the rest is carried.
    """
    if units_minor < 0 or rate < 0 or not 0 <= carried < CARRY_PER_FEN:
        raise ValueError(f"no income of {units_minor} units at {rate} with {carried} carried")
    return Income(*divmod(units_minor * rate + carried, CARRY_PER_FEN))


def seven_day_yield(rates: Sequence[int]) -> int:
    """Return the annualised yield of the last seven days (七日年化收益率), in parts per million.

    ``rates`` are those of seven days in a row. Source: CSRC disclosure rule No. 5 for money-market
    funds (证券投资基金信息披露编报规则第5号), for income credited daily::

        ((1 + R1/10000) × … × (1 + R7/10000)) ^ (365/7) − 1

    with R in yuan per 10,000 units. Rounded to the nearest, halves to even.
    """
    if len(rates) != YIELD_DAYS:
        raise ValueError(f"{len(rates)} rates; the yield is that of {YIELD_DAYS} days")
    with localcontext() as context:
        context.prec = 50
        grown = Decimal(1)
        for rate in rates:
            grown *= 1 + Decimal(rate) / 10_000 / 10_000
        yearly = grown ** (Decimal(_DAYS_A_YEAR) / YIELD_DAYS) - 1
        return int((yearly * 1_000_000).to_integral_value())
