"""In which order two builds are run: AB, BA, AB… so that a drift of the machine hits both alike."""

from typing import Literal

__all__ = ("Side", "abba")

Side = Literal["a", "b"]


def abba(pairs: int) -> tuple[tuple[Side, Side], ...]:
    """Return the order of each pair. A drift in a straight line cancels out over each two pairs."""
    return tuple(("a", "b") if number % 2 == 0 else ("b", "a") for number in range(pairs))
