"""How a payment goes on: to its payee, into escrow, or into the hands of an authorisation.

The same steps are taken at once, after a review, and when a channel has paid; only where the money
comes from differs.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from actors.entity import Part, merge
from actors.payments.desk import PaymentDesk
from actors.payments.lifecycle import Step
from actors.payments.moves import ESCROW, PURPOSE_RELEASE, exactly, steps
from actors.payments.records import PaymentState
from actors.payments.turn import Turn
from actors.payments.views import advanced, told
from schemas.change import Timer, due_ms

__all__ = (
    "CONFIRM_TYPE",
    "EXPIRE_TYPE",
    "ORDER_KIND",
    "RETRY_AFTER",
    "REVIEW_TYPE",
    "go_on",
    "pay_payee",
    "timer_at",
    "timers_of",
)

ORDER_KIND = "payment_order"

CONFIRM_TYPE = "payment.confirm_due"
EXPIRE_TYPE = "payment.expire_due"
REVIEW_TYPE = "payment.review_due"

# What a timer could not do, because an account is closed or frozen, is tried again a day later:
# whoever can open the way needs hours, and the money waits where it is safe.
RETRY_AFTER = timedelta(days=1)

_NAMES = {CONFIRM_TYPE: "confirm", EXPIRE_TYPE: "expire", REVIEW_TYPE: "review"}
_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))


def _timer_id(payment_id: str, type_: str) -> str:
    return f"payment.{payment_id}.{_NAMES[type_]}"


def timer_at(app: str, payment_id: str, type_: str, due_at: datetime) -> Timer:
    """Return the timer of a payment for one purpose; there is one for each."""
    timer_id = _timer_id(payment_id, type_)
    return Timer(timer_id, due_ms(due_at), ORDER_KIND, payment_id, type_, app, _NOTHING)


def timers_of(payment_id: str, types: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of a payment's timers, to cancel them."""
    return tuple(_timer_id(payment_id, type_) for type_ in types)


async def go_on(desk: PaymentDesk, turn: Turn, state: PaymentState) -> tuple[PaymentState, Part]:
    """Take the step that is the payment's goal; its money is held, in escrow, or with the payee."""
    step: Step = state.goal
    timers: tuple[Timer, ...] = ()
    changes: dict[str, Any] = {"review_until": None}
    if step == "succeed":
        return await pay_payee(desk, turn, state)
    if step == "guarantee":
        due_at = turn.now + timedelta(days=state.confirm_after_days)
        changes["confirms_at"] = due_at
        timers = (timer_at(turn.app, state.payment_id, CONFIRM_TYPE, due_at),)
    else:
        assert state.expires_at is not None, "an authorisation ends"
        timers = (timer_at(turn.app, state.payment_id, EXPIRE_TYPE, state.expires_at),)
    after = advanced(state, step, **changes)
    return after, merge(Part(timers=timers), told(turn, after, step, state.amount_minor))


async def pay_payee(
    desk: PaymentDesk, turn: Turn, state: PaymentState, step: Step = "succeed"
) -> tuple[PaymentState, Part]:
    """Let the payee have all of it, out of escrow unless it is there, and share it out."""
    amount = state.amount_minor
    moves = Part()
    if state.place == "escrow":
        fields = ("payment_id", "payee")
        moves = steps(exactly(ESCROW, state.payee, amount, PURPOSE_RELEASE, fields=fields))
    shared = await desk.sharing.pay_out(turn, state, amount, state.payment_id)
    after = advanced(
        state,
        step,
        place="payee",
        captured_minor=amount,
        division=shared.division,
        settled=shared.settled,
        captures=state.captures + 1,
        review_until=None,
        confirms_at=None,
    )
    return after, merge(moves, shared.part, told(turn, after, step, amount))
