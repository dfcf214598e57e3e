"""Capture: how held money is taken to the payee, once or in parts."""

import msgspec

from actors.entity import Part, Plan, merge
from actors.payments.desk import PaymentDesk
from actors.payments.funding import LegRequest
from actors.payments.lifecycle import Step, status_after
from actors.payments.moves import HOLD_PURPOSE, steps
from actors.payments.progress import EXPIRE_TYPE, timers_of
from actors.payments.records import CAPTURES_MAX, LegState, PaymentState
from actors.payments.turn import Turn
from actors.payments.views import advanced, public_payment, told
from schemas.errors import InsufficientFunds, LimitExceeded
from schemas.ledger import CaptureStep, ReleaseStep

__all__ = ("capture", "release")


async def capture(
    desk: PaymentDesk, turn: Turn, state: PaymentState, amount_minor: int | None, *, final: bool
) -> Plan:
    """Take held money to the payee; the sources give in the order of the funding.

    ``amount_minor`` None is all that is left. ``final`` gives back what is left after it.
    """
    status_after(state.payment_id, state.status, "capture")
    held = sum(leg.held_minor for leg in state.legs)
    amount = held if amount_minor is None else amount_minor
    if amount > held:
        raise InsufficientFunds(
            f"payment {state.payment_id!r} has {held} minor units left to capture, not {amount}",
            field="amount_minor",
        )
    if state.captures >= CAPTURES_MAX:
        raise LimitExceeded(f"a payment is captured in at most {CAPTURES_MAX} parts")
    ends = final or amount == held
    legs, taken = await _take(desk, turn, state, amount, ends=ends)
    leg_id = f"{state.payment_id}.{state.captures + 1}"
    shared = await desk.sharing.pay_out(turn, state, amount, leg_id)
    step: Step = "capture_rest" if ends else "capture"
    after = advanced(
        state,
        step,
        legs=legs,
        place="payee" if ends else "holds",
        captured_minor=state.captured_minor + amount,
        division=shared.division,
        settled=shared.settled,
        captures=state.captures + 1,
    )
    cancels = timers_of(state.payment_id, (EXPIRE_TYPE,)) if ends else ()
    plan = Plan(answer=public_payment(after), state=after, cancels=cancels)
    return plan.plus(taken, shared.part, told(turn, after, step, amount))


def release(hold_id: str) -> ReleaseStep:
    """Return the step that gives back what is left of a leg's hold.

    It ends as voided also when the payment expires: the event is the payment's, not the hold's.
    """
    return ReleaseStep(hold_id, "voided", purpose=HOLD_PURPOSE, name="", field="payment_id")


async def _take(
    desk: PaymentDesk, turn: Turn, state: PaymentState, amount_minor: int, *, ends: bool
) -> tuple[tuple[LegState, ...], Part]:
    legs: list[LegState] = []
    parts: list[Part] = []
    left = amount_minor
    for leg in state.legs:
        share = min(left, leg.held_minor)
        left -= share
        if not leg.held_minor or not (share or ends):
            legs.append(leg)
        elif not share:
            parts.append(steps(release(leg.paid.hold_id)))
            legs.append(msgspec.structs.replace(leg, held_minor=0))
        elif leg.paid.type == "account":
            parts.append(steps(_capture_step(state, leg, share, ends=ends)))
            legs.append(_captured(leg, share, 0 if ends else leg.held_minor - share))
        else:
            drawn, part = await _draw(desk, turn, state, leg, share, ends=ends)
            parts.append(part)
            legs.append(drawn)
    return tuple(legs), merge(*parts)


def _capture_step(state: PaymentState, leg: LegState, share: int, *, ends: bool) -> CaptureStep:
    return CaptureStep(
        leg.paid.hold_id, share, state.payee, final=ends and share < leg.held_minor,
        purpose=HOLD_PURPOSE, name="", fields=("payment_id", "payee"),
    )  # fmt: skip


def _captured(leg: LegState, share: int, held_minor: int) -> LegState:
    paid = msgspec.structs.replace(leg.paid, amount_minor=leg.paid.amount_minor + share)
    return LegState(source=leg.source, paid=paid, held_minor=held_minor)


async def _draw(
    desk: PaymentDesk, turn: Turn, state: PaymentState, leg: LegState, share: int, *, ends: bool
) -> tuple[LegState, Part]:
    """Take a share of what a source holds that has a part in each capture, such as a new plan."""
    drawn = await desk.sources[leg.paid.type].pay(
        LegRequest(
            app=turn.app,
            request_id=turn.request_id,
            payment_id=state.payment_id,
            number=leg.paid.number,
            payee=state.payee,
            method=state.method,
            source=leg.source,
            amount_minor=share,
            total_minor=state.amount_minor,
            now=turn.now,
            ids=turn.ids,
            strict=True,
        )
    )
    taken = _captured(leg, share, 0 if ends else leg.held_minor - share)
    paid = msgspec.structs.replace(
        taken.paid,
        record=drawn.record,
        charged_minor=taken.paid.charged_minor + drawn.charged_minor,
    )
    part = merge(drawn.before, steps(_capture_step(state, leg, share, ends=ends)))
    return msgspec.structs.replace(taken, paid=paid), part
