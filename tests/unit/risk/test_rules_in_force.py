"""Rules that are replaced while the service runs."""

from typing import Any

import msgspec
import pytest

from actors.risk import RULE_SETS
from actors.risk.rules_in_force import RISK_RULES, RULE_SET
from actors.rules import RuleSets
from schemas.errors import InvalidField
from tests.unit.risk.facts import document, facts, rule
from tests.unit.risk.risk_lab import RiskLab, check_of, memory_lab

pytestmark = pytest.mark.anyio


def _keep(lab: RiskLab, version: int, rules: dict[str, Any]) -> None:
    """Write a rule set as the rule service keeps it."""
    row = {"name": RISK_RULES, "version": version, "change_seq": version, "app": "ops",
           "body": msgspec.json.encode({"rules": rules}).decode()}  # fmt: skip
    lab.store.database.put("rule_set", (RISK_RULES,), row)  # type: ignore[attr-defined]


async def test_new_rules_decide_as_soon_as_they_are_read() -> None:
    """The next decision is by the new version, and its hits say which one that was."""
    lab = memory_lab()
    await lab.open("acct_a", "acct_b")
    sets = RuleSets(lab.store, lab.clock, RULE_SETS)
    sets.on_change(RISK_RULES, lab.status.rules.take)
    assert lab.status.rules.version == 0
    assert await lab.pay(check_of(facts(amount_minor=5_000))) == ["ok"]
    _keep(lab, 1, document(rule("amount")))
    await sets.load()
    again = check_of(facts(amount_minor=5_000, subject="pay_2"), "r2")
    assert await lab.pay(again) == ["risk_declined"]
    assert await lab.rows("risk_hit", "rules_version", "rule_id") == [(1, "amount")]


async def test_a_rule_with_another_window_counts_anew() -> None:
    """What a node remembers of a window belongs to the rules by which it was cut."""
    lab = memory_lab(rule("velocity", action="review", window_s=3_600, count_max=2))
    await lab.open("acct_a", "acct_b")
    for number in (1, 2):
        assert await lab.pay(check_of(facts(subject=f"pay_{number}"), f"r{number}")) == ["ok"]
    lab.put(2, rule("velocity", action="review", window_s=86_400, count_max=2))
    answers = []
    for number in (3, 4, 5):
        answers += await lab.pay(check_of(facts(subject=f"pay_{number}"), f"r{number}"))
    assert answers == ["ok", "ok", "risk_declined"]


@pytest.mark.parametrize(
    "bad",
    [
        {"version": 1},
        document(rule("amount", above="much")),
        document(rule("velocity", count_max=None)),
        document(rule("amount"), rule("amount")),
    ],
)
async def test_bad_rules_never_replace_good_ones(bad: dict[str, Any]) -> None:
    """A document that is refused is refused to its author, and wherever it comes from."""
    with pytest.raises(InvalidField, match="rules 'risk': ") as refused:
        RULE_SET.read(bad)
    assert refused.value.field == "rules"
    lab = memory_lab()
    await lab.open("acct_a", "acct_b")
    sets = RuleSets(lab.store, lab.clock, RULE_SETS)
    sets.on_change(RISK_RULES, lab.status.rules.take)
    _keep(lab, 1, document(rule("amount")))
    await sets.load()
    _keep(lab, 2, bad)
    await sets.load()
    assert lab.status.rules.version == 1
    assert await lab.pay(check_of(facts(amount_minor=5_000))) == ["risk_declined"]


async def test_a_problem_is_told_with_its_rule() -> None:
    """Who puts rules reads what is wrong, with the id of each rule."""
    with pytest.raises(InvalidField) as refused:
        RULE_SET.read(document(rule("night", from_hour=6, to_hour=6), rule("list", values=[])))
    assert refused.value.message == (
        "rules 'risk': rule 'night': from_hour and to_hour are equal, so the night has no hours; "
        "rule 'list': the list is empty; leave the rule out until there is something on it"
    )
