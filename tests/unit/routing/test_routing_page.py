"""The page on routing: its documents are sound, its defaults and its sums are those of the code."""

import json
import re
from typing import Any, get_args

import msgspec
import pytest

from actors.channels.routing import ROUTING_RULES
from actors.channels.routing.standing import score_of
from actors.channels.routing.window import Estimate
from schemas.routing import (
    AttemptOutcome,
    ChannelOffer,
    ExplainRoute,
    RouteDecision,
    RoutingRules,
    ScoreWeights,
)
from tests.documents import ROOT, blocks, rows
from tests.unit.routing.routing_lab import payment

_PAGE = "docs/routing.md"


_CALL = re.compile(r"zhihui call ops route\.explain '(.+)'")
_PUT = re.compile(r"echo '(.+)' \| zhihui call ops rules\.put -")


def _typed(pattern: re.Pattern[str]) -> list[Any]:
    """Return the bodies that the page's examples send."""
    shown = [block.text for block in blocks(_PAGE) if block.language == "console"]
    return [json.loads(body) for text in shown for body in pattern.findall(text)]


def test_the_rules_of_the_page_can_be_put() -> None:
    """The document shown passes the check and shows both effects."""
    (shown,) = _typed(_PUT)
    rules = ROUTING_RULES.read(shown["rules"])
    assert {rule.effect for rule in rules.eligibility} == {"exclude", "require"}


def test_the_page_asks_both_questions() -> None:
    """What is asked of `route.explain` are such requests, about what was and what would be."""
    asked = [msgspec.convert(shown, ExplainRoute) for shown in _typed(_CALL)]
    assert {one.payment_id is None for one in asked} == {False, True}


def test_the_table_of_settings_is_complete() -> None:
    """Every setting has its line with the default in force, and there is no other."""
    expected = {
        f"{part}.{name}": value
        for part, settings in msgspec.to_builtins(RoutingRules()).items()
        if part != "eligibility"
        for name, value in settings.items()
    }
    said = {row[0].strip("`"): json.loads(row[1]) for row in rows(_PAGE, "Change the rules")}
    assert said == expected


def test_the_table_of_outcomes_is_complete() -> None:
    """Each outcome of an attempt has its line."""
    named = {re.match("`(.+?)`", row[0])[1] for row in rows(_PAGE, "How a score is made")}  # type: ignore[index]
    assert named == set(get_args(AttemptOutcome))


def test_the_table_of_fields_is_that_of_a_decision() -> None:
    """Each field of a decision has its line."""
    named = {row[0].strip("`") for row in rows(_PAGE, "Read an explanation")}
    assert named == set(RouteDecision.__struct_fields__)


@pytest.mark.parametrize(
    ("rate", "latency_s", "cost_minor", "score"), [(0.95, 0.5, 30, 0.825), (0.92, 1.0, 5, 0.890)]
)
def test_the_sum_of_the_page_comes_out(
    rate: float, latency_s: float, cost_minor: int, score: float
) -> None:
    """The two channels of the example have the scores that the page says."""
    found = score_of(
        ScoreWeights(), Estimate(rate, 0.0, latency_s, 0.0),
        ChannelOffer(channel="x", cost_minor=cost_minor), payment(amount_minor=5_000),
    )  # fmt: skip
    assert found == pytest.approx(score)
    text = (ROOT / _PAGE).read_text("utf-8")
    assert f"{score:.3f}" in text
