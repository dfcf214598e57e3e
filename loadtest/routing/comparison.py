"""What the worlds showed, and whether the router beat what it has to beat."""

import math
import statistics
from collections.abc import Callable, Sequence

import msgspec

from loadtest.routing.play import Played
from loadtest.routing.timing import DecisionTime

__all__ = (
    "ADAPTIVE",
    "BREAKERS",
    "FIXED",
    "ORACLE",
    "ROUND_ROBIN",
    "STATIC",
    "Comparison",
    "RoutingReport",
    "WorldReport",
)

ORACLE = "oracle"
ADAPTIVE = "adaptive router"
BREAKERS = "list with breakers"
STATIC = "static weights"
ROUND_ROBIN = "round robin"
FIXED = "always "


# The 97.5 % quantile of Student's t for 1, 2, 3… degrees of freedom; for more than stand here it is
# lower, so the last one errs on the side of doubt.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Differences to one rival, seed by seed; above 0 the router was the better one."""

    rival: str
    measure: str
    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean difference."""
        return statistics.fmean(self.differences)

    @property
    def better_in(self) -> int:
        """In how many of the worlds the router was better."""
        return sum(difference > 0 for difference in self.differences)

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval of the mean, by Student's t over the pairs."""
        count = len(self.differences)
        if count < 2:
            return 0.0
        quantile = _STUDENT[min(count - 1, len(_STUDENT)) - 1]
        return quantile * statistics.stdev(self.differences) / math.sqrt(count)

    @property
    def ok(self) -> bool:
        """Whether it was better by more than chance: the whole interval is above 0."""
        return self.mean - self.margin > 0.0


class WorldReport(msgspec.Struct, frozen=True, kw_only=True):
    """How each policy fared in the worlds of one kind, in the order of the seeds."""

    title: str
    length_s: float
    played: dict[str, tuple[Played, ...]]

    def comparisons(self) -> tuple[Comparison, ...]:
        """Compare the router with its rivals in the same worlds.

        The best fixed channel is the best of each world by the same measure, as only hindsight
        knows it.
        """
        fixed = [results for name, results in self.played.items() if name.startswith(FIXED)]
        best = [tuple(world) for world in zip(*fixed, strict=True)]
        static = [(result,) for result in self.played[STATIC]]
        return tuple(
            Comparison(
                rival=rival,
                measure=measure,
                differences=tuple(
                    value(mine) - max(value(other) for other in others)
                    for mine, others in zip(self.played[ADAPTIVE], rivals, strict=True)
                ),
            )
            for rival, rivals in (("the best fixed channel", best), (STATIC, static))
            for measure, value in _MEASURES
        )


# Each so that more is better.
_MEASURES: Sequence[tuple[str, Callable[[Played], float]]] = (
    ("success rate", lambda played: played.success_rate),
    ("regret", lambda played: -played.regret),
)


class RoutingReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, as ``build/bench-routing.json`` has it."""

    seeds: tuple[int, ...]
    decisions: int
    channels: tuple[str, ...]
    rules: int
    rounds: int
    cores: int
    load_average: float
    worlds: tuple[WorldReport, ...]
    times: dict[str, DecisionTime]
    took_s: float

    @property
    def ok(self) -> bool:
        """Whether the router won every comparison in the worlds of both kinds."""
        return all(one.ok for world in self.worlds for one in world.comparisons())
