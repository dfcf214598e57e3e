"""Payments as they are kept: the row that each has, the state of those with a history, its steps.

A payment that one account made at once is a row of ``payment`` with the status ``succeeded``, and
its posting is in the same change. Any other has a row with the status ``order``: its state stands
in ``payment_order`` from the first step on. One of the former kind gets a state by what first
follows it, a refund or a dispute. Each step is a row of ``payment_step``; the first step of a
payment that was made at once has none, since its row says it all.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from actors.entity import RecordTable
from actors.payments.funding import PaidLeg
from actors.settlement.division import Division
from kernel.journal import FactTable
from kernel.memory_tables import Table, table
from schemas.errors import ErrorBody
from schemas.funding import FundingSource
from schemas.merchants import SplitRule
from schemas.money import CNY
from schemas.payments import Dispute, PaymentStatus, Refund

__all__ = (
    "CAPTURES_MAX",
    "DISPUTES_MAX",
    "ORDER_STATUS",
    "ORDER_TABLE",
    "REFUNDS_MAX",
    "STEP_MEMORY_TABLE",
    "STEP_TABLE",
    "DisputeState",
    "Goal",
    "LegState",
    "PaymentState",
    "Place",
    "RefundState",
    "ReservedTally",
)

# WeChat Pay and Alipay take fifty refunds of one payment, and so do we; captures likewise. Each is
# a part of the payment's state, which is written anew with every step.
REFUNDS_MAX = 50
CAPTURES_MAX = 50
# Nobody disputes one payment for the tenth time in good faith.
DISPUTES_MAX = 10

# What `payment.status` says of a payment whose state stands in `payment_order`.
ORDER_STATUS = "order"

# Where the money of the legs is: nowhere yet or no longer, held on the payer's accounts, kept by
# the bank in `escrow:guaranteed`, or with the payee.
Place = Literal["none", "holds", "escrow", "payee"]
# The step that a payment takes when neither a review nor a channel is in its way any more.
Goal = Literal["succeed", "guarantee", "authorize"]


class LegState(msgspec.Struct, frozen=True, kw_only=True):
    """One source's part in a payment; amounts in minor units.

    ``paid.amount_minor`` was taken from the source. ``held_minor`` is what is still held of an
    authorised leg, or awaited from a channel. ``unclaimed_minor`` is what was to go back and found
    no account, so that the bank keeps it.
    """

    source: FundingSource
    paid: PaidLeg
    held_minor: int = 0
    unclaimed_minor: int = 0

    @property
    def left_minor(self) -> int:
        """What was taken and has not gone back."""
        return self.paid.amount_minor - self.paid.refunded_minor


class ReservedTally(msgspec.Struct, frozen=True, kw_only=True):
    """What a payment has counted in a tally, to be given back when it comes to nothing."""

    tally_id: str
    count: int
    amount_minor: int


class RefundState(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as it was answered, and the order of a channel that it waits for, if any.

    ``kind`` tells a refund from the return of a payment that never reached its payee.
    """

    refund: Refund
    kind: Literal["refund", "return"] = "refund"


class DisputeState(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute, and the hold that freezes its amount at the payee; empty while in escrow."""

    dispute: Dispute
    hold_id: str = ""


class PaymentState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one payment; amounts in minor units.

    ``captured_minor`` has reached the payee and ``refunded_minor`` of it has left again.
    ``division`` is what the payee gave away of it: the fee and the shares; ``settled`` tells that
    it went to a merchant, whose settlement knows of it. ``captures`` counts the captures. ``goal``
    is the step that comes when nothing is in the way any more, neither a review nor a channel.
    """

    payment_id: str
    request_id: str
    method: str
    status: PaymentStatus | Literal["new"]
    payer: str
    payee: str
    amount_minor: int
    created_at: datetime
    legs: tuple[LegState, ...]
    place: Place
    goal: Goal = "succeed"
    currency: str = CNY
    reference: str = ""
    description: str = ""
    one_shot: bool = False
    captured_minor: int = 0
    refunded_minor: int = 0
    division: Division | None = None
    settled: bool = False
    split: SplitRule | str | None = None
    refunds: tuple[RefundState, ...] = ()
    disputes: tuple[DisputeState, ...] = ()
    reserved: tuple[ReservedTally, ...] = ()
    captures: int = 0
    mandate_id: str = ""
    qr_code_id: str = ""
    qr_class: str = ""
    confirm_after_days: int = 0
    confirms_at: datetime | None = None
    expires_at: datetime | None = None
    review_until: datetime | None = None
    failure: ErrorBody | None = None

    @property
    def channel_leg(self) -> LegState | None:
        """The leg that a channel pays, if there is one; there is at most one."""
        return next((leg for leg in self.legs if leg.paid.type == "channel"), None)

    @property
    def refundable_minor(self) -> int:
        """What the payee has of it."""
        return self.captured_minor - self.refunded_minor


def _columns(state: PaymentState) -> tuple[Any, ...]:
    return (state.payer, state.payee, state.status, state.one_shot)


ORDER_TABLE: RecordTable[PaymentState] = RecordTable(
    name="payment_order",
    key="payment_id",
    state=PaymentState,
    columns=("payer text", "payee text", "status text", "one_shot boolean"),
    values=_columns,
)

_STEP_COLUMNS = ("payment_id", "event", "status", "amount_minor", "at")
_STEP_TYPES = ("text", "text", "text", "bigint", "timestamptz")

# A change takes one step of a payment at most. By a number of its own, one of two steps that race
# would be a broken key, and not a state that was decided on too early.
STEP_TABLE = FactTable("payment_step", _STEP_COLUMNS, _STEP_TYPES)

STEP_MEMORY_TABLE: Table = table(
    "payment_step",
    ("change_seq bigint", *(f"{name} {type_}"
                            for name, type_ in zip(_STEP_COLUMNS, _STEP_TYPES, strict=True))),
    ("payment_id", "change_seq"),
    checks=(("amount_minor", ">=", 0),),
    immutable=True,
)  # fmt: skip
