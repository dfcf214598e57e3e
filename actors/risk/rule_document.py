"""Read a rule document, and say exactly what is wrong with it.

A document is taken as a whole or not at all. Besides its shape, it is refused for what could never
have the effect that its author wants: bounds that contradict each other, rules that cannot fire,
thresholds that cannot be reached.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal

import msgspec

from actors.risk.rules import (
    AmountRule,
    GeoSpeedRule,
    ListRule,
    NightRule,
    RiskRules,
    Rule,
    VelocityRule,
)
from schemas.money import MAX_AMOUNT_MINOR

__all__ = ("RulesRefused", "check_rules", "default_rules", "parse_rules", "rules_from")

_RULE_PATH = re.compile(r"\$\.rules\[(\d+)\]")


class RulesRefused(ValueError):
    """The document is not one that can be used; ``problems`` are all that was found."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse_rules(text: str, form: Literal["toml", "json"] = "toml") -> RiskRules:
    """Return the checked document of a file; raise :class:`RulesRefused`."""
    try:
        document = tomllib.loads(text) if form == "toml" else msgspec.json.decode(text)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
        raise RulesRefused((f"not {form.upper()}: {error}",)) from error
    return rules_from(document)


def rules_from(document: Any) -> RiskRules:
    """Return the checked rules of a document of plain dicts and lists."""
    try:
        rules = msgspec.convert(document, RiskRules)
    except msgspec.ValidationError as error:
        raise RulesRefused((_named(str(error), document),)) from error
    problems = check_rules(rules)
    if problems:
        raise RulesRefused(problems)
    return rules


def default_rules() -> RiskRules:
    """Return the rules of a bank that has put none of its own."""
    return parse_rules(files("actors.risk").joinpath("default_rules.toml").read_text("utf-8"))


def _named(message: str, document: Any) -> str:
    """Add the rule's own name to a message that only counts rules."""
    found = _RULE_PATH.search(message)
    if found is None:
        return message
    rule = document["rules"][int(found[1])]
    name = rule.get("id") if isinstance(rule, dict) else None
    return f"rule {name!r}: {message}" if isinstance(name, str) else message


def check_rules(rules: RiskRules) -> tuple[str, ...]:
    """Return every contradiction in a document whose shape is sound."""
    problems = []
    for name, times in Counter(rule.id for rule in rules.rules).items():
        if times > 1:
            problems.append(f"rule {name!r}: the id is used {times} times; give each rule its own")
    by_id = {rule.id: rule for rule in rules.rules}
    for rule in rules.rules:
        found = [*_check_action(rule, rules), *_check_when(rule)]
        match rule:
            case ListRule():
                found += _check_list(rule, by_id)
            case VelocityRule():
                found += _check_velocity(rule)
            case AmountRule():
                found += _check_amount(rule)
            case NightRule() if rule.from_hour == rule.to_hour:
                found.append("from_hour and to_hour are equal, so the night has no hours")
            case GeoSpeedRule():
                found += _check_geo(rule)
            case _:
                pass
        problems += [f"rule {rule.id!r}: {problem}" for problem in found]
    problems += [f"defaults.score: {problem}" for problem in _check_score(rules)]
    if rules.defaults.step_up.at_least > len(set(rules.defaults.step_up.accepted)):
        problems.append("defaults.step_up: at_least asks for more factors than are accepted")
    return tuple(problems)


def _check_action(rule: Rule, rules: RiskRules) -> Iterator[str]:
    if (rule.action == "score") != (rule.points is not None):
        yield "points belong to the action 'score', and it needs them"
    thresholds = rules.defaults.score
    if rule.action == "score" and thresholds == type(thresholds)():
        yield "scores have no effect without a threshold in defaults.score"
    if rule.step_up is not None:
        if rule.action != "step_up":
            yield "step_up belongs to the action 'step_up'"
        if rule.step_up.at_least > len(set(rule.step_up.accepted)):
            yield (
                f"step_up.at_least is {rule.step_up.at_least}, but only "
                f"{len(set(rule.step_up.accepted))} factors are accepted: nobody could satisfy it"
            )
    if (rule.action == "exempt") != (isinstance(rule, ListRule) and rule.mode == "allow"):
        yield "the action 'exempt' belongs to lists with mode 'allow', and they have no other"


def _check_when(rule: Rule) -> Iterator[str]:
    low, high = rule.when.amount_min_minor, rule.when.amount_max_minor
    if low is not None and high is not None and low > high:
        yield f"no amount is at least {low} and at most {high}, so the rule can never look at one"


def _check_list(rule: ListRule, by_id: dict[str, Rule]) -> Iterator[str]:
    if not rule.values:
        yield "the list is empty; leave the rule out until there is something on it"
    if rule.exempts and rule.mode != "allow":
        yield "exempts belongs to lists with mode 'allow'"
        return
    for name in rule.exempts:
        other = by_id.get(name)
        if other is None:
            yield f"exempts names {name!r}, which is no rule of this document"
        elif isinstance(other, ListRule):
            yield f"exempts names {name!r}: no list takes back another"


def _check_velocity(rule: VelocityRule) -> Iterator[str]:
    if rule.count_max is None and rule.amount_max_minor is None:
        yield "neither count_max nor amount_max_minor is given, so the rule can never fire"
    if rule.window_s % rule.buckets:
        yield f"window_s {rule.window_s} is not divisible into {rule.buckets} equal buckets"
    low, high = rule.when.amount_min_minor, rule.when.amount_max_minor
    if rule.amount_max_minor is None:
        return
    if low is not None and rule.amount_max_minor < low:
        yield (
            f"amount_max_minor {rule.amount_max_minor} is below amount_min_minor {low} of its "
            "conditions, so every payment that it looks at is over it"
        )
    if rule.count_max is not None and high is not None:
        most = rule.count_max * high
        if rule.amount_max_minor >= most:
            yield (
                f"amount_max_minor {rule.amount_max_minor} can never be passed: count_max "
                f"{rule.count_max} payments of at most {high} come to {most}"
            )


def _check_amount(rule: AmountRule) -> Iterator[str]:
    high = rule.when.amount_max_minor or MAX_AMOUNT_MINOR
    if rule.above_minor >= high:
        yield f"above_minor {rule.above_minor} is not below {high}, the most that it may look at"
    low = rule.when.amount_min_minor
    if low is not None and low > rule.above_minor:
        yield (
            f"amount_min_minor {low} of its conditions is above above_minor {rule.above_minor}, "
            "which then decides nothing; keep one of the two"
        )


def _check_geo(rule: GeoSpeedRule) -> Iterator[str]:
    reach_km = rule.kmh_max * rule.within_s / 3600
    if rule.distance_min_km > reach_km:
        yield (
            f"at kmh_max {rule.kmh_max} one gets {reach_km:.0f} km far in within_s "
            f"{rule.within_s}, less than distance_min_km {rule.distance_min_km}: the speed "
            "decides nothing"
        )


def _check_score(rules: RiskRules) -> Iterator[str]:
    score = rules.defaults.score
    given = [
        (name, points)
        for name, points in (
            ("review", score.review), ("step_up", score.step_up), ("decline", score.decline),
        )
        if points is not None
    ]  # fmt: skip
    for (name, points), (stricter, more) in pairwise(given):
        if points >= more:
            yield (
                f"{name} begins at {points} and {stricter} at {more} points, so {name} is never "
                f"what comes of it; the order is review < step_up < decline"
            )
    scoring = [rule for rule in rules.rules if rule.action == "score" and rule.stage != "off"]
    most = sum(rule.points or 0 for rule in scoring)
    for name, points in given:
        if scoring and points > most:
            yield f"{name} begins at {points} points, but all rules together give {most}"
