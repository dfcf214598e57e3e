"""What a step of a plan adds to a change: its record, its money, its timer, its events.

Every step ends here, whoever takes it, so the books and the plan cannot drift apart.
"""

from datetime import datetime

import msgspec

from actors.credit.due_run import DueRun, next_run_on
from actors.credit.plan import Owed, RepaymentPlan
from actors.credit.records import (
    OPEN_PLANS_MAX,
    PLAN_TABLE,
    PlanState,
    charges_account,
    plans_tally,
)
from actors.credit.views import amounts, public_plan
from actors.entity import Part, Record, RecordChange
from actors.regulation.calendar import start_of_day
from schemas.change import Event, Timer, due_ms
from schemas.credit import CreditCharged, CreditKind
from schemas.ledger import Moves, Step, TallyStep, TransferStep
from schemas.money import CNY
from schemas.subjects import PLATFORM_APP

__all__ = (
    "DUE_TYPE",
    "PLAN_KIND",
    "PURPOSE_CHARGE",
    "PURPOSE_DRAW",
    "PURPOSE_PENALTY",
    "PURPOSE_REPAY",
    "PURPOSE_RETURN",
    "charge_steps",
    "event",
    "new_plan",
    "plan_change",
    "repay_steps",
    "transfer",
)

PLAN_KIND = "credit_plan"
DUE_TYPE = "credit.due"

# Fees or interest, from the line's charges to the bank's income.
PURPOSE_CHARGE = "credit.charge"
PURPOSE_PENALTY = "credit.penalty"
# From the line to the customer's account.
PURPOSE_DRAW = "credit.draw"
# From the customer's account to the line, or to its charges.
PURPOSE_REPAY = "credit.repay"
# Between the line and the customer's account, when a refund returns what was paid already.
PURPOSE_RETURN = "credit.return"

_INCOME = {"instalment": "income:credit_fee", "loan": "income:credit_interest"}
_PENALTY_INCOME = "income:credit_penalty"

_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))
_json = msgspec.json.Encoder()


def event(app: str, type_: str, subject: str, data: msgspec.Struct) -> Event:
    """Return an event for the app that the line belongs to."""
    return Event(type_, subject, _json.encode(data).decode(), app)


def transfer(
    debit: str, credit: str, amount_minor: int, purpose: str, *, owner: str = "",
    credit_owner: str = "", exempt: bool = False,
    fields: tuple[str, str] = ("line_id", "account_id"),
) -> tuple[Step, ...]:  # fmt: skip
    """Return the move of exactly that amount (minor units), or none at all of nothing.

    A step, so that it keeps its place among the payment's. The ledger's own row of it, with the
    purpose, explains its entries to the audit.
    """
    if not amount_minor:
        return ()
    return (
        TransferStep(
            debit, credit, amount_minor, CNY, at_least_minor=amount_minor, owner=owner,
            credit_owner=credit_owner, name="", fields=fields, exempt=exempt, purpose=purpose,
        ),
    )  # fmt: skip


def charge_steps(
    line_id: str, kind: CreditKind, charge_minor: int, penalty_minor: int
) -> tuple[Step, ...]:
    """Return the moves that charge fees or interest and a penalty to the line."""
    charges = charges_account(line_id)
    return (
        *transfer(charges, _INCOME[kind], charge_minor, PURPOSE_CHARGE),
        *transfer(charges, _PENALTY_INCOME, penalty_minor, PURPOSE_PENALTY),
    )


def repay_steps(
    line_id: str, owed: Owed, account_id: str, *, app: str, own: bool
) -> tuple[Step, ...]:
    """Return the moves of a repayment from an account that the app must own.

    From the line's ``own`` account it counts against no limit of its class: the repayment of a loan
    follows the loan's contract (PBoC 银发〔2016〕302, of class II accounts).
    """
    fields = ("account_id", "line_id")
    parts = (
        (charges_account(line_id), owed.penalty_minor + owed.charge_minor),
        (line_id, owed.principal_minor),
    )
    return tuple(
        step
        for credit, amount in parts
        for step in transfer(
            account_id, credit, amount, PURPOSE_REPAY, owner=app, credit_owner=PLATFORM_APP,
            exempt=own, fields=fields,
        )
    )  # fmt: skip


def new_plan(plan_id: str, state: PlanState, app: str) -> Part:
    """Return the part that a new plan adds to the change that draws it."""
    plan = state.plan
    up_front = sum(term.charge_minor for term in plan.terms if term.charged)
    counted = TallyStep(
        plans_tally(state.line_id), 1, count_max=OPEN_PLANS_MAX, field="line_id",
        message=f"line {state.line_id!r} has {OPEN_PLANS_MAX} open plans, which is the limit",
    )  # fmt: skip
    charged = charge_steps(state.line_id, plan.conditions.kind, up_front, 0)
    return Part(
        moves=Moves(steps=(counted, *charged)),
        also=(RecordChange(PLAN_TABLE, plan_id, 0, app, state),),
        events=(event(app, "credit.drawn", plan_id, public_plan(plan_id, state)),),
        timers=_timers(plan_id, plan, app),
    )


def plan_change(
    record: Record[PlanState], run: DueRun, after: RepaymentPlan, *, charged_minor: int = 0
) -> Part:
    """Return the part of a step that took a plan to ``after``, beginning with its daily run.

    ``charged_minor`` is what the step itself charged, beyond the run.
    """
    before = record.state.plan
    line_id, app, plan_id = record.state.line_id, record.app, record.key
    state = msgspec.structs.replace(record.state, plan=after)
    steps: list[Step] = [
        *charge_steps(
            line_id, before.conditions.kind, run.charged_minor + charged_minor, run.penalty_minor
        )
    ]
    if before.is_open and not after.is_open:
        steps.append(TallyStep(plans_tally(line_id), -1))
    events = [*_run_events(record, run), *_status_events(record, run.plan, before)]
    events += _status_events(record, after, run.plan)
    return Part(
        moves=Moves(steps=tuple(steps)),
        also=(RecordChange(PLAN_TABLE, plan_id, record.version, app, state),),
        events=tuple(events),
        timers=_timers(plan_id, after, app),
        cancels=(_timer_id(plan_id),),
    )


def _run_events(record: Record[PlanState], run: DueRun) -> list[Event]:
    state = record.state
    charged = CreditCharged(
        plan_id=record.key,
        line_id=state.line_id,
        customer_id=state.customer_id,
        day=run.plan.today,
        terms=list(run.billed),
        charge_minor=run.charged_minor,
        penalty_minor=run.penalty_minor,
        payable=amounts(run.plan.payable),
    )
    types = []
    if run.billed:
        types.append("credit.billed")
    if run.penalty_minor:
        types.append("credit.penalised")
    return [event(record.app, type_, record.key, charged) for type_ in types]


def _status_events(
    record: Record[PlanState], after: RepaymentPlan, before: RepaymentPlan
) -> list[Event]:
    if after.status == before.status:
        return []
    if after.status == "overdue":
        type_ = "credit.overdue"
    else:
        type_ = "credit.cured" if after.is_open else "credit.ended"
    state = msgspec.structs.replace(record.state, plan=after)
    return [event(record.app, type_, record.key, public_plan(record.key, state))]


def _timers(plan_id: str, plan: RepaymentPlan, app: str) -> tuple[Timer, ...]:
    day = next_run_on(plan)
    if day is None:
        return ()
    due_at: datetime = start_of_day(day)
    return (Timer(_timer_id(plan_id), due_ms(due_at), PLAN_KIND, plan_id, DUE_TYPE, app, _NOTHING),)


def _timer_id(plan_id: str) -> str:
    return f"credit.{plan_id}"
