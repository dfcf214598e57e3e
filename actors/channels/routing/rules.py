"""The routing rules as a rule set: checked when they are put, taken over while payments flow."""

from actors.rules import RuleSet
from schemas.errors import InvalidField
from schemas.routing import EligibilityRule, RoutingRules

__all__ = ("ROUTING_RULES", "check_rules")


def check_rules(rules: RoutingRules) -> None:
    """Raise :class:`~schemas.errors.InvalidField` on what the shape alone cannot tell.

    The message names the path in the document and says what is expected there.
    """
    weights, window, breaker = rules.weights, rules.window, rules.breaker
    if not (weights.success or weights.latency or weights.cost):
        raise _invalid("weights", "one of success, latency and cost must be above 0")
    if window.half_life_s > window.length_s:
        raise _invalid(
            "window.half_life_s",
            f"{window.half_life_s:g} is longer than the window of {window.length_s:g}",
        )
    if window.trust_max < window.prior_trust:
        raise _invalid(
            "window.trust_max",
            f"{window.trust_max:g} is below window.prior_trust, {window.prior_trust:g}",
        )
    if breaker.cool_down_s > breaker.cool_down_s_max:
        raise _invalid(
            "breaker.cool_down_s",
            f"{breaker.cool_down_s:g} is above breaker.cool_down_s_max, "
            f"{breaker.cool_down_s_max:g}",
        )
    seen: set[str] = set()
    for index, rule in enumerate(rules.eligibility):
        _check_rule(rule, f"eligibility[{index}]")
        if rule.name in seen:
            raise _invalid(f"eligibility[{index}].name", f"{rule.name!r} is there twice")
        seen.add(rule.name)


def _check_rule(rule: EligibilityRule, path: str) -> None:
    least, most = rule.amount_min_minor, rule.amount_max_minor
    if least is not None and most is not None and least > most:
        raise _invalid(
            f"{path}.amount_min_minor", f"{least} is above amount_max_minor, {most}: it fits none"
        )
    if (rule.hour_from is None) != (rule.hour_to is None):
        raise _invalid(f"{path}.hour_from", "give both hour_from and hour_to, or neither")
    conditions = (
        rule.methods, rule.apps, rule.payee_types, rule.amount_min_minor, rule.amount_max_minor,
        rule.hour_from,
    )  # fmt: skip
    if not rule.channels and all(one in ((), None) for one in conditions):
        # "Exclude everything" would stop all payments, "require nothing" would do nothing.
        raise _invalid(path, f"rule {rule.name!r} names no channel and no condition")
    if rule.effect == "require" and all(one in ((), None) for one in conditions):
        raise _invalid(path, f"rule {rule.name!r} requires nothing; name a condition")


def _invalid(path: str, what: str) -> InvalidField:
    return InvalidField(f"rules 'routing': $.{path}: {what}", field=f"rules.{path}")


ROUTING_RULES = RuleSet(
    name="routing", shape=RoutingRules, default=RoutingRules(), check=check_rules
)
