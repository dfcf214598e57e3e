"""The bank put together: its operations' actors, its tables, and the rules that it knows."""

from collections.abc import Callable, Coroutine
from typing import Any

from actors.accounts import ACCOUNT_TABLE, AccountActor, QueryActor
from actors.events import EventQueryActor
from actors.holds import HoldActor
from actors.parts import Parts
from actors.payments import DEPOSIT_TABLE, PAYMENT_TABLE, PaymentActor
from actors.rules import RULE_SET_TABLE, RuleSet
from actors.rules.rule_actor import RULE_SET_VERSION_TABLE, RuleActor
from actors.scenario import DOCUMENT_TABLE
from kernel.host import Host
from kernel.journal import FactTable

__all__ = ("FACT_TABLES", "RULE_SETS", "Service", "hosts", "services")

# A long-running part of a service beside its actors, run until it is cancelled.
Service = Callable[[], Coroutine[Any, Any, None]]

FACT_TABLES: tuple[FactTable, ...] = (
    PAYMENT_TABLE,
    DEPOSIT_TABLE,
    ACCOUNT_TABLE,
    DOCUMENT_TABLE,
    RULE_SET_TABLE.fact_table,
    RULE_SET_VERSION_TABLE,
)

RULE_SETS: tuple[RuleSet, ...] = ()


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of all actors of the bank, but for the journal."""
    clock, ids, store = parts.clock, parts.ids, parts.store
    return (
        parts.batch_host(lambda: PaymentActor(clock, ids)),
        parts.batch_host(lambda: AccountActor(clock, ids)),
        parts.batch_host(lambda: HoldActor(store, clock, ids)),
        parts.batch_host(lambda: QueryActor(store)),
        parts.batch_host(lambda: EventQueryActor(store)),
        parts.entity_host(RuleActor),
    )


def services(parts: Parts) -> tuple[Service, ...]:
    """Return what runs beside the actors."""
    return (parts.rules.keep,)
