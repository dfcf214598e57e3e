"""Payments (快e付): every method and funding, what follows them, mandates and payment codes."""

from functools import partial

from actors.parts import Parts
from actors.payments.compose import DEPOSIT_TABLE, PAYMENT_TABLE, Composed, compose_payment
from actors.payments.mandate_actor import MandateActor
from actors.payments.mandates import MANDATE_TABLE
from actors.payments.moves import UNCLAIMED
from actors.payments.qr_codes import QR_RULES, QR_TABLE, QrActor
from actors.payments.records import ORDER_TABLE, STEP_MEMORY_TABLE, STEP_TABLE
from actors.rules import RuleSet
from kernel.host import Host
from kernel.journal import FactTable
from kernel.memory_tables import Table
from schemas.money import CNY

__all__ = (
    "DEPOSIT_TABLE",
    "FACT_TABLES",
    "FIRST_ACCOUNTS",
    "PAYMENT_TABLE",
    "RISK_CHECKED",
    "RULE_SETS",
    "TABLES",
    "Composed",
    "compose_payment",
    "hosts",
)

# Whether payments pass the risk check; without it they go to the journal at once.
RISK_CHECKED = True

_RECORDS = (ORDER_TABLE, MANDATE_TABLE, QR_TABLE)

TABLES: tuple[Table, ...] = (*(one.memory_table for one in _RECORDS), STEP_MEMORY_TABLE)

FACT_TABLES: tuple[FactTable, ...] = (
    PAYMENT_TABLE,
    DEPOSIT_TABLE,
    *(one.fact_table for one in _RECORDS),
    STEP_TABLE,
)

# Accounts of the bank that stand at first, with their assets.
FIRST_ACCOUNTS: tuple[tuple[str, str], ...] = ((UNCLAIMED, CNY),)

RULE_SETS: tuple[RuleSet, ...] = (QR_RULES,)


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of payments, mandates, payment codes, and of the channels that pay."""
    # Here and not above: the services that pay import the port of this package.
    from actors import channels
    from actors.payments.channel_side import PaymentChannelSide
    from actors.payments.desk import open_desk
    from actors.payments.order_actor import PaymentOrderActor
    from actors.payments.payment_actor import PaymentActor
    from actors.payments.progress import ORDER_KIND

    desk = open_desk(parts)
    order = partial(PaymentOrderActor, parts=parts, desk=desk, checked=RISK_CHECKED)
    return (
        parts.batch_host(lambda: PaymentActor(desk, parts.clock, parts.ids, checked=RISK_CHECKED)),
        parts.keyed_host(ORDER_KIND, order),
        parts.entity_host(MandateActor),
        parts.entity_host(QrActor),
        *channels.hosts(parts, PaymentChannelSide(parts, desk)),
    )
