"""Payments as callers see them, and each step as it is kept and told."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

import msgspec

from actors.entity import Part
from actors.payments.compose import splits_of
from actors.payments.lifecycle import EVENT_NAMES, Step, event_type, status_after
from actors.payments.records import STEP_TABLE, LegState, PaymentState
from actors.payments.turn import Turn
from schemas.change import Event, Fact
from schemas.payments import (
    Payment,
    PaymentSource,
    PaymentSplit,
    PaymentStatus,
    PaymentStep,
    Refund,
    RefundSource,
)

__all__ = ("advanced", "brief_payment", "public_payment", "refund_answer", "told")

_json = msgspec.json.Encoder()


def _source(leg: LegState) -> PaymentSource:
    paid = leg.paid
    return PaymentSource(
        number=paid.number,
        type=paid.type,
        account_id=paid.account_id,
        amount_minor=paid.amount_minor,
        held_minor=leg.held_minor,
        refunded_minor=paid.refunded_minor,
        charged_minor=paid.charged_minor,
        returned_minor=paid.returned_minor,
        unclaimed_minor=leg.unclaimed_minor,
    )


def brief_payment(state: PaymentState) -> Payment:
    """Return a payment without what grows with its life, for pages of many."""
    division = state.division
    return Payment(
        payment_id=state.payment_id,
        request_id=state.request_id,
        method=state.method,
        status=state.status,
        payer=state.payer,
        payee=state.payee,
        amount_minor=state.amount_minor,
        currency=state.currency,
        reference=state.reference,
        created_at=state.created_at,
        description=state.description,
        captured_minor=state.captured_minor,
        refunded_minor=state.refunded_minor,
        fee_minor=0 if division is None else division.fee_minor,
        mandate_id=state.mandate_id,
        qr_code_id=state.qr_code_id,
        qr_class=state.qr_class,
        confirms_at=state.confirms_at,
        expires_at=state.expires_at,
        review_until=state.review_until,
        failure=state.failure,
    )


def public_payment(state: PaymentState, history: Iterable[PaymentStep] = ()) -> Payment:
    """Return a payment with all its parts; ``history`` only where somebody asked for it."""
    return msgspec.structs.replace(
        brief_payment(state),
        sources=tuple(_source(leg) for leg in state.legs),
        splits=() if state.division is None else splits_of(state.division),
        refunds=tuple(one.refund for one in state.refunds if one.kind == "refund"),
        disputes=tuple(one.dispute for one in state.disputes),
        history=tuple(history),
    )


def advanced(state: PaymentState, step: Step, **changes: Any) -> PaymentState:
    """Return the state after a step; raise when its status does not allow it."""
    status = status_after(state.payment_id, state.status, step)
    return msgspec.structs.replace(state, status=status, **changes)


def told(
    turn: Turn,
    state: PaymentState,
    step: Step,
    amount_minor: int,
    data: msgspec.Struct | None = None,
) -> Part:
    """Return the row and the event of the step that led to ``state``.

    ``data`` is what the event carries; the payment, unless given.
    """
    row = (state.payment_id, EVENT_NAMES[step], state.status, amount_minor, turn.now)
    data = public_payment(state) if data is None else data
    event = Event(event_type(step), state.payment_id, _json.encode(data).decode(), turn.app)
    return Part(facts=(Fact(STEP_TABLE.name, row),), events=(event,))


def refund_answer(
    before: PaymentState,
    after: PaymentState,
    *,
    refund_id: str,
    request_id: str,
    amount_minor: int,
    sources: tuple[RefundSource, ...],
    processing: bool,
    reason: str,
    at: datetime,
) -> Refund:
    """Return a refund, as the difference of the payment before and after it."""
    fee, splits = 0, []
    if before.division is not None and after.division is not None:
        fee = after.division.fee_returned_minor - before.division.fee_returned_minor
        for old, new in zip(before.division.shares, after.division.shares, strict=True):
            if new.returned_minor > old.returned_minor:
                part = new.returned_minor - old.returned_minor
                splits.append(PaymentSplit(account_id=new.account_id, amount_minor=part))
    return Refund(
        refund_id=refund_id,
        payment_id=after.payment_id,
        request_id=request_id,
        status="processing" if processing else "succeeded",
        amount_minor=amount_minor,
        currency=after.currency,
        payment_status=cast("PaymentStatus", after.status),
        refunded_minor=after.refunded_minor,
        created_at=at,
        sources=sources,
        fee_returned_minor=fee,
        splits=tuple(splits),
        reason=reason,
    )
