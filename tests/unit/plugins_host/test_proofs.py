"""When the collector of cycles may run for the proof that an unloaded generation is gone."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from kernel.clock import ManualClock
from kernel.plugins.proofs import LOOKS_MAX, Proofs

_START = datetime(2026, 1, 1, tzinfo=UTC)
_EVERY_S = 10.0


class _Remains:
    """What is gone after so many thorough looks, or quick ones; each look takes its time."""

    package = "_plugins.some.g1"

    def __init__(self, clock: ManualClock, *, quick: int = 99, thorough: int = 99) -> None:
        self._clock = clock
        self._left = {False: quick, True: thorough}
        self.looks: list[tuple[float, bool]] = []

    def alive(self) -> tuple[str, ...]:
        """Return what lives."""
        return ("it",) if min(self._left.values()) > 0 else ()

    def collect(self, *, thaw: bool = True) -> bool:
        """Look."""
        self.looks.append((self._clock.monotonic_s(), thaw))
        self._left[thaw] -= 1
        self._clock.advance(0.4 if thaw else 0.01)
        return not self.alive()

    def holders(self) -> tuple[str, ...]:
        """Return who holds it."""
        return ("somebody",)


def _looked(proofs: Proofs, clock: ManualClock, seconds: int) -> None:
    for _ in range(seconds):
        proofs.look()
        clock.advance(1.0)


def test_the_process_stands_still_for_a_two_hundredth_of_the_time() -> None:
    """Thorough looks of 400 ms come 80 s apart, quick ones every ten seconds in between."""
    clock = ManualClock(_START)
    proofs = Proofs(clock, _EVERY_S)
    one = _Remains(clock)
    proofs.add(one)  # type: ignore[arg-type]
    _looked(proofs, clock, 170)
    thorough = [at_s for at_s, thaw in one.looks if thaw]
    assert len(thorough) == LOOKS_MAX
    assert all(80 <= later - sooner < 92 for sooner, later in pairwise(thorough))
    assert sum(not thaw for _, thaw in one.looks) >= 14
    assert (proofs.leaked, proofs.holders, len(proofs)) == (1, ("somebody",), 0)


@pytest.mark.parametrize("looks", [1, 3])
def test_quick_looks_find_what_came_and_went_since(looks: int) -> None:
    """What a quick look frees waits for no thorough one, however many quick ones it takes."""
    clock = ManualClock(_START)
    proofs = Proofs(clock, _EVERY_S)
    first = _Remains(clock, thorough=1)
    proofs.add(first)  # type: ignore[arg-type]
    proofs.look()
    assert len(proofs) == 0
    later = _Remains(clock, quick=looks)
    proofs.add(later)  # type: ignore[arg-type]
    _looked(proofs, clock, 10 * looks + 5)
    assert [thaw for _, thaw in later.looks] == [False] * looks
    assert (len(proofs), proofs.leaked) == (0, 0)
