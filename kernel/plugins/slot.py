"""Which generation of a plugin serves a key.

At most one generation is promoted and serves; at most one other, the canary, serves a share of the
keys. A key is with the canary or not by a hash of it, so it stays where it is while the share
stays, and a larger share only adds keys.
"""

from zlib import crc32

import msgspec

from kernel.plugins.errors import GenerationUnknown, NothingServes
from kernel.plugins.generation import Generation, GenerationStatistics
from kernel.plugins.limits import Turn

__all__ = ("PPM", "Slot", "SlotStatistics", "number_of")

PPM = 1_000_000
# What a caller is told to wait while nothing serves, as when a node has just started.
_NOTHING_RETRY_S = 0.5


class SlotStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin as it stands on this node; 0 stands for no generation."""

    plugin: str
    promoted: int
    previous: int
    canary: int
    canary_ppm: int
    paused: bool
    rollbacks: int
    generations: tuple[GenerationStatistics, ...]


class Slot:
    """The generations of one plugin. It stays the same object for as long as the program runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.generations: dict[int, Generation] = {}
        self.promoted: Generation | None = None
        self.previous: Generation | None = None
        self.canary: Generation | None = None
        self.canary_ppm = 0
        self.paused = False
        self.rollbacks = 0
        self._salt = crc32(name.encode())

    def pick(self, key: str) -> Generation:
        """Return the generation that serves a key; raise :class:`NothingServes`."""
        if self.canary is not None and self.in_share(key, self.canary_ppm):
            return self.canary
        promoted = self.promoted
        if promoted is None:
            raise NothingServes(
                f"no version of {self.name} serves yet", retry_after_s=_NOTHING_RETRY_S
            )
        return promoted

    def in_share(self, key: str, ppm: int) -> bool:
        """Tell whether a key belongs to a share: the same everywhere and always."""
        return crc32(key.encode(), self._salt) % PPM < ppm

    def lease(self, key: str) -> Turn:
        """Return a turn of the generation that serves a key, to be entered at once."""
        return self.pick(key).lease()

    def find(self, number: int) -> Generation:
        """Return a generation; raise :class:`GenerationUnknown`."""
        found = self.generations.get(number)
        if found is None:
            known = ", ".join(map(str, sorted(self.generations))) or "none"
            raise GenerationUnknown(
                f"{self.name} has no generation {number} on this node; it has {known}",
                field="generation",
            )
        return found

    def serves(self, generation: Generation) -> bool:
        """Tell whether work may be sent to it."""
        return generation is self.promoted or generation is self.canary

    def is_on_trial(self, generation: Generation) -> bool:
        """Tell whether another one may do better: this is the canary, or new after another."""
        if generation is self.canary:
            return True
        return self.previous is not None and generation.guard.on_probation()

    def statistics(self) -> SlotStatistics:
        """Return the plugin as it stands."""
        return SlotStatistics(
            plugin=self.name,
            promoted=number_of(self.promoted),
            previous=number_of(self.previous),
            canary=number_of(self.canary),
            canary_ppm=self.canary_ppm,
            paused=self.paused,
            rollbacks=self.rollbacks,
            generations=tuple(
                self.generations[number].statistics() for number in sorted(self.generations)
            ),
        )


def number_of(generation: Generation | None) -> int:
    """Return the number of a generation, 0 for none."""
    return 0 if generation is None else generation.number
