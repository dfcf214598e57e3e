"""One candidate while a decision is made, and the decision as it is told."""

from collections.abc import Sequence

from actors.channels.routing.exploration import PPM
from actors.channels.routing.window import Estimate
from schemas.routing import (
    BreakerState,
    Candidate,
    ChannelOffer,
    RouteDecision,
    RoutedPayment,
    ScoreWeights,
)

__all__ = ("Standing", "decision_of", "score_of")


class Standing:
    """One candidate; ``excluded`` is why it cannot be chosen, ``probes`` that it would be a probe.

    ``opens_in_s`` is how long an open circuit, its only hindrance, stays open.
    """

    __slots__ = (
        "breaker", "cost_minor", "estimate", "excluded", "name", "opens_in_s", "probes", "score",
    )  # fmt: skip

    def __init__(
        self, offer: ChannelOffer, breaker: BreakerState, estimate: Estimate, score: float
    ) -> None:
        self.name = offer.channel
        self.cost_minor = offer.cost_minor
        self.breaker = breaker
        self.estimate = estimate
        self.score = score
        self.excluded: str | None = offer.refused or None
        self.opens_in_s: float | None = None
        self.probes = False


def score_of(
    weights: ScoreWeights, estimate: Estimate, offer: ChannelOffer, payment: RoutedPayment
) -> float:
    """Return the score of a channel for a payment; higher is better."""
    slowness = estimate.latency_s / weights.latency_reference_s
    price = offer.cost_minor * PPM / payment.amount_minor / weights.cost_reference_ppm
    return (
        weights.success * estimate.success_rate
        - weights.latency * min(1.0, slowness)
        - weights.cost * min(1.0, price)
    )


def decision_of(
    standings: Sequence[Standing],
    propensities_ppm: Sequence[int],
    chosen: Standing | None,
    version: int,
) -> RouteDecision:
    """Return the decision; the propensities are of those that are not excluded, in order."""
    left = iter(propensities_ppm)
    candidates = tuple(
        [_candidate(one, next(left) if one.excluded is None else 0) for one in standings]
    )
    if chosen is None:
        waits = [one.opens_in_s for one in standings if one.opens_in_s is not None]
        return RouteDecision(
            chosen=None,
            propensity_ppm=0,
            probe=False,
            alternatives=(),
            candidates=candidates,
            rules_version=version,
            retry_after_s=round(min(waits), 3) if waits else None,
        )
    others = [one for one in standings if one.excluded is None and one is not chosen]
    others.sort(key=lambda one: -one.score)
    return RouteDecision(
        chosen=chosen.name,
        propensity_ppm=candidates[standings.index(chosen)].propensity_ppm,
        probe=chosen.probes,
        alternatives=tuple([one.name for one in others]),
        candidates=candidates,
        rules_version=version,
    )


def _candidate(one: Standing, propensity_ppm: int) -> Candidate:
    # Rounded, since it is stored with every payment and no decision is made by what is stored; by
    # hand, since `round` would take a third of the time of the decision.
    estimate = one.estimate
    return Candidate(
        channel=one.name,
        excluded=one.excluded,
        propensity_ppm=propensity_ppm,
        score=int(one.score * 1e6) / 1e6,
        success_rate=int(estimate.success_rate * 1e6) / 1e6,
        success_rate_sd=int(estimate.sd * 1e6) / 1e6,
        samples=int(estimate.samples * 1e2) / 1e2,
        latency_s=int(estimate.latency_s * 1e4) / 1e4,
        cost_minor=one.cost_minor,
        breaker=one.breaker,
    )
