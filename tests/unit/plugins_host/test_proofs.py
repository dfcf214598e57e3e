"""When the collector of cycles may run for the proof that an unloaded generation is gone."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from kernel.clock import ManualClock
from kernel.plugins.proofs import LOOKS_MAX, QUICK_LOOKS_MAX, REMAINS_MAX, Proofs

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
    _looked(proofs, clock, 190)
    thorough = [at_s for at_s, thaw in one.looks if thaw]
    assert len(thorough) == LOOKS_MAX
    assert all(80 <= later - sooner < 92 for sooner, later in pairwise(thorough))
    assert sum(not thaw for _, thaw in one.looks) >= 14
    assert (proofs.leaked, proofs.holders, len(proofs)) == (1, ("somebody",), 0)


@pytest.mark.parametrize("looks", [1, QUICK_LOOKS_MAX])
def test_quick_looks_find_what_came_and_went_since(looks: int) -> None:
    """What quick looks free waits for no thorough one, which would freeze whatever serves."""
    clock = ManualClock(_START)
    proofs = Proofs(clock, _EVERY_S)
    one = _Remains(clock, quick=looks)
    proofs.add(one)  # type: ignore[arg-type]
    _looked(proofs, clock, 10 * looks + 5)
    assert [thaw for _, thaw in one.looks] == [False] * looks
    assert (len(proofs), proofs.leaked) == (0, 0)


def test_a_thorough_look_comes_when_quick_ones_do_not_help() -> None:
    """What withstands the quick looks is looked for thoroughly right after the last of them."""
    clock = ManualClock(_START)
    proofs = Proofs(clock, _EVERY_S)
    one = _Remains(clock, thorough=1)
    proofs.add(one)  # type: ignore[arg-type]
    _looked(proofs, clock, 10 * QUICK_LOOKS_MAX)
    assert [thaw for _, thaw in one.looks] == [False] * QUICK_LOOKS_MAX + [True]
    assert (len(proofs), proofs.leaked) == (0, 0)


def test_dead_generations_make_room_for_the_next() -> None:
    """However fast versions come, no more of them wait than there is room for beside the next."""
    clock = ManualClock(_START)
    proofs = Proofs(clock, _EVERY_S)
    waiting: list[_Remains] = []
    most = 0
    for _ in range(20):
        proofs.make_room()
        if len(proofs) == 0:
            # One run of the collector takes away all of them.
            waiting = [_Remains(clock, quick=1)]
        proofs.add(waiting[0])  # type: ignore[arg-type]
        most = max(most, len(proofs))
        clock.advance(0.1)
    assert most == REMAINS_MAX


def test_room_is_made_only_where_a_quick_look_may_help() -> None:
    """One that may be dead is no hurry, and those that quick looks do not find are left alone."""
    clock = ManualClock(_START)
    proofs = Proofs(clock, _EVERY_S)
    stubborn = [_Remains(clock) for _ in range(REMAINS_MAX)]
    proofs.add(stubborn[0])  # type: ignore[arg-type]
    proofs.make_room()
    assert not stubborn[0].looks
    for one in stubborn[1:]:
        proofs.add(one)  # type: ignore[arg-type]
    _looked(proofs, clock, 10 * QUICK_LOOKS_MAX)
    before = [list(one.looks) for one in stubborn]
    proofs.make_room()
    assert [one.looks for one in stubborn] == before
