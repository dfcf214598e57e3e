"""Who was to serve when: the set of versions that may have given an answer.

A switch is known from outside by two moments: when it was asked for, and when every node was seen
to have done it. In between either version may serve; outside of that exactly one may, for a key.
"""

from zlib import crc32

import msgspec

__all__ = ("PPM", "Serving", "Timeline", "in_share")

PPM = 1_000_000


def in_share(pack: str, key: str, ppm: int) -> bool:
    """Tell whether a key belongs to a canary's share, by the rule of the plugin host."""
    return crc32(key.encode(), crc32(pack.encode())) % PPM < ppm


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions of a pack are to serve: one, and perhaps another a share of the keys."""

    promoted: str
    canary: str = ""
    ppm: int = 0

    def version_for(self, pack: str, key: str) -> str:
        """Return the version that serves a key."""
        if self.canary and in_share(pack, key, self.ppm):
            return self.canary
        return self.promoted


class _Reign(msgspec.Struct):
    serving: Serving
    from_s: float
    until_s: float = float("inf")


class Timeline:
    """What was asked of the service and when it was done, for each pack."""

    def __init__(self) -> None:
        self._reigns: dict[str, list[_Reign]] = {}
        self.switches: dict[str, list[float]] = {}

    def now(self, pack: str) -> Serving:
        """Return what is to serve."""
        return self._reigns[pack][-1].serving

    def ask(self, pack: str, serving: Serving, at_s: float) -> None:
        """Note that something else is to serve, just before it is asked for."""
        reigns = self._reigns.setdefault(pack, [])
        if reigns:
            self.switches.setdefault(pack, []).append(at_s)
        reigns.append(_Reign(serving, at_s))

    def settle(self, pack: str, at_s: float) -> None:
        """Note that all nodes have been seen to serve what was asked for last, and only that."""
        for reign in self._reigns[pack][:-1]:
            reign.until_s = min(reign.until_s, at_s)

    def allowed(self, pack: str, key: str, from_s: float, until_s: float) -> set[str]:
        """Return the versions that may have served a key at some moment between two."""
        return {
            reign.serving.version_for(pack, key)
            for reign in self._reigns.get(pack, ())
            if reign.from_s <= until_s and from_s <= reign.until_s
        }

    def switched(self, pack: str, from_s: float, until_s: float) -> bool:
        """Tell whether a switch of the pack was asked for between two moments."""
        return any(from_s <= at_s <= until_s for at_s in self.switches.get(pack, ()))
