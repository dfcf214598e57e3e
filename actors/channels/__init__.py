"""Payment channels (支付渠道): the adapters, the attempts, and the way between them."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec

from actors.channels.attempt_actor import AttemptActor
from actors.channels.attempts import PAY_KIND, REFUND_KIND
from actors.channels.books_actor import BooksActor
from actors.channels.callback_receiver import CallbackReceiver
from actors.channels.channel_funding import ChannelFunding
from actors.channels.orders import ORDERS, PAYMENTS
from actors.channels.refund_actor import RefundActor
from actors.channels.routing import ROUTE_CHOICE_MEMORY_TABLE, ROUTE_CHOICE_TABLE
from actors.channels.watch import Watch
from actors.parts import Parts
from actors.payments.channel_port import PaymentSide
from kernel.host import Host
from kernel.journal import FactTable
from kernel.memory_tables import Table, Unique

__all__ = (
    "FACT_TABLES",
    "TABLES",
    "ChannelFunding",
    "hosts",
    "services",
)

TABLES: tuple[Table, ...] = (
    PAYMENTS.memory_table,
    msgspec.structs.replace(
        ORDERS.memory_table, unique=(Unique(columns=("channel", "reference")),)
    ),
    ROUTE_CHOICE_MEMORY_TABLE,
)

FACT_TABLES: tuple[FactTable, ...] = (
    PAYMENTS.fact_table,
    ORDERS.fact_table,
    ROUTE_CHOICE_TABLE,
)


def hosts(parts: Parts, payments: PaymentSide) -> tuple[Host, ...]:
    """Return the hosts of the channels' actors; ``payments`` is asked what each outcome means."""
    return (
        parts.keyed_host(PAY_KIND, partial(AttemptActor, parts=parts, payments=payments)),
        parts.keyed_host(REFUND_KIND, partial(RefundActor, parts=parts, payments=payments)),
        parts.entity_host(BooksActor),
    )


def services(parts: Parts) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """Return what runs beside the actors: the receiver of callbacks, and the watch."""
    return (CallbackReceiver(parts).run, Watch(parts).run)
