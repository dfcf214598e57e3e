"""Payments, channels and short histories for the tests of routing."""

from typing import Any, get_args

from hypothesis import strategies as st

from actors.channels.routing import Router
from kernel.randomness import SeededRandomness
from schemas.routing import (
    AttemptOutcome,
    BreakerRules,
    Candidate,
    ChannelOffer,
    EligibilityRule,
    Exploration,
    RouteDecision,
    RoutedPayment,
    RoutingRules,
    WindowRules,
)

__all__ = (
    "CHANNELS",
    "METHODS",
    "OUTCOMES",
    "candidate",
    "eligibility_rules",
    "histories",
    "live",
    "offers",
    "payment",
    "payments",
    "router",
    "rules",
)

CHANNELS = ("own_bank", "wechat", "alipay", "unionpay", "netsunion")
METHODS = ("quick", "qr_static", "seamless")
APPS = ("campus", "market")
PAYEES = ("merchant", "person")
OUTCOMES: tuple[AttemptOutcome, ...] = get_args(AttemptOutcome)


def payment(**changes: Any) -> RoutedPayment:
    """Return a usual payment, with changes."""
    usual: dict[str, Any] = {
        "method": "quick", "amount_minor": 5_000, "app": "campus", "payee_type": "merchant",
        "hour": 12,
    }  # fmt: skip
    return RoutedPayment(**{**usual, **changes})


def offers(*names: str, cost_minor: int = 10) -> tuple[ChannelOffer, ...]:
    """Return offers of the channels, of all known ones when none is named."""
    return tuple(ChannelOffer(channel=name, cost_minor=cost_minor) for name in names or CHANNELS)


def router(rules: RoutingRules | None = None, *, seed: int = 1) -> Router:
    """Return a router that has seen nothing."""
    return Router(rules or RoutingRules(), SeededRandomness(seed), version=7)


def candidate(decision: RouteDecision, channel: str) -> Candidate:
    """Return how one channel stood."""
    return next(one for one in decision.candidates if one.channel == channel)


def live(
    subject: Router, steps: list[tuple[Any, ...]], *, start_s: float = 0.0
) -> list[RouteDecision]:
    """Let a router live through a history; return its decisions.

    A step is ``("pay", payment, seconds later)`` or ``("tell", channel, outcome, latency, later)``.
    """
    now_s, decisions = start_s, []
    for step in steps:
        now_s += step[-1]
        if step[0] == "pay":
            decisions.append(subject.choose(step[1], offers(), now_s))
        else:
            subject.observe(step[1], step[2], step[3], now_s)
    return decisions


payments = st.builds(
    payment,
    method=st.sampled_from(METHODS),
    amount_minor=st.integers(1, 10_000),
    app=st.sampled_from(APPS),
    payee_type=st.sampled_from((*PAYEES, "")),
    hour=st.integers(0, 23),
    excluded=st.lists(st.sampled_from(CHANNELS), max_size=2, unique=True).map(tuple),
)

eligibility_rules = st.builds(
    EligibilityRule,
    name=st.uuids().map(lambda one: f"r{one.hex}"),
    effect=st.sampled_from(("exclude", "require")),
    channels=st.lists(st.sampled_from(CHANNELS), max_size=3).map(tuple),
    methods=st.lists(st.sampled_from(METHODS), max_size=2).map(tuple),
    apps=st.lists(st.sampled_from(APPS), max_size=1).map(tuple),
    payee_types=st.lists(st.sampled_from(PAYEES), max_size=1).map(tuple),
    amount_min_minor=st.none() | st.integers(1, 10_000),
    amount_max_minor=st.none() | st.integers(1, 10_000),
)

rules = st.builds(
    RoutingRules,
    eligibility=st.lists(eligibility_rules, max_size=3).map(tuple),
    window=st.builds(
        WindowRules,
        length_s=st.sampled_from((10.0, 60.0)),
        half_life_s=st.just(10.0),
        buckets=st.integers(2, 12),
        unknown_failure=st.sampled_from((0.0, 0.5, 1.0)),
    ),
    breaker=st.builds(
        BreakerRules,
        consecutive_failures=st.integers(1, 4),
        cool_down_s=st.sampled_from((1.0, 5.0)),
        probes=st.integers(1, 3),
        probe_timeout_s=st.sampled_from((2.0, 30.0)),
        probe_share=st.sampled_from((0.01, 0.5)),
    ),
    exploration=st.builds(
        Exploration,
        temperature=st.sampled_from((1e-4, 0.006, 10.0)),
        floor_ppm=st.sampled_from((1, 100, 10_000)),
    ),
)

_later = st.sampled_from((0.0, 0.1, 1.0, 7.0, 100.0, -3.0))

histories = st.lists(
    st.tuples(st.just("pay"), payments, _later)
    | st.tuples(
        st.just("tell"),
        st.sampled_from(CHANNELS),
        # Failures more often than not, so that circuits open.
        st.sampled_from((*OUTCOMES, "failed", "failed", "unknown")),
        st.none() | st.sampled_from((0.0, 0.2, 8.0)),
        _later,
    ),
    max_size=60,
)
