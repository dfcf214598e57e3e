"""Bad input through a real node: every code of the table, and never a crash, a hang or lost money.

Each code is provoked from outside where it can be. Some need the service in a state that no caller
can bring about (a full queue, a lost ownership, a fault of our own); it is arranged here, and the
answer still comes through the public door.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import asyncpg
import msgspec
import pytest
from nats import connect
from nats.aio.client import Client as NatsClient

from kernel.clock import SystemClock
from kernel.edge import ASK_AGAIN_S, EdgeLimits
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_LINKED_TYPE
from schemas.change import LinkedChanges
from schemas.errors import ERRORS, Forbidden, NotFound
from tests.changes import change, payments
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, RunningNode, running_node

pytestmark = pytest.mark.anyio

_PAY = "zh.v1.shop.payment.create"
_FUNDS = 10_000


class _Lab:
    """A node with two accounts, and how much each held before the bad input came."""

    def __init__(
        self,
        client: Client,
        bus: NatsClient,
        running: RunningNode,
        dsn: str,
        url: str,
        payer: str,
        payee: str,
    ) -> None:
        self.client = client
        # A connection that may send to any subject, which an app may not.
        self.bus = bus
        self.running = running
        self.dsn = dsn
        self.url = url
        self.payer = payer
        self.payee = payee
        self._paid = 0

    def payment(self, **fields: Any) -> bytes:
        good = {
            "request_id": self.client.new_request_id(), "payer": self.payer, "payee": self.payee,
            "amount_minor": 5,
        }  # fmt: skip
        return json.dumps(good | fields).encode()

    async def request(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the answer to a request, which comes well before the deadline."""
        answer = await self.bus.request(subject, body, timeout=10.0, headers=headers)
        return dict(json.loads(answer.data))

    async def error(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the error of a request, whose reply has exactly the shape of the contract."""
        answer = await self.request(subject, body, headers)
        assert set(answer) == {"ok", "error"}, answer
        assert answer["ok"] is False
        error = answer["error"]
        assert set(error) == {"code", "message", "field", "retryable", "retry_after_s"}
        kind = ERRORS[error["code"]]
        assert error["retryable"] is kind.retryable
        assert isinstance(error["message"], str)
        assert error["message"]
        assert error["field"] is None or isinstance(error["field"], str)
        if kind.retryable:
            assert error["retry_after_s"] > 0
        else:
            assert error["retry_after_s"] is None
        # Never what only we may know: no traceback, no address, no word of the database.
        for secret in ("Traceback", "zhihui.", "postgres", "asyncpg", self.dsn):
            assert secret not in error["message"]
        return dict(error)

    async def execute(self, sql: str, *arguments: Any) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(sql, *arguments)
        finally:
            await connection.close()

    async def check(self) -> None:
        """No money moved but that of earlier checks, the books are whole and the node serves."""
        balances = [
            (await self.client.accounts.get(one)).posted_minor for one in (self.payer, self.payee)
        ]
        assert balances == [_FUNDS - self._paid, self._paid]
        report = await run_audit(self.dsn)
        assert report.ok, [one.offences for one in report.checks if not one.ok]
        paid = await self.client.payments.create(payer=self.payer, payee=self.payee, amount_minor=1)
        assert paid.status == "succeeded"
        self._paid += 1
        assert self.running.is_ready()
        assert self.running.statistics().bus.reconnects == 0
        assert self.running.edge.in_flight() == 0


@pytest.fixture(scope="module")
async def lab(module_nats_server: EmbeddedNats, module_postgres_dsn: str) -> AsyncIterator[_Lab]:
    """One node for all of the bad input: whatever came before, it must serve the next."""
    nats, dsn = module_nats_server, module_postgres_dsn
    async with _running(nats, dsn) as one:
        yield one


@asynccontextmanager
async def _running(nats: EmbeddedNats, dsn: str) -> AsyncIterator[_Lab]:
    config = NodeConfig(name="n1", nats_url=nats.url, postgres_dsn=dsn)
    async with running_node(config) as running, Client(app="shop", url=nats.url) as client:
        payer = await client.accounts.open(holder="Li")
        payee = await client.accounts.open(holder="Shop", type="merchant")
        await client.accounts.deposit(payer.account_id, _FUNDS, source="external:unionpay")
        bus = await connect(nats.url)
        try:
            yield _Lab(client, bus, running, dsn, nats.url, payer.account_id, payee.account_id)
        finally:
            await bus.close()


async def _malformed_message(lab: _Lab) -> dict[str, Any]:
    return await lab.error(_PAY, b'{"request_id":')


async def _invalid_field(lab: _Lab) -> dict[str, Any]:
    error = await lab.error(_PAY, lab.payment(amount_minor=-1))
    assert error["field"] == "amount_minor"
    return error


async def _message_too_large(lab: _Lab) -> dict[str, Any]:
    return await lab.error(_PAY, b" " * 1_048_576)


async def _unknown_operation(lab: _Lab) -> dict[str, Any]:
    return await lab.error("zh.v1.shop.payment.destroy", lab.payment())


async def _unsupported_currency(lab: _Lab) -> dict[str, Any]:
    error = await lab.error(_PAY, lab.payment(currency="USD"))
    assert error["field"] == "currency"
    return error


async def _self_payment(lab: _Lab) -> dict[str, Any]:
    return await lab.error(_PAY, lab.payment(payee=lab.payer))


async def _conflict(lab: _Lab) -> dict[str, Any]:
    opening = {"request_id": "o-1", "holder": "Wang"}
    await lab.request("zh.v1.shop.account.open", json.dumps(opening).encode())
    error = await lab.error(_PAY, lab.payment(request_id="o-1"))
    assert error["field"] == "request_id"
    return error


async def _not_found(lab: _Lab) -> dict[str, Any]:
    error = await lab.error(_PAY, lab.payment(payer="acct_nobody"))
    assert error["field"] == "payer"
    return error


async def _invalid_state(lab: _Lab) -> dict[str, Any]:
    closed = await lab.client.accounts.open(holder="Closed")
    await lab.client.accounts.close(closed.account_id)
    return await lab.error(_PAY, lab.payment(payee=closed.account_id))


async def _insufficient_funds(lab: _Lab) -> dict[str, Any]:
    body = lab.payment(amount_minor=_FUNDS + 1)
    error = await lab.error(_PAY, body)
    assert await lab.error(_PAY, body) == error
    return error


async def _balance_limit(lab: _Lab) -> dict[str, Any]:
    # Nothing public opens an account with a ceiling yet.
    bounded = await lab.client.accounts.open(holder="Bounded")
    await lab.execute(
        "UPDATE zhihui.account SET ceiling_minor = 4 WHERE account_id = $1", bounded.account_id
    )
    lab.running._book.forget()
    return await lab.error(_PAY, lab.payment(payee=bounded.account_id))


async def _limit_exceeded(lab: _Lab) -> dict[str, Any]:
    wanted = {"request_id": "m-1", "account_id": lab.payer, "per_payment_minor": 1}
    given = await lab.client.call("mandate", "create", wanted)
    body = lab.payment(method="seamless", mandate_id=given["mandate_id"], amount_minor=2)
    return await lab.error(_PAY, body)


async def _risk_declined(lab: _Lab) -> dict[str, Any]:
    # Betting, which the default rules refuse.
    return await lab.error(_PAY, lab.payment(merchant_category="7995"))


async def _step_up_required(lab: _Lab) -> dict[str, Any]:
    # A first payment of 50,000 yuan to somebody, without a factor.
    return await lab.error(_PAY, lab.payment(amount_minor=5_000_000))


async def _ineligible(lab: _Lab) -> dict[str, Any]:
    # An app may not agree on a fee below the bank's floor.
    settle_to = {"type": "account", "account_id": lab.payer}
    terms = {"cycle": "T+1", "settle_to": settle_to, "fee": {"ppm": 1}}
    body = {"request_id": "s-1", "account_id": lab.payee, "name": "Shop", "terms": terms}
    return await lab.error("zh.v1.shop.merchant.create", json.dumps(body).encode())


async def _channel_unavailable(lab: _Lab) -> dict[str, Any]:
    # This node was given no channels.
    body = json.loads(lab.payment(funding=[{"type": "channel"}]))
    del body["payer"]
    return await lab.error(_PAY, json.dumps(body).encode())


async def _busy(lab: _Lab) -> dict[str, Any]:
    # Room for two requests instead of thousands.
    edge, limits = lab.running.edge, lab.running.edge._limits
    edge._limits = EdgeLimits(in_flight_max=2)
    body = json.dumps({"account_id": lab.payer}).encode()
    subject = "zh.v1.shop.account.get"
    answers = await asyncio.gather(*(lab.request(subject, body) for _ in range(50)))
    edge._limits = limits
    refused = [one["error"] for one in answers if not one["ok"]]
    assert refused
    assert {one["code"] for one in refused} == {"busy"}
    assert len(refused) < len(answers)
    return dict(refused[0])


async def _not_ready(lab: _Lab) -> dict[str, Any]:
    # As between the beginning of an ordered stop and its end.
    lab.running.edge.accepting = False
    error = await lab.error(_PAY, lab.payment())
    lab.running.edge.accepting = True
    return error


async def _deadline_exceeded(lab: _Lab) -> dict[str, Any]:
    return await lab.error(_PAY, lab.payment(), {"Zh-Deadline-Ms": "1600000000000"})


async def _internal(lab: _Lab) -> dict[str, Any]:
    # A fault of our own: the rows of payments have nowhere to go.
    await lab.execute("ALTER TABLE zhihui.payment RENAME TO lost")
    error = await lab.error(_PAY, lab.payment())
    await lab.execute("ALTER TABLE zhihui.lost RENAME TO payment")
    await eventually(
        lambda: lab.running.dead_letters.statistics().waiting == 0, "the dead letter is kept"
    )
    assert lab.running.dead_letters.statistics().recorded == 1
    return error


async def _forbidden(lab: _Lab) -> dict[str, Any]:
    # The broker's own answer, which the client turns into the error: no node is asked.
    bare = f"nats://{lab.url.rpartition('@')[2]}"
    with pytest.raises(Forbidden) as caught:
        await Client(app="shop", url=bare).__aenter__()
    return dict(msgspec.to_builtins(caught.value.body()))


async def _throttled(lab: _Lab) -> dict[str, Any]:
    await lab.execute("INSERT INTO zhihui.app VALUES ('shop', '', 1, 0, now(), NULL, NULL)")
    throttle, store = lab.running.throttle, lab.running._store
    await throttle.load(store)
    subject = "zh.v1.shop.account.get"
    body = json.dumps({"account_id": lab.payer}).encode()
    answers = await asyncio.gather(*(lab.request(subject, body) for _ in range(20)))
    await lab.execute("DELETE FROM zhihui.app")
    await throttle.load(store)
    refused = [one["error"] for one in answers if not one["ok"]]
    assert {one["code"] for one in refused} == {"throttled"}
    assert len(refused) < len(answers)
    return dict(refused[0])


async def _stale_owner(lab: _Lab) -> dict[str, Any]:
    # With more time the edge asks again until the node has its partitions back. On a busy machine
    # the little time that is left here may pass before anything is asked.
    error: dict[str, Any] = {}
    for _ in range(50):
        await lab.execute(
            "UPDATE zhihui.partition SET epoch = epoch + 1, owner = '', lease_until = 'epoch'"
        )
        soon_ms = SystemClock().now_ms() + int(ASK_AGAIN_S * 1000)
        error = await lab.error(_PAY, lab.payment(), {"Zh-Deadline-Ms": str(soon_ms)})
        await eventually(lambda: lab.running.ownership.statistics().owned == 64, "taken back")
        if error["code"] == "stale_owner":
            break
        assert error["code"] == "deadline_exceeded"
    return error


_PROVOKED: dict[str, Callable[[_Lab], Awaitable[dict[str, Any]]]] = {
    "malformed_message": _malformed_message,
    "invalid_field": _invalid_field,
    "message_too_large": _message_too_large,
    "unknown_operation": _unknown_operation,
    "unsupported_currency": _unsupported_currency,
    "self_payment": _self_payment,
    "conflict": _conflict,
    "not_found": _not_found,
    "invalid_state": _invalid_state,
    "insufficient_funds": _insufficient_funds,
    "balance_limit": _balance_limit,
    "limit_exceeded": _limit_exceeded,
    "ineligible": _ineligible,
    "risk_declined": _risk_declined,
    "step_up_required": _step_up_required,
    "channel_unavailable": _channel_unavailable,
    "busy": _busy,
    "not_ready": _not_ready,
    "deadline_exceeded": _deadline_exceeded,
    "internal": _internal,
    "forbidden": _forbidden,
    "throttled": _throttled,
    "stale_owner": _stale_owner,
}
# No request of a caller is answered with it, so it has a test of its own.
_PROVOKED_APART = {"linked_failed"}


def test_every_code_is_provoked() -> None:
    """A new code of the table needs a request here that provokes it."""
    assert set(_PROVOKED) | _PROVOKED_APART == set(ERRORS)


@pytest.mark.parametrize("code", sorted(_PROVOKED))
async def test_code_is_answered_and_no_money_moves(lab: _Lab, code: str) -> None:
    """The code comes in the shape of the contract; no money moved, and the node still serves."""
    assert (await _PROVOKED[code](lab))["code"] == code
    await lab.check()


async def test_linked_failed_is_remembered_of_the_others_of_a_chain(lab: _Lab) -> None:
    """The caller hears why the chain fell; that it fell is what its other members are told."""
    chain = LinkedChanges(
        (
            change("c-1", payments("c-1", ((lab.payer, lab.payee, 5),))),
            change("c-2", payments("c-2", ((lab.payer, "acct_nobody", 5),))),
        )
    )
    deadline_ms = SystemClock().now_ms() + 10_000
    with pytest.raises(NotFound):
        await lab.running.node.ask(
            JOURNAL_KIND, JOURNAL_KEY, JOURNAL_LINKED_TYPE, chain, app="shop",
            deadline_ms=deadline_ms,
        )  # fmt: skip
    connection = await asyncpg.connect(lab.dsn)
    try:
        rows = await connection.fetch(
            "SELECT request_id, outcome FROM zhihui.change WHERE request_id LIKE 'c-%'"
        )
    finally:
        await connection.close()
    assert {row[0]: row[1] for row in rows} == {"c-1": "linked_failed", "c-2": "not_found"}
    await lab.check()


async def test_nothing_that_a_caller_sends_stops_the_service(lab: _Lab) -> None:
    """Bodies and subjects of every wrong kind: a typed error each, and the node serves on."""
    bodies = [
        (b"", "malformed_message"),
        (b"\xff\xfe", "malformed_message"),
        (b'{"reference":"\xed\xa0\x80"}', "malformed_message"),
        (b"[" * 60_000, "invalid_field"),
        (b'{"request_id":' + b"[" * 60_000, "invalid_field"),
        (b'{"request_id":"' + b"x" * 60_000 + b'"}', "invalid_field"),
        (b"null", "invalid_field"),
        (lab.payment(extra=1), "invalid_field"),
        (lab.payment(amount_minor=0), "invalid_field"),
        (lab.payment(amount_minor=2**53 + 1), "invalid_field"),
        (lab.payment(amount_minor=2**63), "invalid_field"),
        (lab.payment(amount_minor=10**30), "invalid_field"),
        (lab.payment(amount_minor=1.5), "invalid_field"),
        (lab.payment(amount_minor="5"), "invalid_field"),
        (lab.payment(amount_minor=True), "invalid_field"),
        (lab.payment(reference="\0"), "invalid_field"),
        (lab.payment(currency="CNY\0"), "unsupported_currency"),
        (b"x" * 2_000_000, "message_too_large"),
    ]
    for body, code in bodies:
        error = await lab.error(_PAY, body)
        assert error["code"] == code, (body[:80], error)
    subjects = ["zh.v1.shop", "zh.v1.shop.payment", "zh.v1.SHOP.payment.create"]
    subjects += ["zh.v1.a.b.c.d", "zh.v1." + "x" * 3_000 + ".payment.create"]
    for subject in subjects:
        error = await lab.error(subject, lab.payment())
        assert error["code"] == "unknown_operation", (subject, error)
    for value in ("", "soon", "-1", "1" * 4_000):
        error = await lab.error(_PAY, lab.payment(), {"Zh-Deadline-Ms": value})
        assert error["field"] == "Zh-Deadline-Ms"
    await lab.check()


async def test_reads_take_no_harm_from_their_input(lab: _Lab) -> None:
    """No read can be made to crash an actor, and none tells of what belongs to another app."""
    restarts = _restarts(lab)
    reads: list[tuple[str, dict[str, Any], str]] = [
        ("account.get", {"account_id": "nobody"}, "not_found"),
        ("account.get", {"account_id": "external:cash"}, "not_found"),
        ("account.get", {"account_id": "'; DROP TABLE zhihui.entry; --"}, "invalid_field"),
        ("account.statement", {"account_id": "nobody"}, "not_found"),
        ("account.statement", {"account_id": lab.payer, "limit": 501}, "invalid_field"),
        ("account.statement", {"account_id": lab.payer, "limit": 0}, "invalid_field"),
        ("account.statement", {"account_id": lab.payer, "after": -1}, "invalid_field"),
        ("account.statement", {"account_id": lab.payer, "after": 2**63}, "invalid_field"),
        ("account.statement", {"account_id": lab.payer, "after": 2**64}, "invalid_field"),
        ("account.statement", {"account_id": lab.payer, "after": 10**40}, "invalid_field"),
        ("payment.get", {}, "invalid_field"),
        ("payment.get", {"payment_id": "a", "request_id": "b"}, "invalid_field"),
        ("payment.get", {"payment_id": "nobody"}, "not_found"),
        ("payment.get", {"request_id": "nobody"}, "not_found"),
        ("payment.get", {"payment_id": None, "request_id": ""}, "invalid_field"),
        ("parking.get", {"plate": "x"}, "invalid_field"),
    ]
    for name, fields, code in reads:
        error = await lab.error(f"zh.v1.shop.{name}", json.dumps(fields).encode())
        assert error["code"] == code, (name, fields, error)
    for name in ("account.get", "account.statement"):
        foreign = await lab.error(
            f"zh.v1.gym.{name}", json.dumps({"account_id": lab.payer}).encode()
        )
        assert foreign["code"] == "not_found"
    far = {"account_id": lab.payer, "after": 2**53}
    page = await lab.request("zh.v1.shop.account.statement", json.dumps(far).encode())
    assert page["result"]["entries"] == []
    assert _restarts(lab) == restarts
    await lab.check()


def _restarts(lab: _Lab) -> dict[str, int]:
    return {one.kind: one.restarts for one in lab.running.statistics().hosts}


async def test_app_cannot_spend_what_is_not_its_own(lab: _Lab) -> None:
    """The app in the subject decides whose accounts may be debited, whatever the body says."""
    for app in ("gym", "shop2", "sho"):
        error = await lab.error(f"zh.v1.{app}.payment.create", lab.payment())
        assert (error["code"], error["field"]) == ("not_found", "payer")
    for app in ("shop", "gym", "bank", "external", "zhihui"):
        # Not the platform's own accounts either, under whatever name.
        answer = await lab.request(
            f"zh.v1.{app}.payment.create", lab.payment(payer="external:cash")
        )
        assert answer["ok"] is False, app
    await lab.check()


def _raw(subject: bytes, body: bytes, reply: bytes = b"") -> bytes:
    target = subject + b" " + reply if reply else subject
    return b"PUB %s %d\r\n%s\r\n" % (target, len(body), body)


async def test_no_client_of_the_bus_can_stop_the_intake(lab: _Lab) -> None:
    """Subjects that no client library would send, and frames that no node sends, harm nobody."""
    parts = urlsplit(lab.url)
    login = {"verbose": False, "headers": True, "user": parts.username, "pass": parts.password}
    async with await anyio.connect_tcp("127.0.0.1", parts.port or 0) as stream:
        await stream.receive()
        await stream.send(f"CONNECT {json.dumps(login)}\r\n".encode())
        for subject in (b"zh.v1.\xff.a.b", b"zh.v1.a\x0bb.c.d", b"zh.v1.\xe2\x80\xa8.a.b"):
            await stream.send(_raw(subject, b"{}", b"nowhere"))
            await stream.send(_raw(subject, b"{}", b"\xff"))
        for data in (b"", b"\xff" * 100, b"\x94\x01\xa1\xff\x90\x90", b"\x91" * 100_000):
            await stream.send(_raw(b"zh.node.v1.n1", data))
        await stream.send(_raw(b"zh.relay.v1.n1.x", b"{"))
        await stream.send(_raw(b"$SRV.PING", b"{", b"zh.v1.shop.payment.create"))
        await stream.send(b"PING\r\n")
        received = b""
        while b"PONG" not in received:
            received += await stream.receive()
    await lab.check()
