"""Operations of merchants and their settlement."""

import msgspec

from schemas.merchants import CreateMerchant, GetMerchant, Merchant, UpdateMerchant
from schemas.operation import Operation
from schemas.settlement import (
    Clearing,
    GetClearing,
    GetSettlement,
    GetStatementOfDay,
    ListSettlements,
    RunSettlement,
    Settlement,
    SettlementList,
    SettlementStatement,
)

__all__ = ("EVENTS", "OPERATIONS")

_SETTLES = (
    "settlement.opened",
    "settlement.computed",
    "settlement.paying",
    "settlement.settled",
    "settlement.failed",
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        service="merchant",
        verb="create",
        request=CreateMerchant,
        result=Merchant,
        kind="merchant",
        key="account_id",
        mutates=True,
        summary="Make an account collect for a merchant, with fees, splits and a cycle.",
        errors=("not_found", "invalid_state", "ineligible"),
        events=("merchant.created", *_SETTLES),
    ),
    Operation(
        service="merchant",
        verb="update",
        request=UpdateMerchant,
        result=Merchant,
        kind="merchant",
        key="merchant_id",
        mutates=True,
        summary="Replace a merchant's name, category or terms.",
        errors=("not_found", "invalid_state", "ineligible"),
        events=("merchant.updated",),
    ),
    Operation(
        service="merchant",
        verb="get",
        request=GetMerchant,
        result=Merchant,
        kind="merchant",
        key="merchant_id",
        mutates=False,
        summary="Read a merchant.",
        errors=("not_found",),
    ),
    Operation(
        service="settlement",
        verb="run",
        request=RunSettlement,
        result=Settlement,
        kind="settlement",
        key="merchant_id",
        mutates=True,
        summary="Settle a merchant now instead of at its time.",
        errors=("not_found", "invalid_state", "forbidden"),
        events=_SETTLES,
    ),
    Operation(
        service="settlement",
        verb="get",
        request=GetSettlement,
        result=Settlement,
        kind="settlement_query",
        key="settlement_id",
        mutates=False,
        summary="Read a settlement.",
        errors=("not_found",),
    ),
    Operation(
        service="settlement",
        verb="list",
        request=ListSettlements,
        result=SettlementList,
        kind="settlement",
        key="merchant_id",
        mutates=False,
        summary="Read a merchant's settlements, page by page.",
        errors=("not_found",),
    ),
    Operation(
        service="settlement",
        verb="statement",
        request=GetStatementOfDay,
        result=SettlementStatement,
        kind="settlement",
        key="merchant_id",
        mutates=False,
        summary="Read what a merchant's settlements of a day consist of, page by page.",
        errors=("not_found",),
    ),
    Operation(
        service="settlement",
        verb="clearing",
        request=GetClearing,
        result=Clearing,
        kind="clearing",
        key="day",
        mutates=False,
        summary="Read what each participant got of an app's payments that were settled for a day.",
        errors=("forbidden",),
    ),
)

EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "merchant.created": (Merchant,),
    "merchant.updated": (Merchant,),
    **dict.fromkeys(_SETTLES, (Settlement,)),
}
