"""Customers (客户): who they are, the accounts that are opened for them, and their data."""

from functools import partial

from actors.customers.bound_card_actor import BoundCardActor
from actors.customers.case_actor import CaseActor
from actors.customers.customer_actor import CustomerActor
from actors.customers.door_actor import CASE_KIND, CUSTOMER_KIND, DoorActor
from actors.customers.policy import OPENING_POLICY, OpeningPolicy
from actors.customers.records import FACT_TABLES, TABLES
from actors.customers.services import make_services
from actors.parts import Parts
from actors.regulation.account_classes import ACCOUNT_CLASSES, AccountClasses
from actors.rules import RuleSet
from kernel.host import Host

__all__ = ("FACT_TABLES", "RULE_SETS", "TABLES", "hosts")

RULE_SETS: tuple[RuleSet, ...] = (
    RuleSet(name="opening", shape=OpeningPolicy, default=OPENING_POLICY),
    RuleSet(name="account_classes", shape=AccountClasses, default=ACCOUNT_CLASSES),
)


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of the actors of customers."""
    services = make_services(parts)
    return (
        parts.batch_host(lambda: DoorActor(services.vault, parts.store, parts.clock, parts.ids)),
        parts.keyed_host(CUSTOMER_KIND, partial(CustomerActor, parts=parts, services=services)),
        parts.keyed_host(CASE_KIND, partial(CaseActor, parts=parts, services=services)),
        parts.entity_host(BoundCardActor),
    )
