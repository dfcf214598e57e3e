"""The rules by the smallest amount that they look at, so that small payments meet few of them."""

from bisect import bisect_right

from actors.risk._compiled import Compiled, Counter, Marker
from actors.risk._conditions import Fires, Looks
from actors.risk.rules import AmountRule, GeoSpeedRule

__all__ = ("Tier", "Tiers")


class Tier:
    """All rules that may concern an amount from ``least_minor`` on, in the document's order."""

    __slots__ = ("counters", "geo", "judged", "markers", "windows")

    def __init__(self, compiled: list[Compiled], least_minor: int) -> None:
        within = [one for one in compiled if _least_minor(one) <= least_minor]
        self.judged: list[tuple[Fires, Compiled]] = [
            (one.fires, one) for one in within if one.fires is not None
        ]
        self.counters: list[Counter] = [one.counter for one in within if one.counter is not None]
        self.markers: list[Marker] = [one.marker for one in within if one.marker is not None]
        # Those of the counters whose windows a decision needs.
        self.windows: list[Counter] = [
            one.counter for one in within if one.counter is not None and one.fires is not None
        ]
        self.geo: list[Looks | None] = [
            one.looks for one in within if isinstance(one.rule, GeoSpeedRule)
        ]


class Tiers:
    """The tier of any amount."""

    def __init__(self, compiled: list[Compiled]) -> None:
        self._bounds = sorted({0, *(_least_minor(one) for one in compiled)})
        self._tiers = [Tier(compiled, bound) for bound in self._bounds]

    def of(self, amount_minor: int) -> Tier:
        """Return the rules that may concern an amount."""
        return self._tiers[bisect_right(self._bounds, amount_minor) - 1]


def _least_minor(one: Compiled) -> int:
    rule = one.rule
    above = rule.above_minor + 1 if isinstance(rule, AmountRule) else 0
    return max(above, rule.when.amount_min_minor or 0)
