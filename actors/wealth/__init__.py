"""Wealth (理财): money-market funds, and payments straight from them (时时付)."""

from actors.parts import Parts
from actors.regulation.instant_redemption import INSTANT_REDEMPTION, InstantRedemption
from actors.rules import RuleSet
from actors.wealth.fund_actor import FundActor
from actors.wealth.funding import WealthFunding
from actors.wealth.holding_actor import WealthHoldingActor
from actors.wealth.instant import RULES
from actors.wealth.order_actor import WealthOrderActor
from actors.wealth.records import (
    FLOW_TABLE,
    FUND_TABLE,
    HOLDING_TABLE,
    ORDER_TABLE,
    OTHER_FACT_TABLES,
    OTHER_TABLES,
)
from kernel.host import Host
from kernel.journal import FactTable
from kernel.memory_tables import Table

__all__ = ("FACT_TABLES", "RULE_SETS", "TABLES", "WealthFunding", "hosts")

_RECORDS = (FUND_TABLE, HOLDING_TABLE, ORDER_TABLE)

TABLES: tuple[Table, ...] = (*(one.memory_table for one in _RECORDS), *OTHER_TABLES)

FACT_TABLES: tuple[FactTable, ...] = (
    *(one.fact_table for one in _RECORDS),
    FLOW_TABLE,
    *OTHER_FACT_TABLES,
)

RULE_SETS: tuple[RuleSet, ...] = (
    RuleSet(name=RULES, shape=InstantRedemption, default=INSTANT_REDEMPTION),
)


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of the actors of funds, orders and holdings."""
    return (
        parts.entity_host(FundActor),
        parts.entity_host(WealthOrderActor),
        parts.entity_host(WealthHoldingActor),
    )
