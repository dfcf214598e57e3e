"""The actor of what is owed on a line: quotes, loans paid out, repayments, and reads."""

from datetime import UTC, timedelta
from typing import ClassVar

from actors.credit.draw import check_drawable, drawn, load_quote
from actors.credit.due_run import DueRun, run_until
from actors.credit.line_accounts import posted_minor
from actors.credit.plan import Owed, open_plan
from actors.credit.plan_change import PURPOSE_DRAW, event, plan_change, repay_steps, transfer
from actors.credit.rates import annual_rate
from actors.credit.records import (
    LINE_TABLE,
    PLAN_TABLE,
    QUOTE_TABLE,
    LineState,
    PlanState,
    QuoteState,
    charges_account,
    open_plans,
)
from actors.credit.repayment import repaid
from actors.credit.rule_set import conditions_of
from actors.credit.views import amounts, public_line, public_plan, public_quote
from actors.entity import Case, EntityActor, Part, Plan, Record, RecordChange, decides, reads
from actors.regulation.calendar import day_of, start_of_day
from kernel.store import Where
from schemas.credit import (
    CreditLineDetails,
    CreditPlanList,
    CreditRepayment,
    DrawCredit,
    GetCredit,
    ListCreditPlans,
    PlanRepayment,
    QuoteCredit,
    RepayCredit,
)
from schemas.errors import InsufficientFunds, InvalidField, InvalidState, NotFound
from schemas.ledger import Moves

__all__ = ("DebtActor",)

_ONE_DAY = timedelta(days=1)


class DebtActor(EntityActor):
    """The debt of one line, which changes its plans and never the line itself."""

    kind = "credit_debt"
    table: ClassVar = LINE_TABLE

    @decides("credit.quote", QuoteCredit)
    async def quote(self, request: QuoteCredit, case: Case) -> Plan:
        """Price an amount under the rules in force; the quote keeps what it said."""
        line = _line(case)
        await check_drawable(case.store, line)
        rules = self.parts.rules.current("credit")
        conditions = conditions_of(rules, line.state.kind, request)
        if request.amount_minor > line.state.limit_minor:
            raise InsufficientFunds(
                f"amount_minor is {request.amount_minor}; the line's limit is"
                f" {line.state.limit_minor}",
                field="amount_minor",
            )
        today = day_of(case.now)
        plan = open_plan(conditions, request.amount_minor, today)
        rate = annual_rate(
            request.amount_minor,
            tuple(term.principal_minor + term.charge_minor for term in plan.terms),
        )
        valid_until = case.now + timedelta(seconds=rules.repayment.quote_valid_s)
        state = QuoteState(
            line_id=case.key,
            conditions=conditions,
            amount_minor=request.amount_minor,
            nominal_ppm=rate.nominal_ppm,
            effective_ppm=rate.effective_ppm,
            created_at=case.now,
            # Its due dates and its interest are counted from this day.
            expires_at=min(valid_until, start_of_day(today + _ONE_DAY).astimezone(UTC)),
        )
        quote_id = case.ids.new("quote")
        answer = public_quote(quote_id, state)
        return Plan(
            answer=answer,
            also=(RecordChange(QUOTE_TABLE, quote_id, 0, line.app, state),),
            events=(case.tell("credit.quoted", quote_id, answer),),
        )

    @decides("credit.draw", DrawCredit)
    async def draw(self, request: DrawCredit, case: Case) -> Plan:
        """Pay a loan out to the line's account."""
        line = _line(case)
        if line.state.kind != "loan":
            raise InvalidState(
                f"credit line {case.key!r} is for instalments: it pays, and is not paid out",
                field="line_id",
            )
        quote = await load_quote(case.store, request.quote_id, case.key, case.now)
        await check_drawable(case.store, line)
        plan_id = case.ids.new("plan")
        state, part = drawn(line, quote, plan_id, case.now)
        # What a bank lends to an account of class II counts against none of its limits (PBoC
        # 银发〔2016〕302).
        steps = transfer(
            case.key, line.state.account_id, quote.state.amount_minor, PURPOSE_DRAW,
            credit_owner=line.app, exempt=True,
        )  # fmt: skip
        return Plan(answer=public_plan(plan_id, state)).plus(part, Part(moves=Moves(steps=steps)))

    @decides("credit.repay", RepayCredit)
    async def repay(self, request: RepayCredit, case: Case) -> Plan:
        """Repay what is due by today, the oldest debt first."""
        line = _line(case)
        due = await self._due(request, case)
        payable = sum(run.plan.payable.total_minor for _, run in due)
        amount = request.amount_minor or payable
        if not payable:
            raise InvalidState(f"nothing is due on line {case.key!r}", field="line_id")
        if amount > payable:
            raise InvalidField(
                f"amount_minor is {amount}, and {payable} are due; to pay a plan before its time"
                " ask for its payoff and settle it",
                field="amount_minor",
            )
        rest, whole = amount, Owed()
        parts: list[Part] = []
        plans: list[PlanRepayment] = []
        for record, run in due:
            part = min(rest, run.plan.payable.total_minor)
            if not part:
                break
            rest -= part
            after, owed = repaid(run.plan, part)
            whole = whole.plus(owed)
            parts.append(plan_change(record, run, after))
            plans.append(_plan_repayment(record.key, after.status, owed))
        account_id = request.account_id or line.state.account_id
        told = CreditRepayment(
            line_id=case.key,
            account_id=account_id,
            amount_minor=amount,
            penalty_minor=whole.penalty_minor,
            charge_minor=whole.charge_minor,
            principal_minor=whole.principal_minor,
            plans=plans,
            repaid_at=case.now,
        )
        own = account_id == line.state.account_id
        steps = repay_steps(case.key, whole, account_id, app=line.app, own=own)
        moved = Part(
            moves=Moves(steps=steps), events=(event(line.app, "credit.repaid", case.key, told),)
        )
        return Plan(answer=told).plus(*parts, moved)

    async def _due(
        self, request: RepayCredit, case: Case
    ) -> list[tuple[Record[PlanState], DueRun]]:
        """Return the plans in which something is payable today, the oldest debt first."""
        if request.plan_id is None:
            records = await open_plans(case.store, case.key)
        else:
            found = await PLAN_TABLE.load(case.store, request.plan_id)
            if found is None or found.state.line_id != case.key:
                raise NotFound(f"plan {request.plan_id!r} does not exist", field="plan_id")
            records = [found]
        today = day_of(case.now)
        runs = [(record, run_until(record.state.plan, today)) for record in records]
        due = [(record, run) for record, run in runs if run.plan.payable.total_minor]
        return sorted(due, key=lambda one: (one[1].plan.oldest_due_on, one[0].key))

    @reads("credit.get", GetCredit)
    async def get(self, request: GetCredit, case: Case) -> CreditLineDetails:
        """Return the line as committed, with what its accounts hold and what is due today."""
        line = _line(case)
        names = (case.key, charges_account(case.key))
        balances = await posted_minor(case.store, names)
        posted, held = balances.get(case.key, (0, 0))
        charged, _ = balances.get(names[1], (0, 0))
        payable, overdue, today = Owed(), 0, day_of(case.now)
        for record in await open_plans(case.store, case.key):
            plan = run_until(record.state.plan, today).plan
            payable = payable.plus(plan.payable)
            overdue += plan.status == "overdue"
        usable = line.state.status == "active"
        return CreditLineDetails(
            line=public_line(case.key, line.state),
            drawn_minor=-posted,
            charges_minor=-charged,
            available_minor=max(line.state.limit_minor + posted - held, 0) if usable else 0,
            payable=amounts(payable),
            overdue_plans=overdue,
        )

    @reads("credit.plans", ListCreditPlans)
    async def plans(self, request: ListCreditPlans, case: Case) -> CreditPlanList:
        """Return plans of the line, whatever their status."""
        _line(case)
        found = await PLAN_TABLE.search(
            case.store,
            Where("line_id", "=", case.key),
            Where("plan_id", ">", request.after),
            order_by=("plan_id",),
            limit=request.limit + 1,
        )
        page = found[: request.limit]
        more = len(found) > len(page)
        return CreditPlanList(
            plans=[public_plan(record.key, record.state) for record in page],
            next_after=page[-1].key if more else None,
        )


def _line(case: Case) -> Record[LineState]:
    case.state(LineState, "credit line", "line_id")
    assert case.record is not None
    return case.record


def _plan_repayment(plan_id: str, status: str, owed: Owed) -> PlanRepayment:
    return PlanRepayment(
        plan_id=plan_id,
        status=status,
        penalty_minor=owed.penalty_minor,
        charge_minor=owed.charge_minor,
        principal_minor=owed.principal_minor,
    )
