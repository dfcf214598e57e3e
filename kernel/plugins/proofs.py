"""Generations that were unloaded, until it is proven that they are gone.

The collector of cycles stops the process while it works, longer the more there is to look through.
What was there at the last thorough look is frozen since, so a quick look passes it by and finds the
generations that came and went after it. Only a thorough look finds the others.
"""

import logging

from kernel.clock import Clock
from kernel.plugins.remains import Remains

__all__ = ("LOOKS_MAX", "Proofs")

_log = logging.getLogger(__name__)

# What is on its way out, such as a task in its last turn, lets go between two thorough looks; what
# does not after three is a leak.
LOOKS_MAX = 3
# The process may stand still for one two-hundredth of the time: far from every hundredth message,
# and for a heap that takes 50 ms every ten seconds.
_PAUSE_EVERY = 200


class Proofs:
    """Look after all of them at once, now and then."""

    def __init__(self, clock: Clock, every_s: float) -> None:
        """``every_s`` is the shortest time between two looks."""
        self._clock = clock
        self._every_s = every_s
        self._next_s = 0.0
        self._next_thorough_s = 0.0
        self._waiting: list[tuple[Remains, int]] = []
        self.leaked = 0
        self.holders: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, remains: Remains) -> None:
        """Look after these remains."""
        self._waiting.append((remains, 0))

    def look(self) -> None:
        """Forget those that are gone. Run the collector for the others, if it is time."""
        self._waiting = [(one, looks) for one, looks in self._waiting if one.alive()]
        if not self._waiting or self._clock.monotonic_s() < self._next_s:
            return
        if not self._looked():
            return
        left = []
        for remains, looks in self._waiting:
            if not remains.alive():
                continue
            if looks + 1 < LOOKS_MAX:
                left.append((remains, looks + 1))
                continue
            self.leaked += 1
            self.holders = remains.holders()
            _log.error(
                "%s is unloaded and still in memory: %s; held by %s",
                remains.package, ", ".join(remains.alive()[:3]), "; ".join(self.holders),
            )  # fmt: skip
        self._waiting = left

    def _looked(self) -> bool:
        """Look quickly, and thoroughly if that was not enough and it is time for it.

        Tell whether what is still alive now has withstood a thorough look.
        """
        began_s = self._clock.monotonic_s()
        # The last one to come is the least likely to be frozen, so it tells whether a run helped.
        self._waiting[-1][0].collect(thaw=False)
        self._next_s = self._after(began_s)
        self._waiting = [(one, looks) for one, looks in self._waiting if one.alive()]
        began_s = self._clock.monotonic_s()
        if not self._waiting or began_s < self._next_thorough_s:
            return False
        self._waiting[0][0].collect()
        self._next_thorough_s = self._after(began_s)
        return True

    def _after(self, began_s: float) -> float:
        """Return when the next look may be, after one that began then and ends now."""
        ended_s = self._clock.monotonic_s()
        return ended_s + max(self._every_s, _PAUSE_EVERY * (ended_s - began_s))
