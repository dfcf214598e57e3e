"""Merchants (商户) and settlement: fees, splitting (分润), batches (结算), clearing (清分)."""

import msgspec

from actors.parts import Parts
from actors.settlement.legs import LEG_TABLE
from actors.settlement.merchant_actor import MerchantActor
from actors.settlement.merchants import MERCHANT_TABLE
from actors.settlement.query_actors import ClearingActor, SettlementQueryActor
from actors.settlement.records import (
    CLEARING_TABLE,
    OTHER_TABLES,
    RANGE_TABLE,
    SETTLEMENT_TABLE,
    STANDING_TABLE,
)
from actors.settlement.rule_set import SETTLEMENT_RULE_SET
from actors.settlement.settlement_actor import SettlementActor
from kernel.host import Host
from kernel.journal import FactTable
from kernel.memory_tables import Table, Unique

__all__ = ("FACT_TABLES", "RULE_SETS", "TABLES", "hosts")

_RECORDS = (MERCHANT_TABLE, STANDING_TABLE, SETTLEMENT_TABLE)
_ACTORS = (MerchantActor, SettlementActor, SettlementQueryActor, ClearingActor)

TABLES: tuple[Table, ...] = (
    MERCHANT_TABLE.memory_table,
    STANDING_TABLE.memory_table,
    # A number is given once, like every number of the journal.
    msgspec.structs.replace(
        SETTLEMENT_TABLE.memory_table, unique=(Unique(("merchant_id", "number")),)
    ),
    *OTHER_TABLES,
)

FACT_TABLES: tuple[FactTable, ...] = (
    *(one.fact_table for one in _RECORDS),
    LEG_TABLE,
    RANGE_TABLE,
    CLEARING_TABLE,
)

RULE_SETS = (SETTLEMENT_RULE_SET,)


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of merchants and their settlement."""
    return tuple(parts.entity_host(actor) for actor in _ACTORS)
