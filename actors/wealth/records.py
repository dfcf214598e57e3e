"""What is kept of funds, holdings and orders."""

from collections.abc import Iterable
from datetime import date, datetime

import msgspec

from actors.entity import RecordTable
from kernel.journal import FactTable
from kernel.memory_tables import Table, table
from kernel.store import Query, Store, Where
from schemas.change import Fact
from schemas.wealth import FundAdvance, WealthOrder

__all__ = (
    "FLOW_TABLE",
    "FUND_TABLE",
    "HOLDING_TABLE",
    "ORDER_TABLE",
    "OTHER_FACT_TABLES",
    "OTHER_TABLES",
    "FundState",
    "HoldingState",
    "OrderState",
    "Run",
    "flow_fact",
    "flows_until",
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A day's income under way: holders up to ``cursor`` have theirs."""

    day: date
    rate: int
    cursor: str = ""
    page: int = 0
    holders: int = 0
    units_minor: int = 0
    income_minor: int = 0


class FundState(msgspec.Struct, frozen=True, kw_only=True):
    """A fund. ``rates`` are those of the last seven days that were distributed, oldest first."""

    name: str
    confirm_days: int
    advance: FundAdvance | None
    created_at: datetime
    standing_rate: int | None = None
    income_through: date | None = None
    rates: tuple[int, ...] = ()
    run: Run | None = None
    cleared_through: date | None = None


class HoldingState(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer holds of a fund; the units themselves stand in the ledger.

    ``investor`` is whom the cap of instant redemption counts for. ``earning_minor`` are the units
    that earned on the day ``income_through``, ``carried`` the part of a fen that is owed since.
    After its creation only the income runs change it.
    """

    fund: str
    cash_account: str
    investor: str
    opened_at: datetime
    earning_minor: int = 0
    carried: int = 0
    income_minor: int = 0
    last_income_minor: int = 0
    income_through: date | None = None


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and the hold that keeps its units until it settles."""

    order: WealthOrder
    hold_id: str = ""


FUND_TABLE = RecordTable(name="fund", key="fund", state=FundState)

HOLDING_TABLE = RecordTable(
    name="wealth_holding",
    key="units_account",
    state=HoldingState,
    columns=("fund text",),
    values=lambda state: (state.fund,),
)

ORDER_TABLE = RecordTable(
    name="wealth_order",
    key="order_id",
    state=OrderState,
    columns=("units_account text", "status text"),
    values=lambda state: (state.order.units_account, state.order.status),
)

# Units that come (positive) and go (negative), each with the first day on which they earn or no
# longer do. Their sum up to a day is what earns on that day, whenever it is asked for.
FLOW_TABLE = FactTable(
    "wealth_flow",
    ("flow_id", "units_account", "kind", "units_minor", "earns_from"),
    ("text", "text", "text", "bigint", "text"),
)

OTHER_FACT_TABLES = (
    FactTable(
        "wealth_income",
        ("units_account", "day", "fund", "units_minor", "rate", "income_minor", "carried",
         "credited_to"),
        ("text", "text", "text", "bigint", "bigint", "bigint", "bigint", "text"),
    ),
    FactTable(
        "fund_income",
        ("fund", "day", "rate", "holders", "units_minor", "income_minor"),
        ("text", "text", "bigint", "bigint", "bigint", "bigint"),
    ),
    FactTable(
        "fund_clearing",
        ("fund", "ordered_on", "cleared_on", "amount_minor"),
        ("text", "text", "text", "bigint"),
    ),
)  # fmt: skip

OTHER_TABLES: tuple[Table, ...] = (
    table(
        "wealth_flow",
        ("flow_id text", "change_seq bigint", "units_account text", "kind text",
         "units_minor bigint", "earns_from text"),
        ("flow_id",),
        checks=(("units_minor", "<>", 0),),
        immutable=True,
    ),
    table(
        "wealth_income",
        ("units_account text", "day text", "change_seq bigint", "fund text", "units_minor bigint",
         "rate bigint", "income_minor bigint", "carried bigint", "credited_to text"),
        ("units_account", "day"),
        checks=(("income_minor", ">=", 0), ("carried", ">=", 0)),
        immutable=True,
    ),
    table(
        "fund_income",
        ("fund text", "day text", "change_seq bigint", "rate bigint", "holders bigint",
         "units_minor bigint", "income_minor bigint"),
        ("fund", "day"),
        immutable=True,
    ),
    table(
        "fund_clearing",
        ("fund text", "ordered_on text", "change_seq bigint", "cleared_on text",
         "amount_minor bigint"),
        ("fund", "ordered_on", "change_seq"),
        checks=(("amount_minor", ">", 0),),
        immutable=True,
    ),
)  # fmt: skip


def flow_fact(
    flow_id: str, units_account: str, kind: str, units_minor: int, earns_from: date
) -> Fact:
    """Return the row of units that come or go."""
    row = (flow_id, units_account, kind, units_minor, earns_from.isoformat())
    return Fact(FLOW_TABLE.name, row)


async def flows_until(
    store: Store, units_accounts: Iterable[str], after: date | None, until: date
) -> dict[str, int]:
    """Return by how much the earning units of each account change in the days (after, until]."""
    where = [
        Where("units_account", "in", list(units_accounts)),
        Where("earns_from", "<=", until.isoformat()),
    ]
    if after is not None:
        where.append(Where("earns_from", ">", after.isoformat()))
    rows = await store.fetch(
        Query(table=FLOW_TABLE.name, columns=("units_account", "units_minor"), where=tuple(where))
    )
    changes: dict[str, int] = {}
    for name, units in rows:
        changes[name] = changes.get(name, 0) + units
    return changes
