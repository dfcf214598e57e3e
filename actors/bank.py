"""The bank put together: its operations' actors, its tables, and the rules that it knows."""

from collections.abc import Callable, Coroutine
from typing import Any

from actors import (
    channels,
    credit,
    customers,
    payments,
    plugins,
    rewards,
    risk,
    settlement,
    wealth,
)
from actors.accounts import ACCOUNT_TABLE, AccountActor, QueryActor
from actors.channels import routing
from actors.channels.routing import explain_actor
from actors.events import EventQueryActor
from actors.holds import HoldActor
from actors.parts import Parts
from actors.rules import RULE_SET_TABLE, RuleSet
from actors.rules.rule_actor import RULE_SET_VERSION_TABLE, RuleActor
from actors.scenario import DOCUMENT_TABLE
from kernel.host import Host
from kernel.journal import FactTable

__all__ = ("FACT_TABLES", "RULE_SETS", "Service", "hosts", "services")

# A long-running part of a service beside its actors, run until it is cancelled.
Service = Callable[[], Coroutine[Any, Any, None]]

FACT_TABLES: tuple[FactTable, ...] = (
    ACCOUNT_TABLE,
    DOCUMENT_TABLE,
    RULE_SET_TABLE.fact_table,
    RULE_SET_VERSION_TABLE,
    *payments.FACT_TABLES,
    *channels.FACT_TABLES,
    *customers.FACT_TABLES,
    *risk.FACT_TABLES,
    *credit.FACT_TABLES,
    *wealth.FACT_TABLES,
    *rewards.FACT_TABLES,
    *settlement.FACT_TABLES,
    *plugins.FACT_TABLES,
)

RULE_SETS: tuple[RuleSet, ...] = (
    *payments.RULE_SETS,
    *routing.RULE_SETS,
    *customers.RULE_SETS,
    *risk.RULE_SETS,
    *credit.RULE_SETS,
    *wealth.RULE_SETS,
    *rewards.RULE_SETS,
    *settlement.RULE_SETS,
)


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of all actors of the bank, but for the journal."""
    clock, ids, store = parts.clock, parts.ids, parts.store
    return (
        parts.batch_host(lambda: AccountActor(store, clock, ids)),
        parts.batch_host(lambda: HoldActor(store, clock, ids)),
        parts.batch_host(lambda: QueryActor(store)),
        parts.batch_host(lambda: EventQueryActor(store)),
        parts.entity_host(RuleActor),
        # Those of the channels among them: a channel's answer changes the payment as well.
        *payments.hosts(parts),
        *explain_actor.hosts(parts),
        *customers.hosts(parts),
        *risk.hosts(parts),
        *credit.hosts(parts),
        *wealth.hosts(parts),
        *rewards.hosts(parts),
        *settlement.hosts(parts),
        *plugins.hosts(parts),
    )


def services(parts: Parts) -> tuple[Service, ...]:
    """Return what runs beside the actors."""
    return (parts.rules.keep, *channels.services(parts))
