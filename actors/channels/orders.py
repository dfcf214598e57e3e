"""Orders at the channels as we keep them: attempts to be paid, and refunds.

The record of a payment's attempts and the records of its orders change together, in the change that
moves the money.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from actors.channels.channel import PayOrder, RefundOrder
from actors.entity import RecordTable
from schemas.channels import ChannelOrderView, OrderOutcome
from schemas.money import CNY

__all__ = (
    "DEAD",
    "ORDERS",
    "PAYMENTS",
    "TOOK_MONEY",
    "ChannelOrder",
    "ChannelPayment",
    "OrderState",
    "expected_account",
    "external_account",
    "order_outcome",
    "pay_order",
    "public_order",
    "refund_order",
    "suspense_account",
    "timer_of",
)

# Of an attempt: 'open' is not determined. 'paid' served its payment. 'failed' was refused for good,
# 'closed' confirmed as closed, 'not_received' unknown to the channel after its own deadline: these
# three are dead, and only a channel that breaks its word moves one of them, to 'paid_late', which
# is given back. Of a refund: 'open', 'paid' (the payer has it), 'failed' (a person has to look),
# 'replaced' (it had failed, and a later refund sends its money).
OrderState = Literal[
    "open", "paid", "failed", "closed", "not_received", "paid_late", "replaced",
]  # fmt: skip

DEAD = frozenset({"failed", "closed", "not_received"})
TOOK_MONEY = frozenset({"paid", "paid_late"})


class ChannelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order at one channel: an attempt to be paid, or a refund of one.

    ``reference`` is our order number there. ``asked`` counts the exchanges, ``unsure`` those in a
    row that ended in nothing, and ``next_at`` is when the next one is due. ``closing`` tells that
    the order is to be closed, ``last_step`` what was asked last, ``observed`` whether the router
    was told, ``payers_no`` whether a refusal was the payer's own. ``close_undoes`` tells that
    closing undoes a payment, ``close_decided`` that this was begun and may have been sent. The
    fields with ``pay_`` and ``refund_id``, the payment's own refund, are for refunds; that of a
    late payment has none.
    """

    order_id: str
    kind: Literal["pay", "refund"]
    payment_id: str
    channel: str
    reference: str
    amount_minor: int
    created_at: datetime
    expires_at: datetime
    method: str = ""
    payer_token: str = ""
    description: str = ""
    currency: str = CNY
    state: OrderState = "open"
    channel_reference: str = ""
    code: str = ""
    payers_no: bool = False
    code_url: str = ""
    last_word: str = ""
    last_step: str = ""
    asked: int = 0
    sent: int = 0
    unsure: int = 0
    closing: bool = False
    close_undoes: bool = False
    close_decided: bool = False
    observed: bool = False
    next_at: datetime | None = None
    settled_at: datetime | None = None
    reconciled_at: datetime | None = None
    refund_id: str = ""
    pay_order_id: str = ""
    pay_reference: str = ""
    pay_channel_reference: str = ""
    pay_created_at: datetime | None = None
    paid_minor: int = 0


class ChannelPayment(msgspec.Struct, frozen=True, kw_only=True):
    """What a payment wants of the channels, and the attempts made for it, in order.

    ``wanted`` is the channel that the customer named; then no other is tried. ``status`` 'open'
    goes to 'paid' or 'given_up', and stays.
    """

    payment_id: str
    method: str
    amount_minor: int
    payer_token: str
    wanted: str
    payee: str
    description: str = ""
    currency: str = CNY
    status: Literal["open", "paid", "given_up"] = "open"
    orders: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()


def _columns(order: ChannelOrder) -> tuple[Any, ...]:
    return (
        order.kind,
        order.channel,
        order.reference,
        order.payment_id,
        order.amount_minor,
        order.state,
        order.created_at,
        order.next_at,
        order.settled_at,
        order.reconciled_at,
    )


ORDERS: RecordTable[ChannelOrder] = RecordTable(
    name="channel_order",
    key="order_id",
    state=ChannelOrder,
    columns=(
        "kind text",
        "channel text",
        "reference text",
        "payment_id text",
        "amount_minor bigint",
        "state text",
        "created_at timestamptz",
        "next_at timestamptz null",
        "settled_at timestamptz null",
        "reconciled_at timestamptz null",
    ),
    values=_columns,
)

PAYMENTS: RecordTable[ChannelPayment] = RecordTable(
    name="channel_payment",
    key="payment_id",
    state=ChannelPayment,
    columns=("status text",),
    values=lambda payment: (payment.status,),
)


def expected_account(channel: str) -> str:
    """Return the account of what a channel will hand over; below zero is what it owes us."""
    return f"channel:{channel}:expected"


def suspense_account(channel: str) -> str:
    """Return the account of what is not determined: attempts under way, and refunds under way."""
    return f"channel:{channel}:suspense"


def external_account(channel: str) -> str:
    """Return the mirror of what is outside, which the reconciled lines come from and go to."""
    return f"external:{channel}"


def timer_of(order_id: str) -> str:
    """Return the id of the one timer of an order."""
    return f"channel.{order_id}"


def pay_order(order: ChannelOrder) -> PayOrder:
    """Return an attempt in the form that channels take."""
    return PayOrder(
        reference=order.reference,
        amount_minor=order.amount_minor,
        method=order.method,
        payer_token=order.payer_token,
        description=order.description,
        created_at=order.created_at,
        expires_at=order.expires_at,
        currency=order.currency,
    )


def refund_order(order: ChannelOrder) -> RefundOrder:
    """Return a refund in the form that channels take."""
    assert order.pay_created_at is not None
    return RefundOrder(
        reference=order.reference,
        pay_reference=order.pay_reference,
        channel_reference=order.pay_channel_reference,
        amount_minor=order.amount_minor,
        paid_minor=order.paid_minor,
        reason=order.description,
        created_at=order.created_at,
        pay_created_at=order.pay_created_at,
        currency=order.currency,
    )


def public_order(order: ChannelOrder) -> ChannelOrderView:
    """Return an order as `channel.get` answers it."""
    return ChannelOrderView(
        order_id=order.order_id,
        kind=order.kind,
        channel=order.channel,
        reference=order.reference,
        channel_reference=order.channel_reference,
        amount_minor=order.amount_minor,
        currency=order.currency,
        state=order.state,
        code=order.code,
        reason=order.last_word,
        code_url=order.code_url,
        asked=order.asked,
        created_at=order.created_at,
        settled_at=order.settled_at,
        next_at=order.next_at,
        reconciled_at=order.reconciled_at,
    )


def order_outcome(order: ChannelOrder, outcome: str = "") -> OrderOutcome:
    """Return an order as its events tell it."""
    return OrderOutcome(
        payment_id=order.payment_id,
        order_id=order.order_id,
        kind=order.kind,
        channel=order.channel,
        amount_minor=order.amount_minor,
        currency=order.currency,
        state=order.state,
        outcome=outcome,
        reason=order.last_word or order.code,
    )
