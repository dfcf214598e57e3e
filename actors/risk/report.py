"""What each rule did in a while, counted from the rows of its hits."""

from collections.abc import Iterable
from typing import cast

from actors.risk.decision import Outcome, stricter
from schemas.risk import RuleReport

__all__ = ("LIMIT_KIND", "Counted", "summarise")

# How a limit is called in reports: its refusals are known from the ledger's answers alone.
LIMIT_KIND = "limit"

# rule_id, kind, stage, effect, outcome, amount_minor.
Counted = tuple[str, str, str, str, str, int]


class _Sums:
    def __init__(self) -> None:
        self.hits = 0
        self.amount_minor = 0
        self.effects: dict[str, int] = {}
        self.outcomes: dict[str, int] = {}
        self.agreed = 0

    def add(self, effect: Outcome, outcome: Outcome, amount_minor: int) -> None:
        self.hits += 1
        self.amount_minor += amount_minor
        self.effects[effect] = self.effects.get(effect, 0) + 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.agreed += stricter(outcome, effect) == outcome


def summarise(rows: Iterable[Counted]) -> list[RuleReport]:
    """Return one line for each rule and stage, by rule."""
    by_rule: dict[tuple[str, str, str], _Sums] = {}
    for rule_id, kind, stage, effect, outcome, amount_minor in rows:
        sums = by_rule.setdefault((rule_id, stage, kind), _Sums())
        sums.add(cast("Outcome", effect), cast("Outcome", outcome), amount_minor)
    return [
        RuleReport(
            rule_id=rule_id, kind=kind, stage=stage, hits=sums.hits,
            amount_minor=sums.amount_minor, effects=sums.effects, outcomes=sums.outcomes,
            agreed=sums.agreed,
        )
        for (rule_id, stage, kind), sums in sorted(by_rule.items())
    ]  # fmt: skip
