"""With which probability each channel is chosen: a policy that can state it exactly.

Scores and their uncertainty become a distribution in parts per million that sums to the whole, and
the channel is drawn from that distribution. So what is stored as the propensity is the probability
of the draw itself and not an estimate of it.
"""

import math
from collections.abc import Sequence

from kernel.randomness import Randomness
from schemas.routing import Exploration

__all__ = ("PPM", "distribution", "draw")

PPM = 1_000_000
_PPM_BITS = PPM.bit_length()


def distribution(
    policy: Exploration, scores: Sequence[float], sds: Sequence[float], total_ppm: int
) -> list[int]:
    """Return the parts per million of each score, which sum to ``total_ppm``.

    None is below the policy's floor, as far as the total allows one for all of them; so none is 0.
    """
    if len(scores) == 1:
        return [total_ppm]
    bounds = [score + policy.bonus * sd for score, sd in zip(scores, sds, strict=True)]
    best = max(bounds)
    shares = [math.exp((bound - best) / policy.temperature) for bound in bounds]
    return _parts(shares, total_ppm, min(policy.floor_ppm, total_ppm // len(scores)))


def draw(parts: Sequence[int], randomness: Randomness) -> int:
    """Return the index of a part; ``parts`` sum to :data:`PPM`.

    The random number is uniform below a million: one that is not below is drawn again.
    """
    drawn = randomness.bits(_PPM_BITS)
    while drawn >= PPM:
        drawn = randomness.bits(_PPM_BITS)
    for index, part in enumerate(parts):
        drawn -= part
        if drawn < 0:
            return index
    raise AssertionError("the parts do not sum to a million")


def _parts(shares: Sequence[float], total: int, floor: int) -> list[int]:
    """Split ``total`` over the floor in proportion to the shares, by largest remainder."""
    free = total - floor * len(shares)
    scale = free / sum(shares)
    exact = [share * scale for share in shares]
    parts = [int(value) for value in exact]
    missing = free - sum(parts)
    if missing:
        by_remainder = sorted(range(len(parts)), key=lambda index: parts[index] - exact[index])
        # Rounding in floats may leave the sum one too large as well.
        step = 1 if missing > 0 else -1
        for index in by_remainder[: abs(missing)]:
            parts[index] += step
    return [part + floor for part in parts]
