"""Rule sets: data that decides, and that is changed while the service runs."""

from actors.rules.rule_sets import RULE_SET_TABLE, RuleSet, RuleSets

__all__ = ("RULE_SET_TABLE", "RuleSet", "RuleSets")
