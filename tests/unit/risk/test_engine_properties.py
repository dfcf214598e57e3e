"""What holds for every set of rules and every payment."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.risk.decision import OUTCOMES
from actors.risk.engine import Engine
from actors.risk.history import MemoryHistory
from actors.risk.rule_document import RulesRefused, rules_from
from actors.risk.windows import Window
from schemas.risk import RiskFacts
from tests.unit.risk.facts import MORNING_MS, document, facts, rule

_SCORE = {"review": 20, "step_up": 40, "decline": 60}
_WIDTH_S = 600


@st.composite
def _rules(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(
        ["amount", "night", "merchant_category", "new_payee", "list", "velocity"]
    ))  # fmt: skip
    shapes: dict[str, dict[str, Any]] = {
        "amount": {"above_minor": draw(st.integers(1, 900))},
        "night": {"from_hour": draw(st.integers(0, 11)), "to_hour": draw(st.integers(12, 23))},
        "list": {"values": [draw(st.sampled_from(["acct_b", "acct_c"]))]},
        "velocity": {"window_s": _WIDTH_S, "count_max": draw(st.integers(1, 4))},
    }
    shape = shapes.get(kind, {})
    action = draw(st.sampled_from(["decline", "review", "step_up", "score", "exempt"]))
    if action == "exempt":
        kind, shape = "list", {"mode": "allow", "values": ["acct_b"]}
    if action == "score":
        shape["points"] = draw(st.integers(10, 60))
    stage = draw(st.sampled_from(["live", "shadow"]))
    return rule(kind, action=action, stage=stage, **shape)


_sets = st.lists(_rules(), max_size=6)
_payments = st.builds(
    facts,
    amount_minor=st.integers(1, 1_000),
    payee=st.sampled_from(["acct_b", "acct_c", "acct_d"]),
    at_ms=st.integers(MORNING_MS - 20 * 3_600_000, MORNING_MS),
    merchant_category=st.sampled_from(["", "7995"]),
    factors=st.sampled_from([(), ("password",)]),
)


class _Past(MemoryHistory):
    """The same past for every rule, whatever it is called."""

    def __init__(self, count: int, known: bool) -> None:
        super().__init__()
        self._count = count
        self._known = known

    def sums(self, name: str, bucket: int) -> tuple[int, int]:
        """Return the same count for every window."""
        return (self._count, self._count)

    def known(self, name: str) -> bool:
        """Return the same for every mark."""
        return self._known


_pasts = st.builds(_Past, st.integers(0, 5), st.booleans())


def _engine(rules: list[dict[str, Any]]) -> Engine:
    named = [{**one, "id": f"r{n}", "reason": f"r{n}"} for n, one in enumerate(rules)]
    # A score that nobody can reach would be refused; this one adds nothing.
    filler = rule("list", "filler", "score", points=60, values=["nobody"])
    return Engine(rules_from(document(*named, filler, score=_SCORE)))


@given(_sets, st.integers(1, 900), _payments, _pasts)
def test_a_decline_rule_never_makes_a_decision_milder(
    rules: list[dict[str, Any]], above: int, one: RiskFacts, past: _Past
) -> None:
    """With one more rule that declines, nothing declined is approved, and nothing asks for less."""
    more = rule("amount", above_minor=above)
    before = _engine(rules).decide(one, past).outcome
    for place in (0, len(rules)):
        after = _engine([*rules[:place], more, *rules[place:]]).decide(one, past).outcome
        assert OUTCOMES.index(after) >= OUTCOMES.index(before)
        if one.amount_minor > above:
            assert after == "decline"


@given(_sets, _payments, _pasts)
def test_shadow_rules_change_nothing(
    rules: list[dict[str, Any]], one: RiskFacts, past: _Past
) -> None:
    """Without its shadow rules a set comes to the same outcome, reasons, score and limits."""
    numbered = [{**rule_, "id": f"s{n}"} for n, rule_ in enumerate(rules)]
    with_, without = _engine_as_named(numbered), _engine_as_named(
        [rule_ for rule_ in numbered if rule_["stage"] == "live"]
    )  # fmt: skip
    seen, real = with_.decide(one, past), without.decide(one, past)
    assert (seen.outcome, seen.reasons, seen.score, seen.step_up) == (
        real.outcome, real.reasons, real.score, real.step_up,
    )  # fmt: skip
    live = {rule_["id"] for rule_ in numbered if rule_["stage"] == "live"}
    assert seen.exempted & live == real.exempted & live
    bounded = [step for step in with_.steps(one, past, seen.exempted).counts if step.count_max]
    assert bounded == [
        step for step in without.steps(one, past, real.exempted).counts if step.count_max
    ]


def _engine_as_named(rules: list[dict[str, Any]]) -> Engine:
    filler = rule("list", "filler", "score", points=60, values=["nobody"])
    return Engine(rules_from(document(*rules, filler, score=_SCORE)))


@given(_sets, _payments, _pasts)
def test_a_decision_is_a_function_of_what_it_is_given(
    rules: list[dict[str, Any]], one: RiskFacts, past: _Past
) -> None:
    """The same rules, facts and past give the same decision, whatever was decided between."""
    engine = _engine(rules)
    first = engine.decide(one, past)
    engine.decide(facts(amount_minor=999, payee="acct_c"), _Past(9, known=False))
    assert engine.decide(one, past) == first
    assert _engine(rules).decide(one, past) == first


@given(_sets, _payments, _pasts)
def test_factors_never_make_a_decision_stricter(
    rules: list[dict[str, Any]], one: RiskFacts, past: _Past
) -> None:
    """Whoever proves more is never asked for more."""
    engine = _engine(rules)
    bare = engine.decide(facts(amount_minor=one.amount_minor), past).outcome
    proven = engine.decide(
        facts(amount_minor=one.amount_minor, factors=("password", "certificate")), past
    ).outcome
    assert OUTCOMES.index(proven) <= OUTCOMES.index(bare)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 500)), max_size=40))
def test_velocity_agrees_with_a_count_of_everything(moves: list[tuple[int, int]]) -> None:
    """A rule over a window fires exactly when the payments counted one by one are too many."""
    rules = rules_from(
        document(rule("velocity", action="review", window_s=_WIDTH_S, buckets=6, count_max=3,
                      amount_max_minor=700))
    )  # fmt: skip
    engine, history = Engine(rules), MemoryHistory()
    window = history.windows["risk:velocity:cust_1"] = Window(6)
    past: list[tuple[int, int]] = []
    for after_s, amount in sorted(moves):
        one = facts(at_ms=MORNING_MS + after_s * 1000, amount_minor=amount)
        bucket = after_s // 100
        within = [other[1] for other in past if bucket - other[0] // 100 < 6]
        wanted = len(within) + 1 > 3 or sum(within) + amount > 700
        assert (engine.decide(one, history).outcome == "review") == wanted
        window.add(MORNING_MS // 100_000 + 8 * 36 + bucket, 1, amount)
        past.append((after_s, amount))


@given(st.lists(st.dictionaries(st.sampled_from(["id", "kind", "above_minor"]), st.text())))
def test_any_document_is_taken_or_refused(rules: list[dict[str, str]]) -> None:
    """Whatever is put in, the answer is rules or a refusal that says why, never another failure."""
    if not rules:
        assert rules_from({"version": 1, "rules": rules}).rules == ()
        return
    with pytest.raises(RulesRefused) as refused:
        rules_from({"version": 1, "rules": rules})
    assert refused.value.problems
