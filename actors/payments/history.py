"""One payment read from the store: as it stands, with what happened to it."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from actors.payments.records import ORDER_TABLE, PaymentState
from actors.payments.views import public_payment
from actors.settlement.legs import LEG_TABLE
from kernel.store import Query, Store, Where
from schemas.errors import InvalidField, NotFound
from schemas.payments import GetPayment, Payment, PaymentSplit, PaymentStep
from schemas.subjects import OPERATOR_APP

__all__ = (
    "ROW_COLUMNS",
    "PaymentRow",
    "find_payment",
    "is_visible",
    "plain_payment",
    "read_rows",
)

ROW_COLUMNS = (
    "payment_id", "app", "request_id", "method", "status", "payer", "payee", "amount_minor",
    "currency", "reference", "created_at", "change_seq",
)  # fmt: skip
_STEP = ("event", "status", "amount_minor", "at")


class PaymentRow(NamedTuple):
    """A row of the table ``payment``."""

    payment_id: str
    app: str
    request_id: str
    method: str
    status: str
    payer: str
    payee: str
    amount_minor: int
    currency: str
    reference: str
    created_at: datetime
    change_seq: int


class _PaymentId(msgspec.Struct):
    payment_id: str


def is_visible(app: str, owner: str) -> bool:
    """Tell whether an app may see the payments of ``owner``; the back office sees all."""
    return app in (owner, OPERATOR_APP)


def plain_payment(row: PaymentRow) -> Payment:
    """Return a payment that was made at once, and to which nothing followed."""
    fields = row._asdict()
    del fields["app"], fields["change_seq"]
    return Payment(**fields)


async def read_rows(store: Store, *where: Where) -> list[PaymentRow]:
    """Return rows, in no order: with one, the store might walk all payments to get there."""
    rows = await store.fetch(Query(table="payment", columns=ROW_COLUMNS, where=where))
    return [PaymentRow(*row) for row in rows]


async def find_payment(store: Store, app: str, request: GetPayment) -> Payment:
    """Return the payment that is named, with all that happened to it."""
    if (request.payment_id is None) == (request.request_id is None):
        raise InvalidField("give either payment_id or request_id, not both", field="payment_id")
    if request.payment_id is not None:
        field, wanted = "payment_id", request.payment_id
        where: Where | None = Where("payment_id", "=", wanted)
    else:
        assert request.request_id is not None
        field, wanted = "request_id", request.request_id
        where = await _made_by(store, app, wanted)
    rows = [] if where is None else await read_rows(store, where)
    rows = [row for row in rows if is_visible(app, row.app)]
    if not rows:
        raise NotFound(f"no payment with {field} {wanted!r}", field=field)
    row = min(rows)
    record = await ORDER_TABLE.load(store, row.payment_id)
    if record is None:
        return await _with_division(store, row)
    return public_payment(record.state, await _steps(store, row, record.state))


async def _with_division(store: Store, row: PaymentRow) -> Payment:
    """Return a plain payment with what its payee gave away of it, if that is a merchant."""
    found = await store.fetch(
        Query(
            table=LEG_TABLE.name,
            columns=("leg_id", "fee_minor", "shares"),
            where=(Where("merchant_id", "=", row.payee), Where("change_seq", "=", row.change_seq)),
        )
    )
    payment = plain_payment(row)
    for leg_id, fee, shares in found:
        if leg_id == row.payment_id:
            splits = tuple(
                PaymentSplit(account_id=account, amount_minor=amount)
                for account, amount in msgspec.json.decode(shares, type=list[tuple[str, int]])
            )
            return msgspec.structs.replace(payment, fee_minor=fee, splits=splits)
    return payment


async def _made_by(store: Store, app: str, request_id: str) -> Where | None:
    """Return the condition on the payment that a request made, or None when it made none.

    Payments have no index by request, which each of them would have to pay for. The request is
    remembered with its answer, and that of `payment.create` is the payment. Others are found by
    the number of their change, which costs the read of a few pages.
    """
    rows = await store.fetch(
        Query(
            table="change",
            columns=("operation", "outcome", "answer", "seq"),
            where=(Where("app", "=", app), Where("request_id", "=", request_id)),
        )
    )
    if not rows or rows[0][1] != "committed":
        return None
    operation, _, answer, seq = rows[0]
    if operation == "payment.create":
        made = msgspec.json.decode(answer, type=_PaymentId)
        return Where("payment_id", "=", made.payment_id)
    return Where("change_seq", "=", seq)


async def _steps(store: Store, row: PaymentRow, state: PaymentState) -> tuple[PaymentStep, ...]:
    found = await store.fetch(
        Query(
            table="payment_step",
            columns=_STEP,
            where=(Where("payment_id", "=", row.payment_id),),
            order_by=("change_seq",),
        )
    )
    steps = [
        PaymentStep(event=event, status=status, amount_minor=amount, at=at)
        for event, status, amount, at in found
    ]
    if state.one_shot:
        first = PaymentStep(
            event="succeeded", status="succeeded", amount_minor=row.amount_minor, at=row.created_at
        )
        steps.insert(0, first)
    return tuple(steps)
