"""When the requests of a recording are sent again: as they came, faster, or slower."""

from collections.abc import Iterable
from pathlib import Path

from loadtest.harness.replay.requests import Request

__all__ = ("SPEED_MAX", "write_moments")

# A thousand seconds in one: beyond, everything is one burst.
SPEED_MAX = 1_000.0


def write_moments(
    requests: Iterable[Request], path: Path, *, speed: float = 1.0
) -> tuple[int, float]:
    """Write the moments for arrivals ``moments:PATH``; return how many, and the last in seconds.

    A ``speed`` of 2 sends them in half of the time, with the same bursts and pauses.
    """
    if not 0 < speed <= SPEED_MAX:
        raise ValueError(f"a speed is more than 0 and at most {SPEED_MAX:,.0f}, not {speed!r}")
    count = 0
    first_s = moment_s = 0.0
    with path.open("w", encoding="ascii") as file:
        for one in requests:
            first_s = first_s if count else one.at_s
            moment_s = (one.at_s - first_s) / speed
            file.write(f"{moment_s:.6f}\n")
            count += 1
    return count, moment_s
