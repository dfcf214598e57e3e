"""What the credit service keeps: lines, quotes and plans, each a record with a version.

A line has two accounts of the bank in the ledger. One bears its id: what is drawn makes it
negative, and its floor is the limit, so the ledger decides which of two draws was too much. The
other one, ``<line>:charges``, is negative by what was charged and is unpaid; it has no floor,
because a fee must be chargeable when the limit is used up. Both belong to the bank: an app that
owned them could pay from them past any plan.
"""

from datetime import datetime

import msgspec

from actors.credit.plan import OPEN_STATUSES, Conditions, RepaymentPlan
from actors.entity import Record, RecordTable
from kernel.store import Store, Where
from schemas.credit import CreditKind, CreditLineStatus

__all__ = (
    "LINE_TABLE",
    "OPEN_PLANS_MAX",
    "PLAN_TABLE",
    "QUOTE_TABLE",
    "LineState",
    "PlanState",
    "QuoteState",
    "charges_account",
    "line_tally",
    "open_plans",
    "plans_tally",
    "quote_tally",
)

# A repayment may touch all open plans of a line in one change, which is one message of at most
# 1 MiB; a plan of 24 terms and its event take about 10 KiB of it.
OPEN_PLANS_MAX = 50


class LineState(msgspec.Struct, frozen=True, kw_only=True):
    """A line; ``asked_minor`` is what was applied for, ``limit_minor`` what was granted.

    ``party_id`` is the customer in the whole bank, whichever apps know it.
    """

    customer_id: str
    party_id: str
    kind: CreditKind
    status: CreditLineStatus
    account_id: str
    asked_minor: int
    created_at: datetime
    updated_at: datetime
    limit_minor: int = 0
    autopay: bool = False
    reason: str = ""
    decided_by: str = ""


class QuoteState(msgspec.Struct, frozen=True, kw_only=True):
    """A quote: what it is for, the conditions, and the rate that was shown.

    It is used once it has a ``plan_id``, or the ``payment_id`` of the authorisation that keeps it.
    """

    line_id: str
    conditions: Conditions
    amount_minor: int
    nominal_ppm: int
    effective_ppm: int
    created_at: datetime
    expires_at: datetime
    plan_id: str = ""
    payment_id: str = ""

    @property
    def is_used(self) -> bool:
        """Tell whether the quote cannot be used again."""
        return bool(self.plan_id or self.payment_id)


class PlanState(msgspec.Struct, frozen=True, kw_only=True):
    """A plan and what it belongs to; ``payment_id`` is empty for a loan that was paid out."""

    line_id: str
    customer_id: str
    quote_id: str
    payment_id: str
    nominal_ppm: int
    plan: RepaymentPlan


def _plan_columns(state: PlanState) -> tuple[str, str, str, int, int]:
    owed = state.plan.in_the_books
    charges = owed.penalty_minor + owed.charge_minor
    return state.line_id, state.payment_id, state.plan.status, owed.principal_minor, charges


LINE_TABLE = RecordTable(
    name="credit_line",
    key="line_id",
    state=LineState,
    columns=("customer_id text", "status text"),
    values=lambda state: (state.customer_id, state.status),
)

QUOTE_TABLE = RecordTable(
    name="credit_quote",
    key="quote_id",
    state=QuoteState,
    columns=("line_id text",),
    values=lambda state: (state.line_id,),
)

# What the books must show stands in columns, for the audit.
PLAN_TABLE = RecordTable(
    name="credit_plan",
    key="plan_id",
    state=PlanState,
    columns=(
        "line_id text",
        "payment_id text",
        "status text",
        "principal_minor bigint",
        "charges_minor bigint",
    ),
    values=_plan_columns,
)


def charges_account(line_id: str) -> str:
    """Return the account of what is charged to a line."""
    return f"{line_id}:charges"


def line_tally(party_id: str, kind: str) -> str:
    """Return the tally by which a person has one line of a kind in the whole bank."""
    return f"credit_line:{kind}:{party_id}"


def plans_tally(line_id: str) -> str:
    """Return the tally of a line's open plans."""
    return f"credit_plans:{line_id}"


def quote_tally(quote_id: str) -> str:
    """Return the tally by which a quote is used once."""
    return f"credit_quote:{quote_id}"


async def open_plans(store: Store, line_id: str) -> list[Record[PlanState]]:
    """Return the open plans of a line in the order of their beginning."""
    return await PLAN_TABLE.search(
        store,
        Where("line_id", "=", line_id),
        Where("status", "in", list(OPEN_STATUSES)),
        order_by=("plan_id",),
        limit=OPEN_PLANS_MAX,
    )
