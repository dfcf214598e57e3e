"""The durable intake on real servers: done once, answered once, and nothing lost on the way."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg
import msgspec
import nats
import pytest
from nats.aio.client import Client as NatsClient

from kernel import intake
from kernel.clock import SystemClock
from kernel.jetstream import JetStreams
from kernel.nats_bus import NatsBus
from kernel.randomness import IdFactory, SystemRandomness
from schemas.errors import Busy, MessageTooLarge
from schemas.requests import RequestRejected, RequestSucceeded, intake_subject
from schemas.subjects import DEAD_LETTER_STREAM, INTAKE_STREAM
from tests.eventually import eventually
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, RunningNode, running_node

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_WITHIN_S = 30.0


class _Lab:
    """A node, a client, and what stands in the database and in the streams."""

    def __init__(self, url: str, dsn: str, running: RunningNode, client: Client) -> None:
        self.url = url
        self.dsn = dsn
        self.running = running
        self.client = client

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def answers(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return type, request id and data of all answer events, in order."""
        rows = await self.rows(
            "SELECT type, subject, data FROM zhihui.event WHERE type LIKE 'request.%' ORDER BY seq"
        )
        return [(row[0], row[1], json.loads(row[2])) for row in rows]

    async def wait_answers(self, count: int) -> list[tuple[str, str, dict[str, Any]]]:
        """Return the answers once there are so many and the queue is empty."""

        async def there() -> bool:
            return len(await self.answers()) >= count

        await eventually(there, f"{count} answers", within_s=_WITHIN_S)
        await self.wait_empty()
        return await self.answers()

    async def wait_empty(self) -> None:
        """Return when nothing is left in the intake."""

        async def empty() -> bool:
            return await stream_size(self.url, INTAKE_STREAM) == 0

        await eventually(empty, "the intake is empty", within_s=_WITHIN_S)

    async def letters(self) -> list[Any]:
        """Return all dead letters."""
        return await read_letters(self.url)


async def stream_size(url: str, stream: str) -> int:
    """Return how many messages a stream holds."""
    connection = await nats.connect(url)
    try:
        return (await connection.jetstream().stream_info(stream)).state.messages
    finally:
        await connection.close()


async def read_letters(url: str) -> list[Any]:
    """Return all dead letters of the stream."""
    clock = SystemClock()
    async with NatsBus(url, name="letters", clock=clock) as bus:
        streams = JetStreams("letters", bus, IdFactory(clock, SystemRandomness()))
        letters = []
        letter = await streams.read_next(DEAD_LETTER_STREAM, 1)
        while letter is not None:
            letters.append(letter)
            letter = await streams.read_next(DEAD_LETTER_STREAM, letter.seq + 1)
        return letters


@asynccontextmanager
async def _lab(url: str, dsn: str) -> AsyncIterator[_Lab]:
    config = NodeConfig(name="n1", nats_url=url, postgres_dsn=dsn)
    async with running_node(config) as running, Client(app="shop", url=url) as client:
        await eventually(
            lambda: running.intake.statistics().open, "the intake is open", within_s=_WITHIN_S
        )
        yield _Lab(url, dsn, running, client)


@asynccontextmanager
async def _plain(url: str) -> AsyncIterator[NatsClient]:
    connection = await nats.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _accounts(client: Client, funds: int) -> tuple[str, str]:
    """Return a payer with money and a payee."""
    payer = (await client.accounts.open(holder="Li Lei")).account_id
    payee = (await client.accounts.open(holder="Han Mei")).account_id
    await client.accounts.deposit(payer, funds, source="external:cash")
    return payer, payee


async def test_published_request_is_done_and_answered(nats_url: str, postgres_dsn: str) -> None:
    """What was published is done, and its answer is one event with the result of a reply."""
    async with _lab(nats_url, postgres_dsn) as lab:
        payer, payee = await _accounts(lab.client, 1_000)
        payment = {"request_id": "p-1", "payer": payer, "payee": payee, "amount_minor": 250}
        await lab.client.publish("payment", "create", payment)
        ((type_, subject, data),) = await lab.wait_answers(1)
        assert (type_, subject) == ("request.succeeded", "p-1")
        answer = msgspec.convert(data, RequestSucceeded)
        assert (answer.request_id, answer.operation) == ("p-1", "payment.create")
        asked = await lab.client.call("payment", "create", payment)
        assert answer.result == asked
        assert (await lab.client.accounts.get(payee)).posted_minor == 250
        # The event goes to the stream of events like any other.
        async with _plain(lab.url) as connection:
            subscription = await connection.jetstream().pull_subscribe(
                "zh.evt.v1.shop.request.>", stream="ZHIHUI_EVENTS"
            )
            (message,) = await subscription.fetch(1, timeout=10)
            assert json.loads(message.data)["data"] == data


async def test_duplicates_are_done_and_answered_once(nats_url: str, postgres_dsn: str) -> None:
    """However often the same message is published, it has one effect and one answer."""
    async with _lab(nats_url, postgres_dsn) as lab:
        payer, payee = await _accounts(lab.client, 1_000)
        for _ in range(3):
            for number in range(5):
                payment = {
                    "request_id": f"p-{number}", "payer": payer, "payee": payee, "amount_minor": 10,
                }  # fmt: skip
                await lab.client.publish("payment", "create", payment)
        answers = await lab.wait_answers(5)
        assert Counter(subject for _, subject, _ in answers) == {f"p-{n}": 1 for n in range(5)}
        assert (await lab.client.accounts.get(payee)).posted_minor == 50
        assert await lab.letters() == []


async def test_rejection_is_an_answer(nats_url: str, postgres_dsn: str) -> None:
    """What the books refuse is answered with its error, and is no dead letter."""
    async with _lab(nats_url, postgres_dsn) as lab:
        payer, payee = await _accounts(lab.client, 10)
        payment = {"request_id": "p-1", "payer": payer, "payee": payee, "amount_minor": 11}
        await lab.client.publish("payment", "create", payment)
        ((type_, _, data),) = await lab.wait_answers(1)
        assert type_ == "request.rejected"
        assert msgspec.convert(data, RequestRejected).error.code == "insufficient_funds"
        assert await lab.letters() == []


async def test_each_message_of_a_conflict_is_answered(nats_url: str, postgres_dsn: str) -> None:
    """Another body under a used id is told to be a conflict, and a mended one is answered too."""
    async with _lab(nats_url, postgres_dsn) as lab:
        payer, payee = await _accounts(lab.client, 100)
        payment = {"request_id": "p-1", "payer": payer, "payee": payee, "amount_minor": 5}
        await lab.client.publish("payment", "create", {**payment, "payee": payer})
        await lab.wait_answers(1)
        for amount in (5, 6, 5, 6):
            await lab.client.publish("payment", "create", {**payment, "amount_minor": amount})
            await lab.wait_empty()
        answers = await lab.wait_answers(3)
        codes = [data.get("error", {}).get("code") for _, _, data in answers]
        assert codes == ["self_payment", None, "conflict"]
        assert (await lab.client.accounts.get(payee)).posted_minor == 5


# Subject, body, and code; the request id when somebody can be told.
_POISON = [
    ("shop.payment.create", b"\xff\x00 no JSON", "malformed_message", ""),
    ("shop.payment.create", b'{"request_id":"bad-1","payer":"a"}', "invalid_field", "bad-1"),
    ("shop.payment.undo", b'{"request_id":"bad-2"}', "unknown_operation", "bad-2"),
    ("shop.payment.create", b" " * (65 * 1024), "message_too_large", ""),
    # A read has nobody to answer to.
    ("shop.account.get", b'{"account_id":"a"}', "unknown_operation", ""),
    ("shop", b'{"request_id":"bad-3"}', "unknown_operation", ""),
    ("bank.payment.create", b'{"request_id":"bad-4"}', "unknown_operation", ""),
    ("Shop.payment.create", b'{"request_id":"bad-5"}', "unknown_operation", ""),
]


async def test_poison_becomes_a_dead_letter(nats_url: str, postgres_dsn: str) -> None:
    """What nobody can process is kept with its bytes and its reason, and told where possible."""
    async with _lab(nats_url, postgres_dsn) as lab:
        async with _plain(lab.url) as connection:
            for subject, body, _, _ in _POISON:
                await connection.jetstream().publish(f"zh.in.v1.{subject}", body)
        await lab.wait_empty()
        letters = {letter.body: letter for letter in await lab.letters()}
        assert len(letters) == len(_POISON)
        for subject, body, code, _ in _POISON:
            letter = letters[body]
            assert letter.subject == f"zh.dead.v1.{subject}"
            assert letter.headers["Zh-Code"] == code
            assert letter.headers["Zh-Subject"] == f"zh.in.v1.{subject}"
            assert letter.headers["Zh-Deliveries"] == "1"
            assert letter.headers["Zh-Reason"]
        told = {(one, data["error"]["code"]) for _, one, data in await lab.answers()}
        assert told == {(known, code) for _, _, code, known in _POISON if known}


async def test_failing_actor_makes_a_dead_letter_after_some_attempts(
    nats_url: str, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes an actor fail is tried five times; busy in between does not count."""
    monkeypatch.setattr(intake, "PUT_BACK_S", 0.01)
    async with _lab(nats_url, postgres_dsn) as lab:
        tries: list[str] = []
        await lab.client.publish("account", "open", {"request_id": "o-1", "holder": "Li Lei"})
        ((type_, _, _),) = await lab.wait_answers(1)
        assert type_ == "request.succeeded"
        host = next(host for host in lab.running.node.hosts if host.kind == "account")
        deliver = host.deliver

        def poisoned(delivery: Any) -> None:
            tries.append("busy" if len(tries) % 2 else "internal")
            if tries[-1] == "busy":
                delivery.fail(Busy("just now", retry_after_s=0.0))
                return
            delivery.envelope = msgspec.structs.replace(delivery.envelope, type="account.fly")
            deliver(delivery)

        monkeypatch.setattr(host, "deliver", poisoned)
        await lab.client.publish("account", "open", {"request_id": "o-2", "holder": "Li Lei"})
        answers = await lab.wait_answers(2)
        assert answers[1][0] == "request.rejected"
        assert answers[1][2]["error"]["code"] == "internal"
        (letter,) = await lab.letters()
        assert letter.headers["Zh-Code"] == "internal"
        assert Counter(tries)["internal"] == 5
        assert letter.headers["Zh-Deliveries"] == "9"


async def test_intake_waits_for_a_node(nats_url: str, postgres_dsn: str) -> None:
    """What is published while no node runs is kept, and done when one does."""
    async with _lab(nats_url, postgres_dsn):
        pass
    async with Client(app="shop", url=nats_url) as client:
        for number in range(20):
            opening = {"request_id": f"o-{number}", "holder": "Li Lei"}
            await client.publish("account", "open", opening)
    assert await stream_size(nats_url, INTAKE_STREAM) == 20
    async with _lab(nats_url, postgres_dsn) as lab:
        answers = await lab.wait_answers(20)
        assert {subject for _, subject, _ in answers} == {f"o-{n}" for n in range(20)}


async def test_too_large_is_told_to_the_publisher(nats_url: str, postgres_dsn: str) -> None:
    """What no request can need is refused when it is published, with a typed error."""
    async with _lab(nats_url, postgres_dsn) as lab:
        opening = {"request_id": "o-1", "holder": "x" * 100_000}
        with pytest.raises(MessageTooLarge):
            await lab.client.publish("account", "open", opening)


async def test_stopping_node_finishes_what_it_fetched(nats_url: str, postgres_dsn: str) -> None:
    """A node that stops in the middle leaves nothing half done: the next one does the rest."""
    async with _lab(nats_url, postgres_dsn) as lab:
        await _publish_openings(lab.url, 0, 999)
        await eventually(lambda: lab.running.intake.statistics().fetched > 0, "it has begun")
    async with _lab(nats_url, postgres_dsn) as lab:
        answers = await lab.wait_answers(1_000)
        assert len({subject for _, subject, _ in answers}) == len(answers) == 1_000
        (row,) = await lab.rows("SELECT count(*) FROM zhihui.account WHERE app = 'shop'")
        assert row[0] == 1_000


async def _publish_openings(url: str, first: int, last: int) -> None:
    async with _plain(url) as connection:
        stream = connection.jetstream()
        subject = intake_subject("shop", "account", "open")
        async with anyio.create_task_group() as tasks:
            for number in range(first, last + 1):
                body = b'{"request_id":"o-%d","holder":"Li Lei"}' % number
                tasks.start_soon(stream.publish, subject, body)


async def test_killed_nats_costs_nothing(nats_server: EmbeddedNats, postgres_dsn: str) -> None:
    """NATS dies with requests under way and comes back: each is done and answered once."""
    async with _lab(nats_server.url, postgres_dsn) as lab:
        await _publish_openings(lab.url, 1, 1_000)
        # In the middle of it, or after it where the machine was quick; both must be survived.
        await nats_server.kill()
        await nats_server.start()

        async def published() -> bool:
            try:
                await _publish_openings(lab.url, 1_001, 1_100)
            except ExceptionGroup:
                return False
            return True

        await eventually(published, "JetStream serves again", within_s=_WITHIN_S)

        async def answered() -> bool:
            return len({subject for _, subject, _ in await lab.answers()}) == 1_100

        await eventually(answered, "all are answered", within_s=60.0)
        await lab.wait_empty()
        assert len(await lab.answers()) == 1_100
        (row,) = await lab.rows("SELECT count(*) FROM zhihui.account WHERE app = 'shop'")
        assert row[0] == 1_100


async def test_nodes_share_the_intake(nats_url: str, postgres_dsn: str) -> None:
    """Two nodes fetch at one place; when one leaves in the middle, the other does the rest."""
    second = NodeConfig(name="n2", nats_url=nats_url, postgres_dsn=postgres_dsn)
    async with _lab(nats_url, postgres_dsn) as lab:
        async with running_node(second) as other:
            await eventually(
                lambda: other.intake.statistics().open, "both are open", within_s=_WITHIN_S
            )
            await _publish_openings(nats_url, 1, 1_000)
            await eventually(
                lambda: other.intake.statistics().fetched > 0, "both fetch", within_s=_WITHIN_S
            )
        answers = await lab.wait_answers(1_000)
        assert len({subject for _, subject, _ in answers}) == len(answers) == 1_000
        assert await lab.letters() == []
