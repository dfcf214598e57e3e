"""The router: which channel takes a payment, decided from the rules and the last minutes."""

from collections.abc import Sequence

import msgspec

from actors.channels.routing.channel_health import ChannelHealth
from actors.channels.routing.eligibility import Eligibility
from actors.channels.routing.exploration import PPM, distribution, draw
from actors.channels.routing.standing import Standing, decision_of, score_of
from kernel.randomness import Randomness
from schemas.routing import (
    AttemptOutcome,
    BreakerState,
    ChannelOffer,
    RouteDecision,
    RoutedPayment,
    RoutingRules,
)

__all__ = ("CHANNELS_MAX", "ChannelStatistics", "Router", "RouterStatistics")

# Channels are adapters that somebody wrote, a handful. As many as this are remembered, and may be
# offered for one payment; of more, the one that was not used for the longest time is forgotten.
CHANNELS_MAX = 64


class ChannelStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as the router sees it now."""

    channel: str
    chosen: int
    breaker: BreakerState
    opened_times: int
    success_rate: float
    latency_s: float
    samples: float


class RouterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``without_channel`` are decisions that no channel was left for."""

    rules_version: int
    reloads: int
    decisions: int
    without_channel: int
    probes: int
    observations: int
    channels: tuple[ChannelStatistics, ...]


class Router:
    """Choose channels, and learn from what became of the choices.

    It belongs to one process, keeps a bounded memory and waits for nothing. Times are seconds of
    one clock. What it has learned is not stored: after a start it believes the prior for some
    dozens of payments.
    """

    def __init__(self, rules: RoutingRules, randomness: Randomness, *, version: int = 0) -> None:
        self._randomness = randomness
        self._rules = rules
        self._version = version
        self._eligibility = Eligibility(rules.eligibility)
        self._health: dict[str, ChannelHealth] = {}
        self._now_s = float("-inf")
        self._uses = 0
        self._reloads = 0
        self._decisions = 0
        self._without_channel = 0
        self._probes = 0
        self._observations = 0

    def choose(
        self, payment: RoutedPayment, offers: Sequence[ChannelOffer], now_s: float
    ) -> RouteDecision:
        """Draw one of the channels that are offered for a payment.

        A channel whose circuit is half open is drawn as a probe, which takes one of its probes
        until :meth:`observe` or a while later.
        """
        now_s = self._clamped(now_s)
        standings = self._standings(payment, offers, now_s)
        parts = self._parts(standings)
        self._decisions += 1
        if not parts:
            self._without_channel += 1
            return decision_of(standings, parts, None, self._version)
        possible = [one for one in standings if one.excluded is None]
        chosen = possible[draw(parts, self._randomness) if len(parts) > 1 else 0]
        health = self._health[chosen.name]
        health.chosen += 1
        if chosen.probes:
            self._probes += 1
            health.breaker.begin_probe(now_s)
        return decision_of(standings, parts, chosen, self._version)

    def explain(
        self, payment: RoutedPayment, offers: Sequence[ChannelOffer], now_s: float
    ) -> RouteDecision:
        """Return what :meth:`choose` would draw from, without drawing; nothing changes by it.

        ``chosen`` is the most probable channel.
        """
        standings = self._standings(payment, offers, self._clamped(now_s))
        parts = self._parts(standings)
        possible = [one for one in standings if one.excluded is None]
        likely = possible[parts.index(max(parts))] if parts else None
        return decision_of(standings, parts, likely, self._version)

    def observe(
        self, channel: str, outcome: AttemptOutcome, latency_s: float | None, now_s: float
    ) -> None:
        """Learn what became of an attempt, as soon as it answered or did not in time.

        ``latency_s`` is None when the answer came by another way than the attempt's own.
        """
        self._observations += 1
        now_s = self._clamped(now_s)
        self._health_of(channel, now_s).observe(outcome, latency_s, now_s)

    def reload(self, rules: RoutingRules, version: int) -> None:
        """Go on under other rules. What is known of the channels stays known."""
        now_s = self._now_s
        self._eligibility = Eligibility(rules.eligibility)
        for health in self._health.values():
            health.under(rules, now_s)
        self._rules = rules
        self._version = version
        self._reloads += 1

    def statistics(self) -> RouterStatistics:
        """Return the counts, and how each channel stands as of the last decision or outcome."""
        return RouterStatistics(
            rules_version=self._version,
            reloads=self._reloads,
            decisions=self._decisions,
            without_channel=self._without_channel,
            probes=self._probes,
            observations=self._observations,
            channels=tuple(
                _statistics(name, health, self._now_s)
                for name, health in sorted(self._health.items())
            ),
        )

    def _clamped(self, now_s: float) -> float:
        # The clock may be one that somebody sets back.
        self._now_s = max(self._now_s, now_s)
        return self._now_s

    def _health_of(self, channel: str, now_s: float) -> ChannelHealth:
        health = self._health.get(channel)
        if health is None:
            if len(self._health) >= CHANNELS_MAX:
                oldest = min(self._health, key=lambda name: self._health[name].last_use)
                del self._health[oldest]
            health = self._health[channel] = ChannelHealth(self._rules, now_s)
        self._uses += 1
        health.last_use = self._uses
        return health

    def _standings(
        self, payment: RoutedPayment, offers: Sequence[ChannelOffer], now_s: float
    ) -> list[Standing]:
        """Return every candidate with its score, and why it is excluded if it is."""
        assert len(offers) <= CHANNELS_MAX
        weights = self._rules.weights
        by_rule = self._eligibility.excluded(payment, offers)
        standings = []
        for offer in offers:
            health = self._health_of(offer.channel, now_s)
            estimate = health.estimate(now_s)
            score = score_of(weights, estimate, offer, payment)
            state = health.breaker.state(now_s)
            standing = Standing(offer, state, estimate, score)
            standings.append(standing)
            if standing.excluded is not None:
                continue
            if offer.channel in payment.excluded:
                standing.excluded = "the payment excludes it"
            elif offer.channel in by_rule:
                standing.excluded = by_rule[offer.channel]
            elif state == "open":
                standing.opens_in_s = health.breaker.opens_in_s(now_s)
                standing.excluded = f"its circuit is open for {standing.opens_in_s:.1f} s more"
            elif state == "half_open":
                standing.probes = health.breaker.may_probe(now_s)
                if not standing.probes:
                    standing.excluded = "its circuit is half open and enough probes are under way"
        return standings

    def _parts(self, standings: Sequence[Standing]) -> list[int]:
        """Return the propensities of those that are not excluded, in order; they sum to PPM."""
        usual = [one for one in standings if one.excluded is None and not one.probes]
        probing = [one for one in standings if one.probes]
        if not usual and not probing:
            return []
        share = 0
        if probing:
            share = round(self._rules.breaker.probe_share * PPM) if usual else PPM
            share = max(share, len(probing))
        parts = {one.name: (share + place) // len(probing) for place, one in enumerate(probing)}
        if usual:
            success = self._rules.weights.success
            found = distribution(
                self._rules.exploration,
                [one.score for one in usual],
                [one.estimate.sd * success for one in usual],
                PPM - share,
            )
            parts.update(zip([one.name for one in usual], found, strict=True))
        return [parts[one.name] for one in standings if one.excluded is None]


def _statistics(name: str, health: ChannelHealth, now_s: float) -> ChannelStatistics:
    estimate = health.estimate(now_s)
    return ChannelStatistics(
        channel=name,
        chosen=health.chosen,
        breaker=health.breaker.state(now_s),
        opened_times=health.breaker.opened_times,
        success_rate=estimate.success_rate,
        latency_s=estimate.latency_s,
        samples=estimate.samples,
    )
