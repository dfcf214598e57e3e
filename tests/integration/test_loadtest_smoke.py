"""The harness against real servers: the baseline keeps the product's contract, and rows add up."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import nats
import pytest
from nats.aio.client import Client as NatsClient

from loadtest.baseline.service import install
from loadtest.cost import Reading, read_costs
from loadtest.lean import NO_RESPONDERS, LeanClient
from loadtest.plan import Plan
from loadtest.processes import run_generator, running_service
from loadtest.raw_limit import measure_raw_limit
from loadtest.seed import seed
from loadtest.workload import OPENING_MINOR, Population, payee_id, payer_id
from zhihui.audit import run_audit
from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE

pytestmark = pytest.mark.anyio

_PEOPLE = Population(payers=1000, payees=20)
_SUBJECT = "zh.baseline.v1.bench.payment.create"


@pytest.fixture
async def baseline_pid(postgres_dsn: str, nats_url: str, tmp_path: Path) -> AsyncIterator[int]:
    """The baseline service on a seeded database, in a process of its own."""
    await seed(postgres_dsn, _PEOPLE)
    await install(postgres_dsn)
    async with running_service(
        ["loadtest.baseline.service"],
        name="baseline",
        log=tmp_path / "log",
        environment={NATS_URL_VARIABLE: nats_url, POSTGRES_DSN_VARIABLE: postgres_dsn},
    ) as pid:
        yield pid


class _Caller:
    """An ordinary client of the baseline."""

    def __init__(self, bus: NatsClient) -> None:
        self._bus = bus

    async def send(self, body: bytes, *, app: str = "bench") -> dict[str, Any]:
        subject = f"zh.baseline.v1.{app}.payment.create"
        reply = await self._bus.request(subject, body, timeout=10)
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        return answer

    async def pay(self, *, app: str = "bench", **fields: object) -> dict[str, Any]:
        body = {
            "request_id": str(uuid.uuid4()),
            "payer": payer_id(1),
            "payee": payee_id(1),
            "amount_minor": 100,
        }
        return await self.send(msgspec.json.encode(body | fields), app=app)


@pytest.fixture
async def caller(baseline_pid: int, nats_url: str) -> AsyncIterator[_Caller]:
    bus = await nats.connect(nats_url)
    try:
        yield _Caller(bus)
    finally:
        await bus.close()


async def test_load_leaves_as_many_rows_as_answers(
    baseline_pid: int, postgres_dsn: str, nats_url: str, tmp_path: Path
) -> None:
    """After a second of load every acknowledged payment is stored, and the audit holds."""
    phases: list[str] = []
    readings: list[Reading] = []
    connection = await asyncpg.connect(postgres_dsn)

    async def on_phase(phase: str) -> None:
        phases.append(phase)
        readings.append(
            await read_costs(connection, service_pid=baseline_pid, nats_pid=None, postgres_pid=None)
        )

    plan = Plan(
        url=nats_url,
        subject=_SUBJECT,
        in_flight=32,
        warmup_s=0.2,
        seconds=1.0,
        population=_PEOPLE,
    )
    try:
        result = await run_generator(plan, log=tmp_path / "generator.log", on_phase=on_phase)
    finally:
        await connection.close()
    assert phases == ["measuring", "measured"]
    assert result.ok > 0
    assert result.rejected == result.failed == result.timed_out == result.total_unknown == 0
    assert 0 < result.p50_ms <= result.p99_ms <= result.max_ms
    assert (readings[1].service_s or 0) > (readings[0].service_s or 0)
    report = await run_audit(postgres_dsn)
    assert report.ok, [check for check in report.checks if not check.ok]
    assert report.totals.payments == result.total_ok


async def test_a_replay_gets_the_first_answer_and_another_body_a_conflict(
    caller: _Caller, postgres_dsn: str
) -> None:
    """The baseline is idempotent, also for one id sent many times at once."""
    answers = await asyncio.gather(*[caller.pay(request_id="same") for _ in range(20)])
    assert answers[0]["ok"]
    assert all(answer == answers[0] for answer in answers)
    conflict = await caller.pay(request_id="same", amount_minor=101)
    assert conflict["error"]["code"] == "conflict"
    other_payer = await caller.pay(request_id="same", payer=payer_id(2))
    assert other_payer["error"]["code"] == "conflict"
    assert (await run_audit(postgres_dsn)).totals.payments == 1


async def test_one_id_for_different_accounts_at_once_pays_once(caller: _Caller) -> None:
    """Requests that share an id and no lock meet at the unique key: one stands, all get answers."""
    for attempt in range(5):
        answers = await asyncio.gather(
            *[
                caller.pay(request_id=f"race-{attempt}", payer=payer_id(n), payee=payee_id(n))
                for n in range(1, 13)
            ]
        )
        codes = [answer["error"]["code"] for answer in answers if not answer["ok"]]
        assert codes == ["conflict"] * 11


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"payer": "nobody"}, "not_found", "payer"),
        ({"payee": "nobody"}, "not_found", "payee"),
        ({"payer": "external:cash"}, "not_found", "payer"),
        ({"payee": payer_id(1)}, "self_payment", "payee"),
        ({"amount_minor": OPENING_MINOR + 1}, "insufficient_funds", "payer"),
        ({"currency": "USD"}, "unsupported_currency", "currency"),
        ({"app": "stranger"}, "not_found", "payer"),
    ],
)
async def test_a_rejection_has_the_products_code_and_stays(
    caller: _Caller, fields: dict[str, Any], code: str, field: str
) -> None:
    """What the product rejects the baseline rejects, and again when it is sent again."""
    first = await caller.pay(request_id="rejected", **fields)
    assert first["error"]["code"] == code
    assert first["error"]["field"] == field
    assert not first["error"]["retryable"]
    assert await caller.pay(request_id="rejected", **fields) == first


async def test_limits_and_status_of_accounts_are_checked(
    caller: _Caller, postgres_dsn: str
) -> None:
    """A ceiling and a closed account stop a payment."""
    connection = await asyncpg.connect(postgres_dsn)
    status = "UPDATE zhihui.account SET status = $1 WHERE account_id = $2"
    try:
        await connection.execute(
            "UPDATE zhihui.account SET ceiling_minor = 99 WHERE account_id = $1", payee_id(1)
        )
        await connection.execute(status, "closed", payee_id(2))
        assert (await caller.pay(payee=payee_id(1)))["error"]["code"] == "balance_limit"
        assert (await caller.pay(payee=payee_id(2)))["error"]["code"] == "invalid_state"
        assert (await caller.pay(payee=payee_id(3)))["ok"]
        # As it was, for the audit knows of no decision that changed it.
        await connection.execute(status, "open", payee_id(2))
    finally:
        await connection.close()
    assert (await run_audit(postgres_dsn)).ok


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_message"),
        (b"{", "malformed_message"),
        (b"\xff", "malformed_message"),
        (b"[]", "invalid_field"),
        (b'{"request_id":"a","payer":"b","payee":"c","amount_minor":-1}', "invalid_field"),
        (b'{"request_id":"a","payer":"b","payee":"c","amount_minor":1,"x":1}', "invalid_field"),
    ],
)
async def test_bad_bodies_are_answered(caller: _Caller, body: bytes, code: str) -> None:
    """A body that is no payment gets a typed error."""
    assert (await caller.send(body))["error"]["code"] == code


async def test_nobody_listening_is_told_at_once(nats_url: str) -> None:
    """The lean client hears from the server that a subject has no subscriber."""
    replies: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
    client = await LeanClient.connect(
        nats_url,
        on_reply=lambda token, body: replies.put_nowait((token, body)),
        on_lost=lambda _error: None,
        timeout_s=5,
    )
    try:
        client.send_nowait(client.prepare("nobody.here"), 5, b"{}")
        async with asyncio.timeout(5):
            assert await replies.get() == (5, NO_RESPONDERS)
    finally:
        client.close()


async def test_the_raw_limit_writes_a_ledger_that_holds(postgres_dsn: str) -> None:
    """What is written past all checks still adds up, so it is the same work."""
    await seed(postgres_dsn, _PEOPLE)
    limit = await measure_raw_limit(postgres_dsn, seconds=0.05, population=_PEOPLE, seed=1)
    report = await run_audit(postgres_dsn)
    assert report.ok, [check for check in report.checks if not check.ok]
    assert report.totals.payments == limit.payments > 0
