"""Let one policy live through one world, and count how it fared."""

import heapq
import math
import time

import msgspec

from loadtest.routing.policies import Policy
from loadtest.routing.world import World

__all__ = ("Played", "play")


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How a policy fared in one world.

    ``success_rate`` is of the payments that their payers had the means for. ``cost_ppm`` is the
    fees' share of the amounts that were paid. ``regret`` is what a payment fell short of the best
    channel of its moment on average, in units of the score. ``took_s`` is the time that choosing
    and learning took.
    """

    success_rate: float
    cost_ppm: float
    regret: float
    without_channel: int
    decisions: int
    took_s: float


def play(world: World, policy: Policy) -> Played:
    """Play a world to its end; an outcome is learned when its latency has passed."""
    waiting: list[tuple[float, int, str]] = []
    successes = possible = without = paid_minor = cost_minor = 0
    regrets = []
    began = time.perf_counter()
    for number, arrival in enumerate(world.arrivals):
        while waiting and waiting[0][0] <= arrival.at_s:
            at_s, which, name = heapq.heappop(waiting)
            fate = world.arrivals[which].fates[name]
            policy.observe(name, fate.outcome, fate.latency_s, at_s)
        chosen = policy.choose(arrival)
        possible += not arrival.declined
        if chosen is None:
            without += 1
            regrets.append(arrival.best)
            continue
        fate = arrival.fates[chosen]
        regrets.append(arrival.best - fate.value)
        heapq.heappush(waiting, (arrival.at_s + fate.latency_s, number, chosen))
        if fate.outcome == "success":
            successes += 1
            paid_minor += arrival.payment.amount_minor
            cost_minor += fate.cost_minor
    return Played(
        success_rate=successes / possible,
        cost_ppm=cost_minor * 1e6 / paid_minor if paid_minor else 0.0,
        regret=math.fsum(regrets) / len(regrets),
        without_channel=without,
        decisions=len(world.arrivals),
        took_s=time.perf_counter() - began,
    )
