"""Reads from a store in memory: payments by the request that made them, whatever that was."""

from typing import Any

import msgspec
import pytest

from actors.accounts import QueryActor
from actors.payments import PAYMENT_TABLE
from kernel.actor import Delivery
from kernel.book import TableRows
from kernel.store import Commit
from schemas.envelope import Envelope
from schemas.payments import GetPayment, Payment
from tests.changes import AT, Answers
from tests.memory_store import MemoryStore

pytestmark = pytest.mark.anyio

_FAR_MS = 4_102_444_800_000
_CHANGE = ("app", "request_id", "seq", "operation", "digest", "outcome", "answer", "at")


def _payment(payment_id: str, seq: int, app: str = "shop") -> tuple[Any, ...]:
    return (seq, payment_id, app, "r", "quick", "succeeded", "a", "b", 5, "CNY", "", AT)


async def _ask(app: str, request_id: str) -> str:
    """Return the id of the payment that is found, or the code of the error."""
    store = MemoryStore({0: 1})
    answer = '{"payment_id":"pay-1","status":"succeeded"}'
    changes = [
        ("shop", "r1", 1, "payment.create", b"", "committed", answer, AT),
        ("shop", "r2", 2, "parking.exit", b"", "committed", '{"plate":"B"}', AT),
        ("shop", "r3", 3, "payment.create", b"", "not_found", '{"code":"not_found"}', AT),
        ("shop", "r4", 4, "parking.exit", b"", "committed", '{"plate":"B"}', AT),
    ]
    # Those of r2 are written in no order.
    payments = [_payment("pay-1", 1), _payment("pay-3", 2), _payment("pay-2", 2)]
    columns = ("change_seq", *PAYMENT_TABLE.columns)
    await store.commit(
        Commit(
            {},
            [
                TableRows("change", _CHANGE, (), changes),
                TableRows("payment", columns, (), payments),
            ],
        )
    )
    answers = Answers()
    body = msgspec.Raw(msgspec.msgpack.encode(GetPayment(request_id=request_id)))
    envelope = Envelope("query", "", "payment.get", app, _FAR_MS, "n1", 7, body)
    await QueryActor(store).receive_batch([Delivery(envelope, answers)])
    reply = answers.replies[7]
    if not reply.ok:
        return answers.error(7).code
    return msgspec.msgpack.decode(reply.body, type=Payment).payment_id


@pytest.mark.parametrize(
    ("app", "request_id", "found"),
    [
        ("shop", "r1", "pay-1"),
        ("shop", "r2", "pay-2"),
        ("shop", "r3", "not_found"),
        ("shop", "r4", "not_found"),
        ("shop", "r5", "not_found"),
        ("gym", "r1", "not_found"),
        ("gym", "r2", "not_found"),
    ],
)
async def test_a_payment_is_found_by_the_request_that_made_it(
    app: str, request_id: str, found: str
) -> None:
    """Of `payment.create` it is the answer, of a scenario's operation the first of its payments."""
    assert await _ask(app, request_id) == found
