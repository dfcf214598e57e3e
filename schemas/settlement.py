"""Messages of settlement: batches (结算批次), statements (对账单) and clearing totals (清分)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import APP_PATTERN, Identifier, RequestId, Timestamp
from schemas.merchants import Cycle, MerchantId, SettleTo

__all__ = (
    "CLEARING_LIMIT_MAX",
    "SETTLEMENTS_LIMIT_MAX",
    "STATEMENT_LIMIT_MAX",
    "Clearing",
    "ClearingLine",
    "ClearingRole",
    "Day",
    "GetClearing",
    "GetSettlement",
    "GetStatementOfDay",
    "LegKind",
    "ListSettlements",
    "RunSettlement",
    "Settlement",
    "SettlementList",
    "SettlementState",
    "SettlementStatement",
    "StatementLine",
)

# Pages that stay well under a NATS message of 1 MiB at about 400 bytes a line.
STATEMENT_LIMIT_MAX = 1000
SETTLEMENTS_LIMIT_MAX = 200
CLEARING_LIMIT_MAX = 1000

SettlementState = Literal["open", "computed", "paying", "settled", "failed"]
LegKind = Literal["payment", "refund", "share", "share_back"]
ClearingRole = Literal["merchant", "participant", "bank"]

Day = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?!\n)$",
        description="A calendar day in Asia/Shanghai, as in 2026-02-14.",
    ),
]
_SettlementId = Annotated[
    Identifier, Meta(description="Identifier of a settlement, as `settlement.run` returned it.")
]


class RunSettlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settle a merchant now instead of at its time.

    A merchant's own app may do it for one that settles T+0: everything up to this moment. The back
    office may for any, which takes what the last cut-off of the cycle would have taken. When a
    settlement is under way its answer is that one, and T+0 settles again after it.
    """

    request_id: RequestId
    merchant_id: MerchantId


class GetSettlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a settlement."""

    settlement_id: _SettlementId


class ListSettlements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a merchant's settlements in order, all or a day's: those after number ``after``."""

    merchant_id: MerchantId
    day: Day | None = None
    after: Annotated[int, Meta(ge=0, description="Number of a settlement of the merchant.")] = 0
    limit: Annotated[int, Meta(ge=1, le=SETTLEMENTS_LIMIT_MAX)] = 50


class GetStatementOfDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what a merchant's settlements of a day consist of, page by page.

    ``after`` is the ``next_after`` of the page before.
    """

    merchant_id: MerchantId
    day: Day
    after: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=STATEMENT_LIMIT_MAX)] = 500


class GetClearing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what each participant got of an app's payments that were settled for a day (清分).

    ``app`` is the one that asks unless the back office asks. ``after`` is the ``next_after`` of the
    page before.
    """

    day: Day
    app: Annotated[str, Meta(pattern=APP_PATTERN)] | None = None
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=CLEARING_LIMIT_MAX)] = 200


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """One settlement of a merchant; amounts in minor units.

    ``number`` counts the merchant's settlements from 1, ``day`` is the one that it is for, and it
    holds the ``legs`` committed before the first one stamped ``cut_off_at`` or later. ``net_minor``
    is ``gross_minor`` (payments) − ``refunded_minor`` − ``fee_minor`` − ``shared_minor`` (what
    other participants got, less what they gave back) + ``received_minor`` (this merchant's shares
    of others' payments). With ``carried_in_minor``, left by the settlement before, it makes
    ``payout_minor`` and ``carried_out_minor``: what is negative, or could not be paid out, is
    carried to the next one. Amounts are those so far while the state is ``open``.

    ``open`` collects, ``computed`` has its sums, ``paying`` has its destination, ``settled`` has
    paid out, ``failed`` could not; ``reason`` says why.
    """

    settlement_id: str
    merchant_id: str
    number: int
    day: str
    cycle: Cycle
    state: SettlementState
    cut_off_at: Timestamp
    legs: int
    gross_minor: int
    refunded_minor: int
    fee_minor: int
    shared_minor: int
    received_minor: int
    net_minor: int
    carried_in_minor: int
    carried_out_minor: int
    payout_minor: int
    settle_to: SettleTo | None
    reason: str
    opened_at: Timestamp
    ended_at: Timestamp | None


class SettlementList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of settlements; ``next_after`` is null on the last page."""

    settlements: list[Settlement]
    next_after: int | None


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of a settlement: money that came to the merchant or went back, in minor units.

    ``kind`` is ``payment`` or ``refund`` of the merchant's own, ``share`` of another merchant's
    payment, or ``share_back`` when that was refunded. Amounts of what goes back are negative;
    ``net_minor`` = ``gross_minor`` − ``fee_minor`` − ``shared_minor``.
    """

    settlement_id: str
    leg_id: str
    kind: LegKind
    payment_id: str
    method: str
    app: str
    at: Timestamp
    gross_minor: int
    fee_minor: int
    shared_minor: int
    net_minor: int


class SettlementStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a statement in the order of commit; ``next_after`` is null on the last page."""

    merchant_id: str
    day: str
    lines: list[StatementLine]
    next_after: int | None


class ClearingLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one account got of the payments of one app, less what it gave back; minor units.

    ``role`` is ``merchant``, ``participant`` of a split, or ``bank`` for the fee.
    """

    account_id: str
    role: ClearingRole
    legs: int
    amount_minor: int


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the clearing totals, by account; ``next_after`` is null on the last page."""

    day: str
    app: str
    lines: list[ClearingLine]
    next_after: str | None
