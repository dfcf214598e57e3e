"""Conditions and tests of the rules as plain functions, made once so that a payment pays little."""

from collections.abc import Callable
from operator import attrgetter

from actors.risk.geo import distance_km, speed_kmh
from actors.risk.history import History
from actors.risk.rules import (
    AmountRule,
    GeoSpeedRule,
    ListRule,
    MerchantCategoryRule,
    NightRule,
    Subject,
    VelocityRule,
    When,
)
from actors.risk.windows import SHANGHAI_OFFSET_S, bucket_of
from schemas.risk import RiskFacts

__all__ = (
    "Fires",
    "Looks",
    "Named",
    "amount_test",
    "category_test",
    "geo_test",
    "list_test",
    "looks_at",
    "mark_test",
    "night_test",
    "subject_of",
    "velocity_test",
)

Looks = Callable[[RiskFacts], bool]
Fires = Callable[[RiskFacts, History], bool]
# The name under which something about a movement is kept; empty when it has no such thing.
Named = Callable[[RiskFacts], str]


def looks_at(when: When) -> Looks | None:
    """Return the test of the conditions; None when there are none."""
    tests: list[Looks] = []
    low, high = when.amount_min_minor, when.amount_max_minor
    # The amount first: it is what keeps most rules away from most payments.
    if low is not None and high is not None:
        tests.append(lambda facts: low <= facts.amount_minor <= high)
    elif low is not None:
        tests.append(lambda facts: facts.amount_minor >= low)
    elif high is not None:
        tests.append(lambda facts: facts.amount_minor <= high)
    if when.methods:
        methods = frozenset(when.methods)
        tests.append(lambda facts: facts.method in methods)
    if when.apps:
        apps = frozenset(when.apps)
        tests.append(lambda facts: facts.app in apps)
    if when.payee_types:
        payee_types = frozenset(when.payee_types)
        tests.append(lambda facts: facts.payee_type in payee_types)
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda facts: all(test(facts) for test in tests)


def subject_of(subject: Subject) -> Named:
    """Return what reads the subject of a movement."""
    if subject == "device":
        # Apps choose the ids of their devices, so one could otherwise use up another's counters.
        return lambda facts: f"{facts.app}/{facts.device_id}" if facts.device_id else ""
    return attrgetter("payer" if subject == "account" else subject)


def list_test(rule: ListRule) -> Fires:
    """Return the test of a list; a movement without such a subject is on no list."""
    values = frozenset(rule.values)
    of = subject_of(rule.subject)
    if rule.subject == "device":
        # A stolen phone is listed whichever app sees it.
        of = attrgetter("device_id")
    if rule.mode == "only":
        return lambda facts, _: of(facts) not in values
    return lambda facts, _: of(facts) in values


def amount_test(rule: AmountRule) -> Fires:
    """Return the test of a single amount."""
    above = rule.above_minor
    return lambda facts, _: facts.amount_minor > above


def night_test(rule: NightRule) -> Fires:
    """Return the test of the hours of the day in Asia/Shanghai."""
    first, end = rule.from_hour, rule.to_hour

    def hour(facts: RiskFacts) -> int:
        return (facts.at_ms // 1000 + SHANGHAI_OFFSET_S) % 86_400 // 3_600

    if first < end:
        return lambda facts, _: first <= hour(facts) < end
    return lambda facts, _: not end <= hour(facts) < first


def category_test(rule: MerchantCategoryRule) -> Fires:
    """Return the test of the payee's category."""
    categories = frozenset(rule.categories)
    return lambda facts, _: facts.merchant_category in categories


def geo_test(rule: GeoSpeedRule) -> Fires:
    """Return the test of the way from the customer's last place."""

    def fires(facts: RiskFacts, history: History) -> bool:
        if facts.geo is None:
            return False
        last = history.place(facts.customer)
        if last is None or abs(facts.at_ms - last.at_ms) > rule.within_s * 1000:
            return False
        way_km = distance_km(last.point, facts.geo)
        return (
            way_km >= rule.distance_min_km
            and speed_kmh(way_km, last.at_ms, facts.at_ms) > rule.kmh_max
        )

    return fires


def mark_test(named: Named) -> Fires:
    """Return the test whether something is seen for the first time."""

    def fires(facts: RiskFacts, history: History) -> bool:
        name = named(facts)
        return bool(name) and not history.known(name)

    return fires


def velocity_test(rule: VelocityRule, named: Named) -> Fires:
    """Return the test of a window with this movement in it."""
    width_s = rule.window_s // rule.buckets
    count_max, amount_max = rule.count_max, rule.amount_max_minor

    def fires(facts: RiskFacts, history: History) -> bool:
        name = named(facts)
        if not name:
            return False
        count, amount = history.sums(name, bucket_of(facts.at_ms // 1000, width_s))
        return (count_max is not None and count + 1 > count_max) or (
            amount_max is not None and amount + facts.amount_minor > amount_max
        )

    return fires
