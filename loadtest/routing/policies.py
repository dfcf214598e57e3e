"""Ways to choose a channel: those that the router is compared with, and the router itself."""

import random
from collections.abc import Sequence
from typing import Protocol

from loadtest.routing.world import Arrival, World
from schemas.routing import AttemptOutcome, ChannelOffer, RouteDecision, RoutedPayment

__all__ = (
    "Adaptive",
    "BreakerList",
    "Engine",
    "Fixed",
    "Oracle",
    "Policy",
    "RoundRobin",
    "StaticWeights",
)


class Policy(Protocol):
    """Chooses a channel for each payment; None when it would rather choose none."""

    def choose(self, arrival: Arrival) -> str | None:
        """Return one of the channels that may take the payment."""

    def observe(
        self, channel: str, outcome: AttemptOutcome, latency_s: float, now_s: float
    ) -> None:
        """Learn what became of a choice, when it is known."""


class Engine(Protocol):
    """What is used here of the router, which lives in a room that this one does not import."""

    def choose(
        self, payment: RoutedPayment, offers: Sequence[ChannelOffer], now_s: float
    ) -> RouteDecision:
        """Draw a channel."""

    def observe(
        self, channel: str, outcome: AttemptOutcome, latency_s: float | None, now_s: float
    ) -> None:
        """Learn what became of it."""


class _Deaf:
    def observe(
        self, channel: str, outcome: AttemptOutcome, latency_s: float, now_s: float
    ) -> None:
        """Learn nothing."""


class Adaptive:
    """The router."""

    def __init__(self, engine: Engine) -> None:
        self._choose = engine.choose
        self.observe = engine.observe

    def choose(self, arrival: Arrival) -> str | None:
        """Ask the router."""
        return self._choose(arrival.payment, arrival.offers, arrival.at_s).chosen


class Fixed(_Deaf):
    """One channel wherever it may be used; elsewhere the one that is best in the long run."""

    def __init__(self, world: World, channel: str) -> None:
        others = sorted(world.channels, key=lambda name: -world.mean_value[name])
        self._order = (channel, *(name for name in others if name != channel))

    def choose(self, arrival: Arrival) -> str | None:
        """Return the first that may take it."""
        return next(name for name in self._order if name in arrival.fates)


class StaticWeights(_Deaf):
    """At random, by weights that are the true long-run success rates."""

    def __init__(self, world: World, seed: int) -> None:
        self._weights = world.mean_success
        self._random = random.Random(seed)

    def choose(self, arrival: Arrival) -> str | None:
        """Draw one of those that may take it."""
        names = list(arrival.fates)
        return self._random.choices(names, [self._weights[name] for name in names])[0]


class RoundRobin(_Deaf):
    """Each in its turn."""

    def __init__(self, world: World) -> None:
        self._queue = list(world.channels)

    def choose(self, arrival: Arrival) -> str | None:
        """Return the one whose turn was the longest ago."""
        name = next(name for name in self._queue if name in arrival.fates)
        self._queue.remove(name)
        self._queue.append(name)
        return name


class BreakerList:
    """The channels in the order of their true long-run value, each behind a plain breaker.

    Not a criterion: it is what a good operator sets up by hand. Five failures in a row close a
    channel for 30 s, then one payment tries it.
    """

    _FAILURES = 5
    _COOL_DOWN_S = 30.0

    def __init__(self, world: World) -> None:
        self._order = sorted(world.channels, key=lambda name: -world.mean_value[name])
        self._failures = dict.fromkeys(world.channels, 0)
        self._until_s = dict.fromkeys(world.channels, 0.0)

    def choose(self, arrival: Arrival) -> str | None:
        """Return the first that is not left alone."""
        able = [name for name in self._order if name in arrival.fates]
        for name in able:
            if self._until_s[name] <= arrival.at_s:
                if self._failures[name] >= self._FAILURES:
                    self._until_s[name] = arrival.at_s + self._COOL_DOWN_S
                return name
        return able[0]

    def observe(
        self, channel: str, outcome: AttemptOutcome, latency_s: float, now_s: float
    ) -> None:
        """Count failures in a row."""
        if outcome in {"success", "declined"}:
            self._failures[channel] = 0
            self._until_s[channel] = 0.0
            return
        self._failures[channel] += 1
        if self._failures[channel] == self._FAILURES:
            self._until_s[channel] = now_s + self._COOL_DOWN_S


class Oracle(_Deaf):
    """The channel whose true expected score is the best at this moment."""

    def choose(self, arrival: Arrival) -> str | None:
        """Look behind the curtain."""
        return max(arrival.fates, key=lambda name: arrival.fates[name].value)
