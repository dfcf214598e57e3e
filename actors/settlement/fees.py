"""What a merchant pays for a payment: a rate in parts per million, with a least and a most."""

from schemas.merchants import PPM, FeeRate

__all__ = ("NO_FEE", "fee_of", "fee_rate_for", "half_up")

NO_FEE = FeeRate(ppm=0)


def half_up(amount_minor: int, ppm: int) -> int:
    """Return ``ppm`` parts per million of an amount (minor units), rounded half up to the fen."""
    return (amount_minor * ppm + PPM // 2) // PPM


def fee_of(amount_minor: int, rate: FeeRate) -> int:
    """Return the fee on an amount, minor units.

    The share is rounded half up to the fen, then raised to ``min_minor`` and lowered to
    ``max_minor``; it never exceeds the amount, so that a payment of one fen does not cost the
    merchant more than it brings.
    """
    fee = max(half_up(amount_minor, rate.ppm), rate.min_minor)
    if rate.max_minor is not None:
        fee = min(fee, rate.max_minor)
    return min(fee, amount_minor)


def fee_rate_for(method: str, rates: dict[str, FeeRate], default: FeeRate | None) -> FeeRate:
    """Return the rate of a method, or the default, or that of no fee."""
    return rates.get(method, default or NO_FEE)
