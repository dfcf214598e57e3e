"""Points in batches: which are spent first, and where those that come back go.

Each grant is a batch with an end of its own. The points that end first are spent first, batches
without an end last, and of two that end together the older one first.

A point is worth a whole number of points to the fen: 100 points = 1 yuan makes it one. So points
and fen convert into each other without rounding, and what a batch is worth is paid to the last fen.
"""

from collections.abc import Iterable, Sequence

import msgspec

__all__ = ("Batch", "Part", "first_to_end", "give_back", "spend", "worth")


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of one grant.

    ``ends_at_ms`` are Unix milliseconds, None is never. ``sponsor`` is the account that paid for
    the points and gets back what they are worth when they end.
    """

    batch_id: str
    points: int
    points_per_fen: int
    sponsor: str
    ends_at_ms: int | None = None

    @property
    def worth_minor(self) -> int:
        """What the points would pay, in fen."""
        return self.points // self.points_per_fen

    def lives(self, now_ms: int) -> bool:
        """Tell whether the batch can still be spent."""
        return self.ends_at_ms is None or self.ends_at_ms > now_ms


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a payment took from one batch, and how much of it has come back since, in fen."""

    batch_id: str
    amount_minor: int
    points_per_fen: int
    sponsor: str
    ends_at_ms: int | None = None
    returned_minor: int = 0

    @property
    def points(self) -> int:
        """The points that the payment took."""
        return self.amount_minor * self.points_per_fen


def worth(batches: Iterable[Batch], now_ms: int) -> int:
    """Return what the batches that have not ended would pay, in fen."""
    return sum(one.worth_minor for one in batches if one.lives(now_ms))


def spend(
    batches: Sequence[Batch], amount_minor: int, now_ms: int
) -> tuple[tuple[Batch, ...], tuple[Part, ...]]:
    """Return what is left, and the parts that pay ``amount_minor`` or all that there is."""
    left = {one.batch_id: one for one in batches}
    parts = []
    for one in sorted(batches, key=first_to_end):
        taken = min(amount_minor, one.worth_minor)
        if taken and one.lives(now_ms):
            amount_minor -= taken
            points = one.points - taken * one.points_per_fen
            left[one.batch_id] = msgspec.structs.replace(one, points=points)
            parts.append(
                Part(
                    batch_id=one.batch_id,
                    amount_minor=taken,
                    points_per_fen=one.points_per_fen,
                    sponsor=one.sponsor,
                    ends_at_ms=one.ends_at_ms,
                )
            )
    return tuple(one for one in left.values() if one.points), tuple(parts)


def give_back(parts: Sequence[Part], amount_minor: int) -> tuple[int, ...]:
    """Return how much of ``amount_minor`` goes back to each part, in fen.

    In proportion to what has not come back yet, by largest remainder: rounded down first, then a
    fen each to the parts that lost most by it, the first of equals first. So parts of a refund add
    up to the refund, and refunds of all add up to what was paid.
    """
    owed = [part.amount_minor - part.returned_minor for part in parts]
    total = sum(owed)
    if not 0 <= amount_minor <= total:
        raise ValueError(f"{amount_minor} minor units cannot go back; {total} were taken")
    if not total:
        return tuple(owed)
    shares = [amount_minor * one // total for one in owed]
    lost = [amount_minor * one % total for one in owed]
    order = sorted(range(len(parts)), key=lambda index: (-lost[index], index))
    for index in order[: amount_minor - sum(shares)]:
        shares[index] += 1
    return tuple(shares)


def first_to_end(batch: Batch) -> tuple[bool, int, str]:
    """Return by what batches are sorted: the one that ends first comes first."""
    return (batch.ends_at_ms is None, batch.ends_at_ms or 0, batch.batch_id)
