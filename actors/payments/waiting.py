"""A payment that waits before anything else: for a person who reviews it, or for a channel."""

from datetime import datetime, timedelta

from actors.entity import Part, Plan, merge
from actors.payments.compose import PAYMENT_TABLE
from actors.payments.desk import PaymentDesk
from actors.payments.funding import PaidLeg
from actors.payments.lifecycle import Step
from actors.payments.moves import ESCROW, PURPOSE_FUND, exactly, steps
from actors.payments.progress import REVIEW_TYPE, timer_at
from actors.payments.records import ORDER_STATUS, LegState, PaymentState
from actors.payments.turn import Turn
from actors.payments.views import advanced, public_payment, told
from schemas.change import Fact
from schemas.funding import AccountSource
from schemas.risk import RiskCheck

__all__ = ("REVIEW_S", "plan_review", "row_of", "wait")

# A payment in review is decided within a day, or its money goes back by itself.
REVIEW_S = 86_400


def wait(turn: Turn, state: PaymentState, *, review: bool) -> tuple[PaymentState, Part]:
    """Let a new payment wait for a person, or for a channel."""
    step: Step = "review" if review else "process"
    if not review:
        after = advanced(state, step)
        return after, told(turn, after, step, state.amount_minor)
    until = turn.now + timedelta(seconds=REVIEW_S)
    after = advanced(state, step, review_until=until)
    timer = timer_at(turn.app, state.payment_id, REVIEW_TYPE, until)
    return after, merge(Part(timers=(timer,)), told(turn, after, step, state.amount_minor))


async def plan_review(desk: PaymentDesk, check: RiskCheck, now: datetime) -> Plan:
    """Return the way in which a plain payment waits for a person: its money in escrow.

    All that there is to know of it stands in the row that it would have got.
    """
    rows = [fact.row for fact in check.change.alternatives[0].facts if fact.table == "payment"]
    row = dict(zip(PAYMENT_TABLE.columns, rows[0], strict=True))
    app, payer, amount = row["app"], row["payer"], row["amount_minor"]
    await desk.profiles.owned(payer, app, "payer")
    await desk.profiles.payable(row["payee"], "payee")
    paid = PaidLeg(number=1, type="account", account_id=payer, amount_minor=amount)
    state = PaymentState(
        payment_id=row["payment_id"],
        request_id=row["request_id"],
        method=row["method"],
        status="new",
        payer=payer,
        payee=row["payee"],
        amount_minor=amount,
        created_at=_as_time(row["created_at"]),
        legs=(LegState(source=AccountSource(account_id=payer), paid=paid),),
        place="escrow",
        reference=row["reference"],
    )
    turn = Turn(app=app, request_id=state.request_id, now=now, ids=desk.ids)
    after, waiting = wait(turn, state, review=True)
    kept = Part(facts=(row_of(app, state),))
    moved = steps(exactly(payer, ESCROW, amount, PURPOSE_FUND))
    return Plan(answer=public_payment(after), state=after).plus(kept, moved, waiting)


def _as_time(at: datetime | str) -> datetime:
    # A row that was on its way carries its time as msgpack does.
    return at if isinstance(at, datetime) else datetime.fromisoformat(at)


def row_of(app: str, state: PaymentState) -> Fact:
    """Return the row of a payment that has a state."""
    return Fact(
        PAYMENT_TABLE.name,
        (
            state.payment_id, app, state.request_id, state.method, ORDER_STATUS, state.payer,
            state.payee, state.amount_minor, state.currency, state.reference, state.created_at,
        ),
    )  # fmt: skip
