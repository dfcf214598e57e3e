"""Credit: lines, quotes, instalment plans (信用卡分期) and online personal loans (网捷贷)."""

from actors.credit.debt_actor import DebtActor
from actors.credit.funding import CreditFunding
from actors.credit.line_actor import LineActor
from actors.credit.plan_actor import PlanActor
from actors.credit.records import LINE_TABLE, PLAN_TABLE, QUOTE_TABLE
from actors.credit.rule_set import CREDIT_RULE_SET
from actors.parts import Parts
from kernel.host import Host
from kernel.journal import FactTable
from kernel.memory_tables import Table

__all__ = ("FACT_TABLES", "RULE_SETS", "TABLES", "CreditFunding", "hosts")

_RECORDS = (LINE_TABLE, QUOTE_TABLE, PLAN_TABLE)

TABLES: tuple[Table, ...] = tuple(one.memory_table for one in _RECORDS)
FACT_TABLES: tuple[FactTable, ...] = tuple(one.fact_table for one in _RECORDS)
RULE_SETS = (CREDIT_RULE_SET,)


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of the credit service."""
    return tuple(parts.entity_host(actor) for actor in (LineActor, DebtActor, PlanActor))
