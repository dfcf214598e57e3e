"""Rule documents: what is refused, and how precisely."""

from typing import Any

import msgspec
import pytest

from actors.risk.rule_document import RulesRefused, default_rules, parse_rules, rules_from
from actors.risk.rules import RiskRules
from tests.unit.risk.facts import document, rule


def _problems(*rules: dict[str, Any], **defaults: Any) -> tuple[str, ...]:
    with pytest.raises(RulesRefused) as refused:
        rules_from(document(*rules, **defaults))
    return refused.value.problems


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (rule("amount", above=5), "rule 'amount': Object contains unknown field `above`"),
        (rule("amount", stage="lively"), "rule 'amount': Invalid enum value 'lively'"),
        (rule("amount", above_minor=0), "rule 'amount': Expected `int` >= 1 - at `$.rules[0]"),
        ({**rule("amount"), "kind": "amounts"}, "rule 'amount': Invalid value 'amounts'"),
        (rule("amount", reason="Too Much"), "rule 'amount': Expected `str` matching regex"),
        (rule("merchant_category", categories=["79"]), "rule 'merchant-category': Expected `str`"),
    ],
)
def test_a_wrong_shape_names_the_rule(wrong: dict[str, Any], said: str) -> None:
    """A field that is unknown or out of range is told with the id of its rule."""
    (problem,) = _problems(wrong)
    assert problem.startswith(said)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (rule("amount", points=5), "points belong to the action 'score'"),
        (rule("amount", action="score", points=5), "without a threshold in defaults.score"),
        (rule("amount", step_up={"at_least": 1}), "step_up belongs to the action 'step_up'"),
        (
            rule("amount", action="step_up", step_up={"accepted": ["sms"], "at_least": 2}),
            "only 1 factors are accepted: nobody could satisfy it",
        ),
        (rule("amount", action="exempt"), "'exempt' belongs to lists with mode 'allow'"),
        (rule("list", mode="allow"), "'exempt' belongs to lists with mode 'allow'"),
        (rule("list", values=[]), "the list is empty"),
        (rule("list", exempts=["x"]), "exempts belongs to lists with mode 'allow'"),
        (
            rule("list", action="exempt", mode="allow", exempts=["gone"]),
            "'gone', which is no rule of this document",
        ),
        (
            rule("list", action="exempt", mode="allow", exempts=["list"]),
            "no list takes back another",
        ),
        (
            rule("night", when={"amount_min_minor": 9, "amount_max_minor": 5}),
            "no amount is at least 9 and at most 5",
        ),
        (rule("velocity", count_max=None), "neither count_max nor amount_max_minor"),
        (rule("velocity", window_s=100, buckets=7), "100 is not divisible into 7 equal buckets"),
        (
            rule("velocity", amount_max_minor=50, when={"amount_min_minor": 60}),
            "every payment that it looks at is over it",
        ),
        (
            rule("velocity", amount_max_minor=300, when={"amount_max_minor": 100}),
            "can never be passed: count_max 3 payments of at most 100 come to 300",
        ),
        (rule("amount", when={"amount_max_minor": 1_000}), "is not below 1000"),
        (rule("amount", above_minor=10**13), "is not below 10000000000000"),
        (rule("amount", when={"amount_min_minor": 2_000}), "which then decides nothing"),
        (rule("night", from_hour=6, to_hour=6), "the night has no hours"),
        (
            rule("geo_speed", kmh_max=10, within_s=3600, distance_min_km=11),
            "one gets 10 km far in within_s 3600",
        ),
    ],
)
def test_a_rule_that_cannot_mean_what_it_says_is_refused(wrong: dict[str, Any], said: str) -> None:
    """Contradictory bounds and rules that cannot fire are told with the id of the rule."""
    (problem,) = _problems(wrong)
    assert problem.startswith(f"rule {wrong['id']!r}: ")
    assert said in problem


def test_all_problems_are_told_at_once() -> None:
    """An author mends a document in one go, not in as many as it has faults."""
    problems = _problems(
        rule("night", from_hour=6, to_hour=6), rule("list", values=[]), rule("night", "list")
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "rule 'list'", "rule 'night'", "rule 'list'",
    ]  # fmt: skip
    assert "used 2 times" in problems[0]


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"review": 50, "step_up": 40}, "review begins at 50 and step_up at 40 points"),
        ({"review": 40, "decline": 40}, "review begins at 40 and decline at 40 points"),
        ({"review": 101}, "review begins at 101 points, but all rules together give 100"),
    ],
)
def test_thresholds_that_decide_nothing_are_refused(thresholds: dict[str, int], said: str) -> None:
    """A threshold must be reachable, and a stricter one must begin later."""
    scoring = rule("amount", action="score", points=100)
    (problem,) = _problems(scoring, score=thresholds)
    assert said in problem


def test_a_scoring_rule_needs_points() -> None:
    """Without points a scoring rule adds nothing."""
    problems = _problems(rule("amount", action="score"), score={"review": 10})
    assert problems[0] == "rule 'amount': points belong to the action 'score', and it needs them"


def test_the_default_step_up_must_be_possible() -> None:
    """Nobody can bring more factors than are accepted."""
    (problem,) = _problems(step_up={"accepted": ["sms", "sms"], "at_least": 2})
    assert problem == "defaults.step_up: at_least asks for more factors than are accepted"


def test_both_forms_read_the_same() -> None:
    """A document is the same rules in TOML and in JSON."""
    rules = default_rules()
    text = msgspec.json.encode(rules).decode()
    assert parse_rules(text, "json") == rules
    assert isinstance(rules, RiskRules)


@pytest.mark.parametrize(("text", "form"), [("version = ", "toml"), ('{"version":', "json")])
def test_what_is_no_document_at_all_is_refused(text: str, form: Any) -> None:
    """A torn file is refused with the place where reading stopped."""
    with pytest.raises(RulesRefused, match=f"not {form.upper()}"):
        parse_rules(text, form)
