"""The sums of the trade as a clerk does them with a pencil: decimals and fractions, step by step.

The model and the people of the story use them. They share nothing with the pack, which works in
integers throughout.
"""

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction

__all__ = ("cost", "deposit", "division", "half_up", "interest")

_MILLION = Decimal(1_000_000)
_ONE = Decimal(1)
_KILOGRAMS = {"kg": Decimal(1), "jin": Decimal("0.5")}


def half_up(value: Decimal) -> int:
    """Return the value rounded half up to a whole number."""
    return int(value.quantize(_ONE, rounding=ROUND_HALF_UP))


def cost(net_g: int, price: int, unit: str, loss_ppm: int, wipe: int) -> int:
    """Return what a net weight costs in fen, with the loss taken off and the change dropped."""
    payable = net_g - half_up(Decimal(net_g) * loss_ppm / _MILLION)
    units = Decimal(payable) / 1000 / _KILOGRAMS[unit]
    fen = half_up(units * price)
    return int((Decimal(fen) / wipe).quantize(_ONE, rounding=ROUND_FLOOR)) * wipe


def division(
    amount: int, net_g: int, *, commission_ppm: int, fee_ppm: int, per_kg: int
) -> dict[str, int]:
    """Return what farmer, stall, market and carrier have of an amount."""
    stall = Fraction(amount * commission_ppm, 1_000_000)
    market = Fraction(amount * fee_ppm, 1_000_000)
    exact = {"farmer": amount - stall - market, "stall": stall, "market": market}
    parts = {who: int(share) for who, share in exact.items()}
    while sum(parts.values()) < amount:
        lost = {who: share - int(share) for who, share in exact.items() if parts[who] <= share}
        # The first of the largest, as the parties stand.
        lucky = max(lost, key=lambda who: lost[who])
        parts[lucky] += 1
        exact[lucky] = Fraction(parts[lucky])
    freight = half_up(Decimal(net_g) / 1000 * per_kg)
    parts["carrier"] = min(freight, parts["farmer"])
    parts["farmer"] -= parts["carrier"]
    return parts


def deposit(declared_g: int, per_tonne: int) -> int:
    """Return the deposit for a load, half up to a fen."""
    return half_up(Decimal(declared_g) / 1_000_000 * per_tonne)


def interest(principal: int, days: int, daily_ppm: int) -> Decimal:
    """Return the interest of some days in fen, exact."""
    return Decimal(principal) * daily_ppm * days / _MILLION
