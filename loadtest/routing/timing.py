"""What a decision costs, apart from the world that it is made in."""

import statistics
import time
from collections.abc import Callable, Mapping

import msgspec

from loadtest.routing.play import play
from loadtest.routing.policies import Policy
from loadtest.routing.world import Arrival, World
from schemas.routing import AttemptOutcome

__all__ = ("DecisionTime", "time_decisions")


class DecisionTime(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds of the processor for a decision: median, least and most of the rounds."""

    median_us: float
    least_us: float
    most_us: float

    @property
    def per_second(self) -> float:
        """How many decisions one core makes in a second."""
        return 1e6 / self.median_us


class _Timed:
    """A policy whose choosing is timed, in time of the processor: others may be using it as well.

    What reading the clock costs counts with it.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.took_ns = 0

    def choose(self, arrival: Arrival) -> str | None:
        began_ns = time.thread_time_ns()
        chosen = self._policy.choose(arrival)
        self.took_ns += time.thread_time_ns() - began_ns
        return chosen

    def observe(
        self, channel: str, outcome: AttemptOutcome, latency_s: float, now_s: float
    ) -> None:
        self._policy.observe(channel, outcome, latency_s, now_s)


def time_decisions(
    world: World, policies: Mapping[str, Callable[[], Policy]], *, rounds: int
) -> dict[str, DecisionTime]:
    """Time each policy in one world, in turns, so that what drifts on the machine hits all."""
    found: dict[str, list[float]] = {name: [] for name in policies}
    names = list(policies)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            timed = _Timed(policies[name]())
            play(world, timed)
            found[name].append(timed.took_ns / 1000 / len(world.arrivals))
    return {
        name: DecisionTime(
            median_us=statistics.median(times), least_us=min(times), most_us=max(times)
        )
        for name, times in found.items()
    }
