"""What holds of every decision, whatever the rules and whatever happened before."""

import gc
import math
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from actors.channels.routing.exploration import PPM
from actors.channels.routing.router import CHANNELS_MAX
from schemas.routing import (
    AttemptOutcome,
    BreakerRules,
    EligibilityRule,
    RouteDecision,
    RoutedPayment,
    RoutingRules,
)
from tests.unit.routing.routing_lab import (
    CHANNELS,
    candidate,
    histories,
    live,
    offers,
    payment,
    router,
    rules,
)

# Time to shrink an example that fails; one that passes takes milliseconds.
pytestmark = pytest.mark.timeout(300)

_MANY = settings(max_examples=300, deadline=None)


def _matches(rule: EligibilityRule, asked: RoutedPayment) -> bool:
    return (
        (not rule.methods or asked.method in rule.methods)
        and (not rule.apps or asked.app in rule.apps)
        and (not rule.payee_types or asked.payee_type in rule.payee_types)
        and (rule.amount_min_minor is None or asked.amount_minor >= rule.amount_min_minor)
        and (rule.amount_max_minor is None or asked.amount_minor <= rule.amount_max_minor)
    )


def _forbidden(given_rules: RoutingRules, asked: RoutedPayment) -> set[str]:
    """Return the channels that the payment may not take, by a second reading of the rules."""
    found = set(asked.excluded)
    for rule in given_rules.eligibility:
        if _matches(rule, asked) == (rule.effect == "exclude"):
            found |= set(rule.channels or CHANNELS)
    return found


@_MANY
@given(rules, histories)
def test_propensities_are_exact_and_none_is_zero(
    given_rules: RoutingRules, history: list[tuple[Any, ...]]
) -> None:
    """What may be chosen has at least one part in a million, all of them sum to a million."""
    for decision in live(router(given_rules), history):
        possible = [one for one in decision.candidates if one.excluded is None]
        assert all(one.propensity_ppm >= 1 for one in possible)
        assert all(one.propensity_ppm == 0 for one in decision.candidates if one.excluded)
        assert len(decision.candidates) == len(CHANNELS)
        if decision.chosen is None:
            assert possible == []
            assert decision.propensity_ppm == 0
        else:
            assert sum(one.propensity_ppm for one in possible) == PPM
            chosen = candidate(decision, decision.chosen)
            assert chosen.excluded is None
            assert chosen.propensity_ppm == decision.propensity_ppm
            assert {*decision.alternatives, decision.chosen} == {one.channel for one in possible}
            scores = [candidate(decision, name).score for name in decision.alternatives]
            assert all(a >= b for a, b in pairwise(scores))


@_MANY
@given(rules, histories)
def test_what_the_rules_exclude_is_never_chosen(
    given_rules: RoutingRules, history: list[tuple[Any, ...]]
) -> None:
    """No decision takes a channel that a rule or the payment itself excludes, and says so."""
    asked = [step[1] for step in history if step[0] == "pay"]
    for one, decision in zip(asked, live(router(given_rules), history), strict=True):
        forbidden = _forbidden(given_rules, one)
        event("something is forbidden" if forbidden else "nothing is forbidden")
        assert decision.chosen not in forbidden
        for channel in CHANNELS:
            said = candidate(decision, channel)
            if channel in forbidden:
                assert said.excluded
                assert not said.excluded.startswith("its circuit")
            elif said.breaker == "closed":
                assert said.excluded is None


@_MANY
@given(rules, histories)
def test_an_open_circuit_is_passed_by_probes_only(
    given_rules: RoutingRules, history: list[tuple[Any, ...]]
) -> None:
    """A channel that is not closed takes as many probes as wanted at a time, and nothing else."""
    subject = router(given_rules)
    limit, timeout_s = given_rules.breaker.probes, given_rules.breaker.probe_timeout_s
    probes: dict[str, list[float]] = {name: [] for name in CHANNELS}
    now_s = latest_s = 0.0
    for step in history:
        now_s += step[-1]
        latest_s = max(latest_s, now_s)
        if step[0] == "tell":
            subject.observe(step[1], step[2], step[3], now_s)
            # Any outcome may have ended a probe, or the outage.
            probes[step[1]].clear()
            continue
        decision = subject.choose(step[1], offers(), now_s)
        if decision.chosen is None:
            continue
        chosen = candidate(decision, decision.chosen)
        assert chosen.breaker != "open"
        assert decision.probe == (chosen.breaker == "half_open")
        if decision.probe:
            event("a probe")
            mine = probes[decision.chosen]
            mine.append(latest_s)
            assert sum(began_s > latest_s - timeout_s for began_s in mine) <= limit


@_MANY
@given(rules, histories, st.integers(0, 2**32))
def test_one_seed_makes_one_story(
    given_rules: RoutingRules, history: list[tuple[Any, ...]], seed: int
) -> None:
    """Two routers with the same seed and the same history make the same decisions."""
    first, second = router(given_rules, seed=seed), router(given_rules, seed=seed)
    assert live(first, history) == live(second, history)
    assert first.statistics() == second.statistics()


@_MANY
@given(rules, histories)
def test_explaining_changes_nothing(
    given_rules: RoutingRules, history: list[tuple[Any, ...]]
) -> None:
    """A router that is asked to explain before each step decides as one that is not."""
    curious, plain = router(given_rules), router(given_rules)
    now_s = 0.0
    for step in history:
        now_s += step[-1]
        asked = step[1] if step[0] == "pay" else payment()
        explained = curious.explain(asked, offers(), now_s)
        if step[0] == "tell":
            curious.observe(step[1], step[2], step[3], now_s)
            plain.observe(step[1], step[2], step[3], now_s)
            continue
        decision = curious.choose(asked, offers(), now_s)
        assert decision == plain.choose(asked, offers(), now_s)
        assert explained.candidates == decision.candidates
        assert explained.retry_after_s == decision.retry_after_s


def _reachable(root: object) -> int:
    """Return how many objects hang on one, the types and modules they share aside."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type) or callable(one):
            continue
        seen[id(one)] = one
        waiting += gc.get_referents(one)
    return len(seen)


def test_memory_is_bounded() -> None:
    """Neither payments nor outcomes nor names of channels make a router grow without end."""
    subject = router()
    rng = random.Random(4)  # noqa: S311 - reproducible on purpose
    sizes = []
    for number in range(12_000):
        now_s = number * 0.05
        name = f"channel-{rng.randrange(1_000)}"
        subject.choose(payment(), offers(name, *CHANNELS), now_s)
        outcome: AttemptOutcome = "success" if rng.random() < 0.3 else "failed"
        subject.observe(rng.choice((name, *CHANNELS)), outcome, 0.2, now_s)
        if number in {5_999, 11_999}:
            sizes.append(_reachable(subject._health))
    assert len(subject._health) == CHANNELS_MAX
    assert {*CHANNELS} < subject._health.keys()
    # Some circuits hold a probe or two at one time and none at another.
    assert sizes[1] <= sizes[0] * 1.1


def test_what_is_offered_is_never_forgotten_meanwhile() -> None:
    """However many names went before at the same moment, a decision keeps its own channels."""
    subject = router()
    for number in range(3 * CHANNELS_MAX):
        others = [f"channel-{number}-{place}" for place in range(number % CHANNELS_MAX)]
        names = ["alipay", *others]
        decision = subject.choose(payment(), offers(*names), 5.0)
        assert decision.chosen in names
        assert subject._health.keys() >= set(names)
    assert len(subject._health) == CHANNELS_MAX


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 0.99), st.floats(0.5, 0.99), st.integers(0, 2**16))
def test_the_success_rate_follows_the_truth(before: float, after: float, seed: int) -> None:
    """The estimate is within five of its own standard deviations, also after the truth moved."""
    # No circuit that opens: what happens then counts nowhere.
    never = BreakerRules(consecutive_failures=1000, failure_rate=1.0)
    subject = router(RoutingRules(breaker=never))
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    now_s = 0.0
    for truth in (before, after):
        # Three windows, so that nothing in the window is from before the shift.
        for _ in range(3_600):
            now_s += 0.05
            subject.observe("alipay", "success" if rng.random() < truth else "failed", 0.3, now_s)
        found = candidate(subject.explain(payment(), offers("alipay"), now_s), "alipay")
        assert math.isclose(found.success_rate, truth, abs_tol=5 * found.success_rate_sd + 0.02)
        assert found.success_rate_sd < 0.04
        assert math.isclose(found.latency_s, 0.3, abs_tol=0.05)


def test_draws_are_as_often_as_their_propensity_says() -> None:
    """Of many draws in one state, each channel's share is its stored propensity."""
    subject = router(msgspec.convert({"exploration": {"temperature": 0.05}}, RoutingRules))
    for number, name in enumerate(CHANNELS):
        for trial in range(40):
            subject.observe(name, "success" if trial % 10 >= number else "declined", 0.3, 1.0)
            if trial % 10 < number:
                subject.observe(name, "failed" if trial % 2 else "success", 0.3, 1.0)
    said = subject.explain(payment(), offers(), 1.0)
    draws = 20_000
    drawn = Counter(_chosen(subject.choose(payment(), offers(), 1.0)) for _ in range(draws))
    for name in CHANNELS:
        share = candidate(said, name).propensity_ppm / PPM
        assert share > 0.01
        deviation = math.sqrt(draws * share * (1 - share))
        assert abs(drawn[name] - draws * share) < 5 * deviation


def _chosen(decision: RouteDecision) -> str:
    assert decision.chosen is not None
    return decision.chosen
