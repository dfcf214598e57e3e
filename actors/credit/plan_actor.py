"""The actor of one plan: its daily run, its automatic repayment, and its early end."""

from typing import ClassVar

import msgspec

from actors.credit.due_run import run_until
from actors.credit.plan import Owed, RepaymentPlan
from actors.credit.plan_change import DUE_TYPE, PLAN_KIND, event, plan_change, repay_steps
from actors.credit.records import LINE_TABLE, PLAN_TABLE, LineState, PlanState
from actors.credit.repayment import payoff, run_paying, settled
from actors.credit.views import public_plan
from actors.entity import Case, EntityActor, Part, Plan, Record, decides, reads
from actors.regulation.calendar import day_of
from schemas.change import TimerFired
from schemas.credit import (
    CreditPayoff,
    CreditPlan,
    CreditRepayment,
    GetCreditPayoff,
    GetCreditPlan,
    PlanRepayment,
    SettleCreditPlan,
)
from schemas.errors import InvalidState
from schemas.ledger import Moves

__all__ = ("PlanActor",)


class PlanActor(EntityActor):
    """One plan of one line."""

    kind = PLAN_KIND
    table: ClassVar = PLAN_TABLE

    @decides(DUE_TYPE, TimerFired)
    async def due(self, fired: TimerFired, case: Case) -> tuple[Plan, ...]:
        """Bring the plan up to the day; what is payable is repaid if the line says so.

        That takes all of it from the line's account or nothing, and is tried again the next day.
        Days on which nobody could try count as days on which it was paid.
        """
        record = _record(case)
        line = await self._line(record)
        run = run_until(record.state.plan, day_of(case.now))
        payable = run.plan.payable.total_minor
        waiting = _step(record, plan_change(record, run, run.plan), run.plan)
        if not (payable and line.state.autopay):
            return (waiting,)
        failed = event(record.app, "credit.autopay_failed", record.key, waiting.answer)
        in_time, after, owed = run_paying(record.state.plan, day_of(case.now))
        told = _repayment(record, line.state.account_id, owed, after, case)
        part = plan_change(record, in_time, after)
        paid = _step(record, part, after).plus(_paid(record, line, told, owed))
        return paid, waiting.plus(Part(events=(failed,)))

    @reads("credit.plan", GetCreditPlan)
    async def get(self, request: GetCreditPlan, case: Case) -> CreditPlan:
        """Return the plan as committed."""
        return public_plan(case.key, case.state(PlanState, "plan", "plan_id"))

    @reads("credit.payoff", GetCreditPayoff)
    async def payoff(self, request: GetCreditPayoff, case: Case) -> CreditPayoff:
        """Return what it costs to end the plan today."""
        plan = run_until(_record(case).state.plan, day_of(case.now)).plan
        _check_open(plan, case.key)
        owed = payoff(plan)
        return CreditPayoff(
            plan_id=case.key,
            day=plan.today,
            penalty_minor=owed.penalty_minor,
            charge_minor=owed.charge_minor,
            principal_minor=owed.principal_minor,
            total_minor=owed.total_minor,
        )

    @decides("credit.settle", SettleCreditPlan)
    async def settle(self, request: SettleCreditPlan, case: Case) -> Plan:
        """End the plan, if what that costs is what the customer was told."""
        record = _record(case)
        line = await self._line(record)
        run = run_until(record.state.plan, day_of(case.now))
        _check_open(run.plan, case.key)
        after, owed, charged_now = settled(run.plan)
        if owed.total_minor != request.total_minor:
            raise InvalidState(
                f"to end plan {case.key!r} today costs {owed.total_minor} minor units,"
                f" not {request.total_minor}",
                field="total_minor",
            )
        account_id = request.account_id or line.state.account_id
        told = _repayment(record, account_id, owed, after, case)
        part = plan_change(record, run, after, charged_minor=charged_now)
        return Plan(answer=told).plus(part, _paid(record, line, told, owed))

    async def _line(self, record: Record[PlanState]) -> Record[LineState]:
        line = await LINE_TABLE.load(self.parts.store, record.state.line_id)
        assert line is not None, "a plan's line stays"
        return line


def _record(case: Case) -> Record[PlanState]:
    case.state(PlanState, "plan", "plan_id")
    assert case.record is not None
    return case.record


def _check_open(plan: RepaymentPlan, plan_id: str) -> None:
    if not plan.is_open:
        raise InvalidState(f"plan {plan_id!r} is {plan.status}", field="plan_id")


def _step(record: Record[PlanState], part: Part, after: RepaymentPlan) -> Plan:
    state = msgspec.structs.replace(record.state, plan=after)
    return Plan(answer=public_plan(record.key, state)).plus(part)


def _repayment(
    record: Record[PlanState], account_id: str, owed: Owed, after: RepaymentPlan, case: Case
) -> CreditRepayment:
    paid = PlanRepayment(
        plan_id=record.key,
        status=after.status,
        penalty_minor=owed.penalty_minor,
        charge_minor=owed.charge_minor,
        principal_minor=owed.principal_minor,
    )
    return CreditRepayment(
        line_id=record.state.line_id,
        account_id=account_id,
        amount_minor=owed.total_minor,
        penalty_minor=owed.penalty_minor,
        charge_minor=owed.charge_minor,
        principal_minor=owed.principal_minor,
        plans=[paid],
        repaid_at=case.now,
    )


def _paid(
    record: Record[PlanState], line: Record[LineState], told: CreditRepayment, owed: Owed
) -> Part:
    own = told.account_id == line.state.account_id
    steps = repay_steps(line.key, owed, told.account_id, app=record.app, own=own)
    repaid_event = event(record.app, "credit.repaid", line.key, told)
    return Part(moves=Moves(steps=steps), events=(repaid_event,))
