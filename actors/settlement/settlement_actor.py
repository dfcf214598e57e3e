"""The actor that settles a merchant: small changes, one after the other, beside its payments.

::

    open ──► computed ──► paying ──► settled
                  │          └─────► failed
                  └── nothing to pay ──► settled

A settlement never holds up a payment: it reads legs on the read pool, and what it commits are a
handful of rows among the payments of others. It can be cut off between any two steps. What was
committed says where it stands; a timer that recurs while something is to be done lets it go on, and
each step is known by the version on which it was taken, so none is taken twice. A message to itself
merely saves the wait for that timer.
"""

from typing import Any, ClassVar

import msgspec

from actors.entity import Case, EntityActor, Plan, Record, decides, reads
from actors.settlement.cycles import daily_cut_off, last_cut_off
from actors.settlement.legs import SETTLE_NOW_TYPE
from actors.settlement.merchant_actor import DAILY_TYPE
from actors.settlement.merchants import MERCHANT_TABLE, MerchantState
from actors.settlement.records import SETTLEMENT_TABLE, STANDING_TABLE, Batch, Standing
from actors.settlement.records import public_settlement as public
from actors.settlement.statements import list_settlements, statement_page
from actors.settlement.steps import (
    ADVANCE_TYPE,
    KIND,
    RESUME_TYPE,
    Advance,
    Took,
    begin,
    collect,
    fix,
    nothing_more,
    pay_out,
)
from schemas.change import TimerFired
from schemas.errors import Forbidden, InvalidState
from schemas.merchants import Cycle
from schemas.settlement import (
    GetStatementOfDay,
    ListSettlements,
    RunSettlement,
    SettlementList,
    SettlementStatement,
)
from schemas.subjects import OPERATOR_APP

__all__ = ("SettlementActor",)

_Plans = Plan | tuple[Plan, ...]


class SettlementActor(EntityActor):
    """Where one merchant's settlement stands, under the merchant's id."""

    kind = KIND
    table: ClassVar[Any] = STANDING_TABLE

    @decides("settlement.run", RunSettlement)
    async def run(self, request: RunSettlement, case: Case) -> Plan:
        """Settle up to the last cut-off, or answer what is under way."""
        standing = _standing(case)
        cycle = (await self._merchant(case)).terms.cycle
        if cycle != "T+0" and case.app != OPERATOR_APP:
            raise Forbidden(
                f"merchant {case.key!r} settles {cycle}; only the back office runs that by hand"
            )
        wanted = _wanting(standing, int(last_cut_off(cycle, case.now).timestamp() * 1000))
        record = await _under_way(case, standing)
        if record is not None:
            return Plan(answer=public(record.key, record.state), state=wanted)
        plan = await begin(case, wanted, cycle)
        if plan is None:
            raise InvalidState(
                f"merchant {case.key!r} has nothing to settle before its cut-off",
                field="merchant_id",
            )
        return plan

    @decides(DAILY_TYPE, TimerFired)
    async def daily(self, fired: TimerFired, case: Case) -> Plan:
        """Settle what the cycle settles today."""
        cycle = (await self._merchant(case)).terms.cycle
        cut_off = daily_cut_off(cycle, case.now)
        if cut_off is None:
            return Plan(answer=Took())
        return await self._want(case, cycle, int(cut_off.timestamp() * 1000))

    @decides(SETTLE_NOW_TYPE, TimerFired)
    async def now(self, fired: TimerFired, case: Case) -> Plan:
        """Settle a payment that was large enough to be settled at once, and all before it."""
        cycle = (await self._merchant(case)).terms.cycle
        if cycle != "T+0":
            return Plan(answer=Took())
        # Later than the payment, whatever the clocks of the nodes say.
        return await self._want(case, cycle, max(case.now_ms, fired.due_at_ms + 1))

    @decides(ADVANCE_TYPE, Advance)
    async def advance(self, message: Advance, case: Case) -> _Plans:
        """Take the next step."""
        return await self._step(case)

    @decides(RESUME_TYPE, TimerFired)
    async def resume(self, fired: TimerFired, case: Case) -> _Plans:
        """Go on after a step whose message to go on was lost."""
        return await self._step(case)

    @reads("settlement.list", ListSettlements)
    async def settlements(self, request: ListSettlements, case: Case) -> SettlementList:
        """Return a page of the merchant's settlements."""
        _standing(case)
        return await list_settlements(case.store, request)

    @reads("settlement.statement", GetStatementOfDay)
    async def statement(self, request: GetStatementOfDay, case: Case) -> SettlementStatement:
        """Return a page of what a day's settlements consist of."""
        _standing(case)
        return await statement_page(case.store, request)

    async def _want(self, case: Case, cycle: Cycle, until_ms: int) -> Plan:
        wanted = _wanting(_standing(case), until_ms)
        if wanted.open_id:
            return Plan(answer=Took(settlement_id=wanted.open_id), state=wanted)
        return await begin(case, wanted, cycle) or nothing_more(case, wanted)

    async def _step(self, case: Case) -> _Plans:
        standing = _standing(case)
        terms = (await self._merchant(case)).terms
        record = await _under_way(case, standing)
        if record is None:
            return await begin(case, standing, terms.cycle) or nothing_more(case, standing)
        match record.state.state:
            case "open":
                return await collect(case, standing, record)
            case "computed":
                return await fix(case, standing, record, terms.settle_to, terms.cycle)
            case _:
                return await pay_out(case, standing, record, terms.cycle)

    async def _merchant(self, case: Case) -> MerchantState:
        record = await MERCHANT_TABLE.load(case.store, case.key)
        if record is None:
            # As `state` says it for another app's: there is no merchant without its record.
            return case.state(MerchantState, "merchant", "merchant_id")
        return record.state


def _standing(case: Case) -> Standing:
    return case.state(Standing, "merchant", "merchant_id")


def _wanting(standing: Standing, until_ms: int) -> Standing:
    """Return the standing with what is to be settled by now."""
    return msgspec.structs.replace(
        standing, wanted_until_ms=max(standing.wanted_until_ms, until_ms)
    )


async def _under_way(case: Case, standing: Standing) -> Record[Batch] | None:
    """Return the settlement that is not at its end, or None."""
    if not standing.open_id:
        return None
    record = await SETTLEMENT_TABLE.load(case.store, standing.open_id)
    assert record is not None, "a settlement that was opened has a record"
    return record
