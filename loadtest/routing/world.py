"""One seeded world: what each channel would have done with each payment, whoever chooses.

Everything is drawn before anybody chooses, so all policies meet the same payments, the same
outages and the same luck, and what one of them does changes nothing for another.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

import msgspec

from loadtest.routing.behaviour import Behaviour, ChannelBehaviour, Terms
from schemas.routing import AttemptOutcome, ChannelOffer, RoutedPayment, ScoreWeights

__all__ = ("TIMEOUT_S", "Arrival", "Fate", "World", "make_world")

_PPM = 1_000_000

# How long anybody waits for an answer, as an attempt of the bank does.
TIMEOUT_S = 8.0

# Amounts of a city's payments: log-normal around ¥35, capped at ¥50,000.
_AMOUNT_MEDIAN_MINOR, _AMOUNT_SIGMA, _AMOUNT_MAX_MINOR = 3_500, 1.4, 5_000_000

_METHODS = {"quick": 0.35, "qr_static": 0.2, "qr_dynamic": 0.3, "guaranteed": 0.05, "seamless": 0.1}


class Fate(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one payment at one channel, and what could be expected of it.

    ``value`` is the score under the true success rate and the true mean latency.
    """

    outcome: AttemptOutcome
    latency_s: float
    cost_minor: int
    value: float
    success_rate: float


class Arrival(msgspec.Struct, frozen=True):
    """One payment; ``fates`` has the channels that take it, ``best`` the highest of their values.

    ``declined`` tells that the payer's own bank refuses it whatever the channel.
    """

    at_s: float
    payment: RoutedPayment
    offers: tuple[ChannelOffer, ...]
    fates: dict[str, Fate]
    best: float
    declined: bool


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Payments in the order in which they come, and the truth about the channels on the whole."""

    arrivals: tuple[Arrival, ...]
    channels: tuple[str, ...]
    mean_value: dict[str, float]
    mean_success: dict[str, float]


class _Moment(msgspec.Struct, frozen=True):
    """One channel in one second: shares of all requests and of those that are answered."""

    silent: float
    failing: float
    median_s: float
    unknown_s: float

    @property
    def success_rate(self) -> float:
        return (1.0 - self.silent) * (1.0 - self.failing)


def make_world(
    terms: Sequence[Terms],
    behaviour: Behaviour,
    weights: ScoreWeights,
    *,
    seed: int,
    decisions: int,
    length_s: float,
) -> World:
    """Draw a world in which ``decisions`` payments come at random within ``length_s``."""
    rng = random.Random(seed)
    moments = {
        one.name: [_moment(behaviour.of(one.name), at) for at in range(math.ceil(length_s))]
        for one in terms
    }
    times = sorted(rng.uniform(0.0, length_s) for _ in range(decisions))
    arrivals = tuple(_arrival(terms, behaviour, moments, weights, at_s, rng) for at_s in times)
    names = tuple(one.name for one in terms)
    fates = {name: [one.fates[name] for one in arrivals if name in one.fates] for name in names}
    return World(
        arrivals=arrivals,
        channels=names,
        mean_value={name: _mean([fate.value for fate in all_]) for name, all_ in fates.items()},
        mean_success={
            name: _mean([fate.success_rate for fate in all_]) for name, all_ in fates.items()
        },
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _moment(channel: ChannelBehaviour, at_s: float) -> _Moment:
    """Return how the channel does at a time, as its simulator would have it."""
    failure, before, after, factor = (
        channel.failure_ppm, channel.timeout_before_ppm, channel.timeout_after_ppm, 1.0,
    )  # fmt: skip
    number = bisect_right(channel.phases, at_s, key=attrgetter("from_s"))
    if number:
        current = channel.phases[number - 1]
        failure = failure if current.failure_ppm is None else current.failure_ppm
        before = before if current.timeout_before_ppm is None else current.timeout_before_ppm
        after = after if current.timeout_after_ppm is None else current.timeout_after_ppm
        factor = current.latency_factor
    median_s = channel.latency_median_s * factor
    for outage in channel.outages:
        if outage.from_s <= at_s < outage.to_s:
            return _Moment(1.0, 1.0, median_s, TIMEOUT_S if outage.kind == "silent" else median_s)
    return _Moment((before + after) / _PPM, failure / _PPM, median_s, TIMEOUT_S)


def _arrival(
    terms: Sequence[Terms],
    behaviour: Behaviour,
    moments: dict[str, list[_Moment]],
    weights: ScoreWeights,
    at_s: float,
    rng: random.Random,
) -> Arrival:
    amount = rng.lognormvariate(math.log(_AMOUNT_MEDIAN_MINOR), _AMOUNT_SIGMA)
    amount_minor = min(max(1, round(amount)), _AMOUNT_MAX_MINOR)
    method = rng.choices(list(_METHODS), list(_METHODS.values()))[0]
    payers_luck = rng.random()
    offers, fates = [], {}
    for one in terms:
        # The same draws in the same order for every channel, so that no luck depends on another's.
        luck = (rng.random(), rng.random(), rng.gauss(0.0, 1.0))
        takes = one.takes(method, amount_minor)
        cost_minor = one.fee_minor(amount_minor)
        refused = "" if takes else f"it does not take {method} of this amount"
        offers.append(ChannelOffer(channel=one.name, cost_minor=cost_minor, refused=refused))
        if takes:
            channel, moment = behaviour.of(one.name), moments[one.name][int(at_s)]
            declined = payers_luck * _PPM < channel.decline_ppm
            outcome, latency_s = _outcome(channel, moment, luck, declined=declined)
            value = _value(weights, moment, _mean_latency_s(channel, moment),
                           cost_minor, amount_minor)  # fmt: skip
            fates[one.name] = Fate(outcome, latency_s, cost_minor, value, moment.success_rate)
    payment = RoutedPayment(
        method=method,
        amount_minor=amount_minor,
        app="city",
        payee_type="merchant",
        hour=int(at_s // 3600) % 24,
    )
    best = max(fate.value for fate in fates.values())
    declined = all(payers_luck * _PPM < behaviour.of(name).decline_ppm for name in fates)
    return Arrival(at_s, payment, tuple(offers), fates, best, declined)


def _outcome(
    channel: ChannelBehaviour,
    moment: _Moment,
    luck: tuple[float, float, float],
    *,
    declined: bool,
) -> tuple[AttemptOutcome, float]:
    silence, failure, pace = luck
    if silence < moment.silent:
        return "unknown", moment.unknown_s
    latency_s = moment.median_s * math.exp(channel.latency_sigma * pace)
    latency_s = min(latency_s, channel.latency_max_s)
    if failure < moment.failing:
        return "failed", latency_s
    return ("declined" if declined else "success"), latency_s


def _mean_latency_s(channel: ChannelBehaviour, moment: _Moment) -> float:
    # The mean of a log-normal; its cap is far above all that matters here.
    answered_s = moment.median_s * math.exp(channel.latency_sigma**2 / 2)
    return moment.silent * moment.unknown_s + (1.0 - moment.silent) * answered_s


def _value(
    weights: ScoreWeights, moment: _Moment, latency_s: float, cost_minor: int, amount_minor: int
) -> float:
    slowness = min(1.0, latency_s / weights.latency_reference_s)
    share = min(1.0, cost_minor * _PPM / amount_minor / weights.cost_reference_ppm)
    return weights.success * moment.success_rate - weights.latency * slowness - weights.cost * share
