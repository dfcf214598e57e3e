"""Payments page by page.

A payment pays for no index by its payer, payee or app, which each of them would have to maintain.
What a list needs is there already:

- ids sort by time, so the primary key is the order in which payments were made;
- the payments that one account made or got at once are found by the entries of that account, which
  are numbered, and the numbers of their changes;
- those with a state have an index by payer, payee and status, and only they pay for it.

A page looks at a bounded number of rows and says where to go on, however few of them were wanted.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from actors.entity import Record
from actors.payments.history import (
    ROW_COLUMNS,
    PaymentRow,
    is_visible,
    plain_payment,
    read_rows,
)
from actors.payments.records import ORDER_STATUS, ORDER_TABLE, PaymentState
from actors.payments.views import brief_payment
from kernel.store import Query, Store, Where
from schemas.errors import InvalidField
from schemas.payments import ListPayments, Payment, PaymentList

__all__ = ("ENTRIES_MAX", "ROWS_MAX", "list_payments")

# What one page may look at, a few milliseconds of the store: rows of payments, and entries of an
# account, each of which may cost the read of another page or two.
ROWS_MAX = 1_000
ENTRIES_MAX = 250

# A payment may get its id so much later than its time, the length of a batch.
_LAG = timedelta(seconds=1)

_CURSOR = re.compile(r"^e([0-9]{1,18})\.([A-Za-z0-9_:-]*)$")


class _PaymentId(msgspec.Struct):
    payment_id: str


class _Found(NamedTuple):
    """A payment and its app; ``entry`` is the number of the entry that led to it, or 0."""

    payment_id: str
    app: str
    payment: Payment
    entry: int = 0


class _Looked(NamedTuple):
    """What was found in order, and whether there may be more after the last one looked at."""

    found: list[_Found]
    more: bool
    last: str


async def list_payments(store: Store, app: str, request: ListPayments) -> PaymentList:
    """Return a page of the payments that an app may see."""
    if request.payer is not None and request.payee is not None:
        raise InvalidField("give payer or payee, not both", field="payee")
    account = request.payer or request.payee
    if request.status in (None, "succeeded") and account is not None:
        return await _of_account(store, app, request, account)
    if request.status in (None, "succeeded"):
        looked = await _by_time(store, request)
    else:
        looked = await _by_status(store, request)
    page: list[Payment] = []
    for one in looked.found:
        if _is_wanted(app, request, one):
            page.append(one.payment)
            if len(page) == request.limit:
                return PaymentList(payments=tuple(page), next_after=one.payment_id)
    return PaymentList(payments=tuple(page), next_after=looked.last if looked.more else None)


def _is_wanted(app: str, request: ListPayments, one: _Found) -> bool:
    payment = one.payment
    return (
        is_visible(app, one.app)
        and request.status in (None, payment.status)
        and request.payer in (None, payment.payer)
        and request.payee in (None, payment.payee)
        and (request.since is None or payment.created_at >= request.since)
        and (request.until is None or payment.created_at < request.until)
    )


def _id_at(at: datetime) -> str:
    """Return what is below the ids of all payments that are made at a time or later."""
    return f"pay_{max(int(at.timestamp() * 1000), 0):011x}"


def _bounds(request: ListPayments, after: str) -> tuple[Where, ...]:
    """Return the conditions on ids that times and the place of a page come to."""
    if request.since is not None:
        after = max(after, _id_at(request.since))
    bounds: tuple[Where, ...] = (Where("payment_id", ">", after),)
    if request.until is not None:
        bounds += (Where("payment_id", "<=", _id_at(request.until + _LAG)),)
    return bounds


async def _by_time(store: Store, request: ListPayments) -> _Looked:
    rows = await store.fetch(
        Query(
            table="payment",
            columns=ROW_COLUMNS,
            where=_bounds(request, request.after),
            order_by=("payment_id",),
            limit=ROWS_MAX,
        )
    )
    found = await _with_states(store, [PaymentRow(*row) for row in rows])
    return _Looked(found, len(rows) == ROWS_MAX, rows[-1][0] if rows else "")


async def _with_states(
    store: Store, rows: Sequence[PaymentRow], entries: dict[str, int] | None = None
) -> list[_Found]:
    """Return payments as they stand, in the order of their rows."""
    records = await ORDER_TABLE.load_many(store, [row.payment_id for row in rows])
    return [
        _Found(
            row.payment_id,
            row.app,
            brief_payment(records[row.payment_id].state)
            if row.payment_id in records
            else plain_payment(row),
            0 if entries is None else entries[row.payment_id],
        )
        for row in rows
    ]


async def _by_status(store: Store, request: ListPayments) -> _Looked:
    assert request.status is not None
    where = [Where("status", "=", request.status), *_bounds(request, request.after)]
    where += _account(request)
    records = await ORDER_TABLE.search(
        store, *where, order_by=("payment_id",), limit=ROWS_MAX
    )  # fmt: skip
    found = [_of_record(one) for one in records]
    return _Looked(found, len(found) == ROWS_MAX, found[-1].payment_id if found else "")


def _account(request: ListPayments) -> list[Where]:
    named = (("payer", request.payer), ("payee", request.payee))
    return [Where(name, "=", value) for name, value in named if value is not None]


def _of_record(record: Record[PaymentState]) -> _Found:
    return _Found(record.key, record.app, brief_payment(record.state))


# Payments of one account: those made at once by its entries, the others by their own index.


async def _of_account(store: Store, app: str, request: ListPayments, account: str) -> PaymentList:
    entry, order_id = _place(request.after)
    if not request.after and request.since is not None:
        entry = await _entry_before(store, account, request.since)
    plain = await _by_entries(store, request, account, entry)
    where = [*_account(request), Where("one_shot", "=", False), *_bounds(request, order_id)]
    records = await ORDER_TABLE.search(store, *where, order_by=("payment_id",), limit=ROWS_MAX)
    orders = [_of_record(one) for one in records]
    orders_more = len(orders) == ROWS_MAX
    page: list[Payment] = []
    left, right = 0, 0
    while True:
        one, other = plain.found[left : left + 1], orders[right : right + 1]
        # The place of the page is an entry, so all payments of one change are on one page.
        if len(page) >= request.limit and not (one and one[0].entry == entry):
            break
        # What is not there yet may come before what is.
        if (not one and plain.more) or (not other and orders_more) or not (one or other):
            break
        if one and (not other or one[0].payment_id < other[0].payment_id):
            left, taken = left + 1, one[0]
            entry = taken.entry
        else:
            right, taken = right + 1, other[0]
            order_id = taken.payment_id
        if _is_wanted(app, request, taken):
            page.append(taken.payment)
    if left == len(plain.found):
        entry = max(entry, int(plain.last or 0))
    done = left == len(plain.found) and right == len(orders) and not (plain.more or orders_more)
    return PaymentList(payments=tuple(page), next_after=None if done else f"e{entry}.{order_id}")


def _place(after: str) -> tuple[int, str]:
    if not after:
        return 0, ""
    match = _CURSOR.match(after)
    if match is None:
        raise InvalidField(
            "after is no place in this list; take next_after as it is", field="after"
        )
    return int(match[1]), match[2]


async def _by_entries(store: Store, request: ListPayments, account: str, after: int) -> _Looked:
    """Return the payments that the entries after this one belong to; ``last`` is the last entry.

    The entry itself is read once more: others of its change are of payments that were returned.
    """
    rows = await store.fetch(
        Query(
            table="entry",
            columns=("number", "change_seq", "amount_minor"),
            where=(Where("account_id", "=", account), Where("number", ">", max(after - 1, 0))),
            order_by=("number",),
            limit=ENTRIES_MAX,
        )
    )
    known = {seq for number, seq, _ in rows if number <= after}
    first: dict[int, int] = {}
    for number, seq, amount in rows:
        if number > after and seq not in known and (amount < 0) == (request.payer is not None):
            first.setdefault(seq, number)
    found = await _made_in(store, first)
    kept = [
        row
        for row in found
        if row.status != ORDER_STATUS
        and account == (row.payer if request.payer is not None else row.payee)
    ]
    kept.sort(key=lambda row: (first[row.change_seq], row.payment_id))
    entries = {row.payment_id: first[row.change_seq] for row in kept}
    last = str(rows[-1][0]) if rows else ""
    over = request.until is not None and any(row.created_at >= request.until for row in kept)
    more = len(rows) == ENTRIES_MAX and not over
    return _Looked(await _with_states(store, kept, entries), more, last)


async def _entry_before(store: Store, account: str, since: datetime) -> int:
    """Return the number of the last entry that was made before a time, by halving.

    Entries are numbered without gaps and in the order of their changes, which have the time.
    """
    balances = await store.fetch(
        Query(
            table="balance",
            columns=("entries",),
            where=(Where("account_id", "=", account),),
        )
    )
    below, above = 0, (balances[0][0] if balances else 0) + 1
    while above - below > 1:
        middle = (below + above) // 2
        ((seq,),) = await store.fetch(
            Query(
                table="entry",
                columns=("change_seq",),
                where=(Where("account_id", "=", account), Where("number", "=", middle)),
            )
        )
        ((at,),) = await store.fetch(
            Query(table="change", columns=("at",), where=(Where("seq", "=", seq),))
        )
        if at < since:
            below = middle
        else:
            above = middle
    return below


async def _made_in(store: Store, seqs: dict[int, int]) -> list[PaymentRow]:
    """Return the payments that were made by these changes.

    The answer of `payment.create` names its payment; those of other operations, scenarios' for the
    most part, are looked up by the number of their change.
    """
    if not seqs:
        return []
    changes: list[tuple[Any, ...]] = await store.fetch(
        Query(
            table="change",
            columns=("seq", "operation", "answer"),
            where=(Where("seq", "in", list(seqs)),),
        )
    )
    names = [
        msgspec.json.decode(answer, type=_PaymentId).payment_id
        for _, operation, answer in changes
        if operation == "payment.create"
    ]
    others = [seq for seq, operation, _ in changes if operation != "payment.create"]
    rows = await read_rows(store, Where("payment_id", "in", names)) if names else []
    if others:
        rows += await read_rows(store, Where("change_seq", "in", others))
    return rows
