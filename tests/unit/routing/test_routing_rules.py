"""The document of the routing rules: what is refused, and how new ones are taken over."""

from typing import Any

import msgspec
import pytest

from actors.channels.routing import ROUTING_RULES
from schemas.errors import InvalidField
from schemas.routing import RoutingRules
from tests.unit.routing.routing_lab import candidate, offers, payment, router

_RULE = {"name": "r1", "effect": "exclude", "channels": ["alipay"]}


def _eligibility(**changes: Any) -> dict[str, Any]:
    return {"eligibility": [{**_RULE, "name": "r0"}, {**_RULE, **changes}]}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"weight": {}}, "`weight`"),
        ({"weights": {"success": -0.1}}, "$.weights.success"),
        ({"weights": {"success": 0, "latency": 0, "cost": 0}}, "$.weights"),
        ({"weights": {"cost_reference_ppm": 0}}, "$.weights.cost_reference_ppm"),
        ({"window": {"length_s": "60"}}, "$.window.length_s"),
        ({"window": {"length_s": 10, "half_life_s": 20}}, "$.window.half_life_s"),
        ({"window": {"trust_max": 5}}, "$.window.trust_max"),
        ({"breaker": {"probes": 0}}, "$.breaker.probes"),
        ({"breaker": {"cool_down_s": 60, "cool_down_s_max": 30}}, "$.breaker.cool_down_s"),
        ({"exploration": {"temperature": 0}}, "$.exploration.temperature"),
        ({"exploration": {"policy": "thompson"}}, "`policy`"),
        (_eligibility(effect="forbid"), "$.eligibility[1].effect"),
        (_eligibility(method=["quick"]), "`method`"),
        (_eligibility(hour_from=24, hour_to=1), "$.eligibility[1].hour_from"),
        (_eligibility(hour_from=8), "$.eligibility[1].hour_from"),
        (
            _eligibility(amount_min_minor=2, amount_max_minor=1),
            "$.eligibility[1].amount_min_minor",
        ),
        (_eligibility(name="r0"), "$.eligibility[1].name"),
        (_eligibility(channels=[]), "$.eligibility[1]"),
        (_eligibility(effect="require"), "$.eligibility[1]"),
    ],
)
def test_an_unsound_document_is_refused_by_its_path(document: dict[str, Any], path: str) -> None:
    """What is wrong is named by where it stands, so that its writer finds it."""
    with pytest.raises(InvalidField) as caught:
        ROUTING_RULES.read(document)
    assert path in caught.value.message
    assert (caught.value.field or "").startswith("rules")


def test_an_empty_document_is_the_default() -> None:
    """Everything has a default, and the default itself is sound."""
    assert ROUTING_RULES.read({}) == RoutingRules() == ROUTING_RULES.default
    written = msgspec.to_builtins(ROUTING_RULES.default)
    assert ROUTING_RULES.read(written) == RoutingRules()


def test_new_rules_are_taken_over_with_what_is_known() -> None:
    """After a reload the rules and weights are new, and the channels are known as before."""
    subject = router()
    for number in range(200):
        subject.observe("alipay", "failed" if number % 5 == 0 else "success", 0.3, number * 0.1)
        subject.observe("wechat", "success", 0.3, number * 0.1)
    before = subject.explain(payment(), offers(), 20.0)
    assert before.rules_version == 7
    subject.reload(
        ROUTING_RULES.read(
            {"eligibility": [{**_RULE, "channels": ["wechat"]}], "weights": {"success": 0.5}}
        ),
        8,
    )
    after = subject.explain(payment(), offers(), 20.0)
    assert after.rules_version == 8
    assert candidate(after, "wechat").excluded is not None
    assert candidate(before, "wechat").excluded is None
    for channel in ("alipay", "wechat"):
        then, now = candidate(before, channel), candidate(after, channel)
        assert (now.success_rate, now.samples) == (then.success_rate, then.samples)
        assert now.score < then.score
    assert subject.statistics().reloads == 1


def test_an_open_circuit_stays_open_over_a_reload() -> None:
    """New rules, of the window and of the breaker, do not send payments into an outage."""
    subject = router()
    for _ in range(10):
        subject.observe("alipay", "unknown", 8.0, 50.0)
    subject.reload(ROUTING_RULES.read({"window": {"length_s": 120}, "breaker": {"probes": 1}}), 8)
    found = candidate(subject.explain(payment(), offers(), 51.0), "alipay")
    assert found.breaker == "open"
    assert found.excluded == "its circuit is open for 14.0 s more"
