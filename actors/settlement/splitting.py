"""Shares of an amount that always sum to the whole (分润), and the way they go back.

Everything here rests on one function, :func:`apportion`: the method of the largest remainder. Each
share gets the whole fen of its exact quota; the fen left over go, one each, to the shares that lost
the largest fraction, and among equal fractions to the one that stands first.
"""

from collections.abc import Sequence

from schemas.errors import InvalidField
from schemas.merchants import PPM, FixedShare, PpmShare, SplitRule

__all__ = ("apportion", "check_rule", "refund_split", "split")


def apportion(amount_minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Return parts of an amount (minor units) in proportion to ``weights``, in their order.

    The parts sum to the amount; each is its exact quota rounded down or up, so none is negative and
    a weight of zero gets nothing. Raises ``ValueError`` for a negative amount or weight, and when
    there is an amount and no weight to give it to.
    """
    total = sum(weights)
    if amount_minor < 0 or min(weights, default=0) < 0:
        raise ValueError("neither the amount nor a weight may be negative")
    if total == 0:
        if amount_minor:
            raise ValueError(f"{amount_minor} has to go somewhere, and every weight is zero")
        return (0,) * len(weights)
    parts, fractions = [], []
    for weight in weights:
        part, fraction = divmod(amount_minor * weight, total)
        parts.append(part)
        fractions.append(fraction)
    # `sorted` is stable: equal fractions keep the order in which they stand.
    by_fraction = sorted(range(len(parts)), key=fractions.__getitem__, reverse=True)
    for position in by_fraction[: amount_minor - sum(parts)]:
        parts[position] += 1
    return tuple(parts)


def check_rule(rule: SplitRule) -> None:
    """Raise :class:`InvalidField` for a rule that no amount could be split by."""
    ppm = sum(share.ppm for share in rule.shares if isinstance(share, PpmShare))
    fixed = any(isinstance(share, FixedShare) for share in rule.shares)
    if ppm > PPM or (ppm == PPM and fixed):
        raise InvalidField(
            f"the shares in ppm sum to {ppm}; with fixed shares beside them they must stay below "
            f"{PPM}, without at most {PPM}",
            field="shares",
        )
    accounts = [share.account_id for share in rule.shares]
    if rule.remainder is not None:
        accounts.append(rule.remainder)
    if len(set(accounts)) < len(accounts):
        raise InvalidField("an account stands twice in the split rule", field="shares")


def split(amount_minor: int, rule: SplitRule) -> tuple[int, ...]:
    """Return the parts of an amount (minor units): one a share, in their order, the rest last.

    A share in ppm is of the whole amount; what the shares in ppm leave to a million is the quota of
    the rest, which also pays the fixed shares. Rounding is by largest remainder, so the parts sum
    to the amount. Raises :class:`InvalidField` when the amount does not carry the shares.
    """
    quotas = [share.ppm if isinstance(share, PpmShare) else 0 for share in rule.shares]
    parts = list(apportion(amount_minor, [*quotas, PPM - sum(quotas)]))
    for position, share in enumerate(rule.shares):
        if isinstance(share, FixedShare):
            parts[position] = share.amount_minor
            parts[-1] -= share.amount_minor
    if parts[-1] < 0:
        raise InvalidField(
            f"an amount of {amount_minor} does not carry the shares of the split rule, which are "
            f"{amount_minor - parts[-1]}",
            field="amount_minor",
        )
    return tuple(parts)


def refund_split(
    original_parts: Sequence[int], refunded_so_far_parts: Sequence[int], refund_minor: int
) -> tuple[int, ...]:
    """Return what each part gives back of a refund (minor units), in proportion to the original.

    The proportion is that of all refunds together: each part owes its quota of what will then have
    been refunded, less what it gave before. So however a payment is refunded, in one piece or fen
    by fen, no part gives more than it got, and when the whole is refunded each has given exactly
    what it got. A part that gave too much before, for whatever reason, gives nothing until the
    others have caught up.

    Raises ``ValueError`` when more is asked back than is left.
    """
    if len(original_parts) != len(refunded_so_far_parts):
        raise ValueError("there must be one refunded amount for each original part")
    if any(
        not 0 <= refunded <= original
        for original, refunded in zip(original_parts, refunded_so_far_parts, strict=True)
    ):
        raise ValueError("a part has given back more than it got, or less than nothing")
    whole = sum(original_parts)
    after = sum(refunded_so_far_parts) + refund_minor
    if refund_minor < 0 or after > whole:
        raise ValueError(f"a refund of {refund_minor} makes {after} of {whole}")
    # What each part owes, times the whole, so that it stays an integer. Those that owe less than
    # nothing owe nothing; the others then owe the refund or more, so none gives more than it owes.
    owed = [
        max(0, original * after - refunded * whole)
        for original, refunded in zip(original_parts, refunded_so_far_parts, strict=True)
    ]
    return apportion(refund_minor, owed)
