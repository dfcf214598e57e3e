"""Messages of routing: the rules, what is to be routed, and what was chosen and why.

Scores, success rates and weights are floats: nothing here is money but the amounts and costs, which
are integers in minor units.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import Identifier, Timestamp
from schemas.money import AmountMinor

__all__ = (
    "AttemptOutcome",
    "BreakerRules",
    "BreakerState",
    "Candidate",
    "ChannelOffer",
    "EligibilityRule",
    "ExplainRoute",
    "Exploration",
    "ImaginedPayment",
    "RouteDecision",
    "RouteExplanation",
    "RouteRecord",
    "RoutedPayment",
    "RoutingRules",
    "ScoreWeights",
    "StoredChoice",
    "WindowRules",
)

# What an attempt says of its channel. `declined` is the payer's doing (no money, a wrong password)
# and shows that the channel works; `failed` is the channel's own; `unknown` is no answer.
AttemptOutcome = Literal["success", "declined", "failed", "unknown"]

BreakerState = Literal["closed", "open", "half_open"]

# A rule of a bank names a handful of values; a list of this length is a mistake in the document.
_VALUES_MAX = 64
# Every rule is looked at in every decision.
_RULES_MAX = 128

_Names = Annotated[tuple[Identifier, ...], Meta(max_length=_VALUES_MAX)]
_Hour = Annotated[int, Meta(ge=0, le=23)]
_Share = Annotated[float, Meta(ge=0.0, le=1.0)]
_Positive = Annotated[float, Meta(gt=0.0, le=1e6)]


class EligibilityRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keep payments from channels, or channels for payments.

    It concerns ``channels`` (none named: all of them). A payment matches when every condition that
    is given does: one of ``methods``, ``apps`` and ``payee_types``, an amount from
    ``amount_min_minor`` to ``amount_max_minor``, an hour from ``hour_from`` to ``hour_to``, both
    included and over midnight if the first is the later. ``exclude`` takes the channels from the
    payments that match; ``require`` from all others.
    """

    name: Identifier
    effect: Literal["exclude", "require"]
    channels: _Names = ()
    methods: _Names = ()
    apps: _Names = ()
    payee_types: _Names = ()
    amount_min_minor: AmountMinor | None = None
    amount_max_minor: AmountMinor | None = None
    hour_from: _Hour | None = None
    hour_to: _Hour | None = None


class ScoreWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a channel's score is made of.

    ``success`` × the success rate − ``latency`` × seconds over ``latency_reference_s`` − ``cost`` ×
    the fee's share of the amount over ``cost_reference_ppm``; each quotient is capped at 1. So with
    the defaults a success rate one percentage point higher is worth 500 ppm of the amount.
    """

    success: _Share = 1.0
    latency: _Share = 0.05
    cost: _Share = 0.2
    latency_reference_s: _Positive = 5.0
    cost_reference_ppm: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000


class WindowRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an outcome counts, and what is believed without any.

    Outcomes of the last ``length_s`` seconds count in ``buckets`` parts, each half as much as one
    that is ``half_life_s`` younger. What leaves the window goes on in a long average with
    ``long_half_life_s``, which the window is read against: it counts as many outcomes as it holds,
    at most ``trust_max``. Before anything is known, ``prior_success`` and ``prior_latency_s`` are
    believed as much as ``prior_trust`` outcomes would make one. An ``unknown`` outcome counts as
    ``unknown_failure`` of a failure. What happens while the circuit is not closed counts nowhere.
    """

    length_s: _Positive = 60.0
    buckets: Annotated[int, Meta(ge=2, le=120)] = 12
    half_life_s: _Positive = 30.0
    long_half_life_s: _Positive = 300.0
    prior_success: _Share = 0.9
    prior_trust: _Positive = 10.0
    prior_latency_s: _Positive = 1.0
    trust_max: _Positive = 30.0
    unknown_failure: _Share = 1.0


class BreakerRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a channel is left alone, and how it comes back.

    It opens after ``consecutive_failures``, or when at least ``samples_min`` outcomes of the window
    failed at a rate of ``failure_rate``. It stays open for ``cool_down_s``, and twice as long each
    time that a probe fails or that it opens again within ``cool_down_s_max``, which is also the
    longest. Then it is half open: at most ``probes`` at a time get through, and after as many
    answers it closes. A probe without an outcome for ``probe_timeout_s`` is given up.
    ``probe_share`` is the probability that a payment which could probe does.
    """

    consecutive_failures: Annotated[int, Meta(ge=1, le=1000)] = 8
    failure_rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.5
    samples_min: Annotated[int, Meta(ge=1, le=100_000)] = 20
    cool_down_s: _Positive = 15.0
    cool_down_s_max: _Positive = 120.0
    probes: Annotated[int, Meta(ge=1, le=100)] = 3
    probe_timeout_s: _Positive = 30.0
    probe_share: Annotated[float, Meta(gt=0.0, le=0.5)] = 0.05


class Exploration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is tried of what is not known to be the best.

    A channel is drawn by the exponential of its upper bound, which is its score and ``bonus``
    standard deviations of it, over ``temperature`` in units of the score. So what has not been
    tried for a while is tried when it could be the best. No channel that may be chosen gets less
    than ``floor_ppm``.
    """

    temperature: Annotated[float, Meta(ge=1e-4, le=10.0)] = 0.006
    bonus: Annotated[float, Meta(ge=0.0, le=10.0)] = 1.0
    floor_ppm: Annotated[int, Meta(ge=1, le=10_000)] = 100


class RoutingRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that an operator may change about routing, as one document."""

    eligibility: Annotated[tuple[EligibilityRule, ...], Meta(max_length=_RULES_MAX)] = ()
    weights: ScoreWeights = ScoreWeights()
    window: WindowRules = WindowRules()
    breaker: BreakerRules = BreakerRules()
    exploration: Exploration = Exploration()


class ChannelOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel, and what the payment would cost the bank there (minor units).

    ``refused`` is why the channel itself does not take the payment; empty when it does.
    """

    channel: str
    cost_minor: int = 0
    refused: str = ""


class RoutedPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a payment when its channel is chosen.

    ``hour`` is the hour of the day at the bank. ``excluded`` are channels that this payment must
    not take (again), for a reason of its own.
    """

    method: str
    amount_minor: int
    app: str
    payee_type: str
    hour: int
    excluded: tuple[str, ...] = ()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """How one channel stood when the choice was made.

    ``excluded`` is why it could not be chosen; null when it could, and then ``propensity_ppm`` is
    the probability with which it was. ``success_rate`` is the estimate and ``success_rate_sd`` its
    standard deviation; ``samples`` is how many outcomes of the window it rests on, older ones
    counting less. All of these are of the times in which its circuit was closed.
    """

    channel: str
    excluded: str | None
    propensity_ppm: int
    score: float
    success_rate: float
    success_rate_sd: float
    samples: float
    latency_s: float
    cost_minor: int
    breaker: BreakerState


class RouteDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The channel that was drawn, and all that it was drawn from.

    ``chosen`` is null when no channel may be tried; then ``retry_after_s`` says when one may, if
    time alone can change it. ``alternatives`` are the other channels that could have been chosen,
    best score first. ``probe`` tells that the chosen channel is being tried after an outage.
    """

    chosen: str | None
    propensity_ppm: int
    probe: bool
    alternatives: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    rules_version: int
    retry_after_s: float | None = None


class RouteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a choice: the question and the answer."""

    payment: RoutedPayment
    decision: RouteDecision


class ImaginedPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment that nobody makes, to ask where it would go.

    ``channel`` is the one that it names, if it names one; ``hour`` the hour of the day at the bank,
    now unless given.
    """

    method: Identifier
    amount_minor: AmountMinor
    app: Identifier | None = None
    payee_type: Identifier | None = None
    channel: Identifier | None = None
    excluded: _Names = ()
    hour: _Hour | None = None


class ExplainRoute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read why a payment took its channels, or learn where a payment would go now.

    Give either ``payment_id`` or ``payment``. The second draws nothing and changes nothing.
    """

    payment_id: Identifier | None = None
    payment: ImaginedPayment | None = None


class StoredChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The choice behind one attempt of a payment; ``number`` counts its attempts from 1."""

    number: int
    at: Timestamp
    chosen: str
    propensity_ppm: int
    rules_version: int
    payment: RoutedPayment
    decision: RouteDecision


class RouteExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The stored choices of a payment in order, or what ``node`` would draw from now.

    Each node learns from the attempts that it makes itself, so another one may see it otherwise.
    ``reasons`` are sentences about ``now``, the deciding one first.
    """

    node: str
    choices: tuple[StoredChoice, ...] = ()
    now: RouteRecord | None = None
    reasons: tuple[str, ...] = ()
