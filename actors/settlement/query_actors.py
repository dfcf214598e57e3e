"""Reads that are addressed to no merchant: a settlement by its id, and the clearing of a day."""

from typing import Any, ClassVar

from actors.entity import Case, EntityActor, reads
from actors.settlement.records import SETTLEMENT_TABLE, Batch, public_settlement
from actors.settlement.statements import clearing_page
from schemas.errors import Forbidden
from schemas.settlement import Clearing, GetClearing, GetSettlement, Settlement

__all__ = ("ClearingActor", "SettlementQueryActor")


class SettlementQueryActor(EntityActor):
    """One settlement, under its own id; its merchant's actor moves it on."""

    kind = "settlement_query"
    table: ClassVar[Any] = SETTLEMENT_TABLE

    @reads("settlement.get", GetSettlement)
    async def get(self, request: GetSettlement, case: Case) -> Settlement:
        """Return the settlement as committed."""
        return public_settlement(case.key, case.state(Batch, "settlement", "settlement_id"))


class ClearingActor(EntityActor):
    """The clearing totals of a day."""

    kind = "clearing"

    @reads("settlement.clearing", GetClearing)
    async def clearing(self, request: GetClearing, case: Case) -> Clearing:
        """Return a page of the totals of an app."""
        app = request.app or case.app
        if not case.sees(app):
            raise Forbidden(f"the clearing of {app!r} is for {app!r} and the back office")
        return await clearing_page(case.store, request.day, app, request.after, request.limit)
