"""Who gets what of a payment, and of a refund.

What a lot earns is divided by the parts per million of its shares; the operator has the rest of
the million. By largest remainder: each has the whole fen of its exact quota, and the fen left over
go to the largest fractions, of equal ones to the operator first and then in the order of the
shares. So the parts always sum to the amount. A refund is divided the same way, by what each has
had, so nobody gives back more than that.
"""

from collections.abc import Sequence

from zhihui.plugin import Pay, Share

from .terms import PPM, LotShare

__all__ = ("divide", "refund_payments", "shares_of")


def divide(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Return the parts of an amount by weights, by largest remainder."""
    total = sum(weights)
    quotas = [divmod(amount_minor * weight, total) for weight in weights]
    parts = [whole for whole, _ in quotas]
    # `sorted` is stable: equal fractions keep the order of the weights.
    by_fraction = sorted(range(len(quotas)), key=lambda place: -quotas[place][1])
    for place in by_fraction[: amount_minor - sum(parts)]:
        parts[place] += 1
    return parts


def shares_of(amount_minor: int, shares: Sequence[LotShare]) -> tuple[Share, ...]:
    """Return what the operator passes on of an amount; the rest stays with it."""
    if not shares:
        return ()
    parts = divide(amount_minor, _weights(shares))[1:]
    return tuple(
        Share(payee=share.payee, amount_minor=part)
        for share, part in zip(shares, parts, strict=True)
        if part
    )


def refund_payments(
    refund_minor: int,
    paid_minor: int,
    shares: Sequence[LotShare],
    *,
    operator: str,
    payer: str,
    reference: str,
) -> tuple[Pay, ...]:
    """Return the payments that give back a part of what was paid, taking the shares back first."""
    had = divide(paid_minor, _weights(shares))
    back = divide(refund_minor, had)
    takes = tuple(
        Pay(payer=share.payee, payee=operator, amount_minor=part, reference=reference)
        for share, part in zip(shares, back[1:], strict=True)
        if part
    )
    give = Pay(payer=operator, payee=payer, amount_minor=refund_minor, reference=reference)
    return (*takes, give)


def _weights(shares: Sequence[LotShare]) -> list[int]:
    weights = [share.ppm for share in shares]
    return [PPM - sum(weights), *weights]
