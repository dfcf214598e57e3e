"""The rules by which this node decides right now, made ready."""

from actors.risk.engine import Engine
from actors.risk.rule_document import RulesRefused, check_rules, default_rules
from actors.risk.rules import RiskRules
from actors.rules import RuleSet
from schemas.errors import InvalidField

__all__ = ("RISK_RULES", "RULE_SET", "RulesInForce")

RISK_RULES = "risk"


def _check(rules: RiskRules) -> None:
    problems = check_rules(rules)
    if problems:
        raise InvalidField(f"rules {RISK_RULES!r}: {RulesRefused(problems)}", field="rules")


RULE_SET = RuleSet(name=RISK_RULES, shape=RiskRules, default=default_rules(), check=_check)


class RulesInForce:
    """The engine of the newest rules; a decision takes it once and sees no change in between."""

    def __init__(self) -> None:
        self.version = -1
        self.engine = Engine(RULE_SET.default)  # type: ignore[arg-type]

    def take(self, rules: RiskRules, version: int) -> None:
        """Decide by these rules from now on."""
        self.engine = Engine(rules)
        self.version = version
