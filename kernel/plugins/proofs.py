"""Generations that were unloaded, until it is proven that they are gone.

The collector of cycles stops the process while it works, longer the more there is to look through.
What was there at the last thorough look is frozen since, so a quick look passes it by and finds the
generations that came and went after it. Only a thorough look finds the others. It freezes those
that serve as well, so whoever is unloaded next needs one too: it is for what quick looks do not
find, and not for what a task in its last turn still holds.
"""

import logging

import msgspec

from kernel.clock import Clock
from kernel.plugins.remains import Remains
from kernel.plugins.spare_memory import return_spare_memory

__all__ = ("LOOKS_MAX", "QUICK_LOOKS_MAX", "REMAINS_MAX", "Proofs")

_log = logging.getLogger(__name__)

# What is on its way out, such as a task in its last turn, lets go between two thorough looks; what
# does not after three is a leak.
LOOKS_MAX = 3
# And it does between two quick ones, unless they cannot find it.
QUICK_LOOKS_MAX = 2
# Before another generation is loaded beside so many that may be dead, they are looked for. Python's
# allocator keeps what the most of them took at a time, so their number is what memory grows by: one
# is 1 to 2 MB. Loading takes ten times as long as a quick look.
REMAINS_MAX = 2
# The process may stand still for one two-hundredth of the time: far from every hundredth message,
# and for a heap that takes 50 ms every ten seconds.
_PAUSE_EVERY = 200


class _Waiting(msgspec.Struct):
    """Remains, and how many looks they have withstood."""

    remains: Remains
    quick: int = 0
    thorough: int = 0


class Proofs:
    """Look after all of them at once, now and then."""

    def __init__(self, clock: Clock, every_s: float) -> None:
        """``every_s`` is the shortest time between two looks."""
        self._clock = clock
        self._every_s = every_s
        self._next_s = 0.0
        self._next_thorough_s = 0.0
        self._waiting: list[_Waiting] = []
        self.leaked = 0
        self.holders: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, remains: Remains) -> None:
        """Look after these remains."""
        self._waiting.append(_Waiting(remains))

    def make_room(self) -> None:
        """Look quickly, whether it is time or not, if there is no room for another generation."""
        self._forget_gone()
        if sum(one.quick < QUICK_LOOKS_MAX for one in self._waiting) >= REMAINS_MAX:
            self._look_quickly()

    def look(self) -> None:
        """Forget those that are gone. Run the collector for the others, if it is time."""
        self._forget_gone()
        if not self._waiting or self._clock.monotonic_s() < self._next_s:
            return
        self._next_s = self._after(self._look_quickly())
        for one in self._waiting:
            one.quick += 1
        stubborn = [one for one in self._waiting if one.quick >= QUICK_LOOKS_MAX]
        if stubborn and self._clock.monotonic_s() >= self._next_thorough_s:
            self._look_thoroughly(stubborn[0].remains)

    def _look_quickly(self) -> float:
        """Look for all of them; return when that began."""
        began_s = self._clock.monotonic_s()
        # The last one to come is the least likely to be frozen, so it tells whether a run helped.
        self._waiting[-1].remains.collect(thaw=False)
        self._forget_gone()
        return_spare_memory()
        return began_s

    def _look_thoroughly(self, remains: Remains) -> None:
        began_s = self._clock.monotonic_s()
        remains.collect()
        self._next_thorough_s = self._after(began_s)
        self._forget_gone()
        for one in self._waiting:
            one.thorough += 1
            if one.thorough >= LOOKS_MAX:
                self._give_up(one.remains)
        self._waiting = [one for one in self._waiting if one.thorough < LOOKS_MAX]

    def _forget_gone(self) -> None:
        self._waiting = [one for one in self._waiting if one.remains.alive()]

    def _give_up(self, remains: Remains) -> None:
        self.leaked += 1
        self.holders = remains.holders()
        _log.error(
            "%s is unloaded and still in memory: %s; held by %s",
            remains.package, ", ".join(remains.alive()[:3]), "; ".join(self.holders),
        )  # fmt: skip

    def _after(self, began_s: float) -> float:
        """Return when the next look may be, after one that began then and ends now."""
        ended_s = self._clock.monotonic_s()
        return ended_s + max(self._every_s, _PAUSE_EVERY * (ended_s - began_s))
