"""Risk checks (风控): rules, decisions, limits and what is told of them."""

from actors.parts import Parts
from actors.risk.hit_row import FACT_TABLES, TABLES
from actors.risk.risk_actor import RiskActor, RiskStatus
from actors.risk.risk_query_actor import RiskQueryActor
from actors.risk.rules_in_force import RISK_RULES, RULE_SET
from actors.rules import RuleSet
from kernel.host import Host

__all__ = ("FACT_TABLES", "RULE_SETS", "TABLES", "hosts")

RULE_SETS: tuple[RuleSet, ...] = (RULE_SET,)


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of the checks and of the reads about them."""
    status = RiskStatus()
    parts.rules.on_change(RISK_RULES, status.rules.take)
    return (
        parts.batch_host(lambda: RiskActor(parts.store, parts.clock, status)),
        parts.batch_host(lambda: RiskQueryActor(parts.store, status)),
    )
