"""What a top-up of power buys: units by steps of a month (阶梯电价), to the hundredth of a kWh.

The rule, in the order in which it is applied:

1. Units are hundredths of a kWh, and money is counted in hundredths of a fen, so that one unit
   costs a whole number: the price of a kWh in fen.
2. Money buys units of the lowest step that is not used up in the month, then of the next.
3. What is too little for one more unit is kept, and helps to buy with the next top-up. That is the
   only rounding, and nothing is lost by it.

So at any time the money paid is the price of all units bought plus what is kept, exactly. Two
top-ups in a month buy what one of their sum buys.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ("STEPS_MAX", "PowerStep", "Purchase", "buy_units", "check_steps")

# Residential tariffs have three steps; dormitories have a free one before them in some places.
STEPS_MAX = 6
# 0.01 kWh of anything below 1 fen a kWh is not sold; ¥10 a kWh is ten times the price of 2026.
_PRICE_MAX = 1_000
# A month of a whole building, in hundredths of a kWh.
_UNITS_MAX = 10**9

_HUNDREDTHS = 100


class PowerStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of the tariff: units of a month up to and including ``up_to_units`` in all.

    The last step has no end. ``kwh_minor`` is the price of a kWh in fen.
    """

    kwh_minor: Annotated[int, Meta(ge=1, le=_PRICE_MAX)]
    up_to_units: Annotated[int, Meta(ge=1, le=_UNITS_MAX)] | None = None


class Purchase(msgspec.Struct, frozen=True):
    """Units that were bought, and the hundredths of a fen that are left."""

    units: int
    change: int


def check_steps(steps: Sequence[PowerStep]) -> None:
    """Raise :class:`ValueError` unless the steps rise and only the last has no end."""
    *limited, last = steps
    ends = [step.up_to_units for step in limited]
    if last.up_to_units is not None or None in ends:
        raise ValueError("the last step, and only the last, has no up_to_units")
    if ends != sorted(set(ends), key=lambda end: end or 0):
        raise ValueError("each step ends above the one before it")


def buy_units(
    steps: Sequence[PowerStep], bought_in_month: int, change: int, amount_minor: int
) -> Purchase:
    """Return what an amount (fen) buys, after what was bought in the month already."""
    money = amount_minor * _HUNDREDTHS + change
    bought = bought_in_month
    for step in steps:
        room = money if step.up_to_units is None else step.up_to_units - bought
        units = min(max(0, room), money // step.kwh_minor)
        bought += units
        money -= units * step.kwh_minor
        if step.up_to_units is None or bought < step.up_to_units:
            break
    return Purchase(bought - bought_in_month, money)
