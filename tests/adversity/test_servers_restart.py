"""The servers die under a stream of payments, and come back: nothing is lost, doubled or hung."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import msgspec
import pytest

from schemas.errors import NotFound, Unavailable
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.postgres_server import EmbeddedPostgres
from zhihui.migrate import migrate
from zhihui.node import NodeConfig, RunningNode, running_node

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_WORKERS = 24
_FUNDS = 10**9
# What a call may take in all: half of the callers wait for the service to come back, the others
# give up first and must find out later. And the second beyond that a busy machine may add.
_PATIENT_S, _IMPATIENT_S = 3.0, 0.15
_GRACE_S = 1.0
_SERVES_AGAIN_S = 10.0
# Payments acknowledged before the fault, and after it.
_BEFORE, _AFTER = 300, 300


@pytest.fixture(autouse=True)
async def no_complaint_of_asyncpg() -> AsyncIterator[None]:
    """Pass over a future that asyncpg forgets when its server dies in the middle of a COPY.

    The commit itself fails as it should; the future says the same once more, to nobody.
    """
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), asyncpg.ConnectionDoesNotExistError):
            return
        assert handler is not None
        handler(loop, context)

    loop.set_exception_handler(handle)
    yield
    gc.collect()
    loop.set_exception_handler(handler)


class _Servers:
    def __init__(self, nats: EmbeddedNats, postgres: EmbeddedPostgres) -> None:
        self.nats = nats
        self.postgres = postgres


class _Stream:
    """Workers that pay one unit after the other, each under an id of its own."""

    def __init__(self, payer: str, payee: str) -> None:
        self._payer = payer
        self._payee = payee
        self._number = 0
        self.stopped = False
        self.acknowledged: dict[str, str] = {}
        self.unknown: list[str] = []

    async def work(self, client: Client, timeout_s: float) -> None:
        while not self.stopped:
            self._number += 1
            request_id = f"stream-{self._number}"
            began_s = time.monotonic()
            try:
                payment = await client.payments.create(
                    payer=self._payer, payee=self._payee, amount_minor=1, request_id=request_id
                )
            except Unavailable:
                self.unknown.append(request_id)
            else:
                self.acknowledged[request_id] = payment.payment_id
            assert time.monotonic() - began_s <= timeout_s + _GRACE_S


@asynccontextmanager
async def _servers(folder: Path) -> AsyncIterator[_Servers]:
    nats, postgres = EmbeddedNats(folder / "nats"), EmbeddedPostgres(folder / "postgres")
    try:
        await nats.start()
        await postgres.start()
        await migrate(postgres.dsn)
        yield _Servers(nats, postgres)
    finally:
        with anyio.CancelScope(shield=True):
            await nats.stop()
            await postgres.stop()


async def _kill_nats(servers: _Servers) -> None:
    await servers.nats.kill()
    await servers.nats.start()


async def _kill_postgres(servers: _Servers) -> None:
    await servers.postgres.kill()
    await servers.postgres.start()


async def _terminate_backends(servers: _Servers) -> None:
    connection = await asyncpg.connect(servers.postgres.dsn)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


_FAULTS: dict[str, Callable[[_Servers], Awaitable[None]]] = {
    "nats": _kill_nats,
    "postgres": _kill_postgres,
    "backends": _terminate_backends,
}


@pytest.mark.parametrize("fault", list(_FAULTS))
async def test_stream_survives(tmp_path: Path, fault: str) -> None:
    """Acknowledged payments exist once, others at most once, and the node serves again soon."""
    async with _servers(tmp_path) as servers:
        config = NodeConfig(name="n1", nats_url=servers.nats.url, postgres_dsn=servers.postgres.dsn)
        async with (
            running_node(config) as running,
            Client(app="shop", url=servers.nats.url, timeout_s=_PATIENT_S) as client,
            Client(app="shop", url=servers.nats.url, timeout_s=_IMPATIENT_S) as impatient,
        ):
            payer = (await client.accounts.open(holder="Li")).account_id
            payee = (await client.accounts.open(holder="Shop", type="merchant")).account_id
            await client.accounts.deposit(payer, _FUNDS, source="external:cash")
            stream = _Stream(payer, payee)
            async with anyio.create_task_group() as tasks:
                for _ in range(_WORKERS // 2):
                    tasks.start_soon(stream.work, client, _PATIENT_S)
                    tasks.start_soon(stream.work, impatient, _IMPATIENT_S)
                await eventually(
                    lambda: len(stream.acknowledged) >= _BEFORE, "a stream", within_s=20
                )
                await _FAULTS[fault](servers)
                wanted = len(stream.acknowledged) + _AFTER
                await eventually(
                    lambda: len(stream.acknowledged) >= wanted,
                    "the stream goes on after the fault",
                    within_s=_SERVES_AGAIN_S,
                )
                stream.stopped = True
            assert stream.unknown or fault == "backends", "nobody gave up: a fault was missing"
            await eventually(running.is_ready, "the node is ready again")
            standing = await _check(client, stream, servers.postgres.dsn)
            _check_node(running)
            assert (await client.accounts.get(payee)).posted_minor == standing


async def _check(client: Client, stream: _Stream, dsn: str) -> int:
    """Compare what the callers were told with what stands; return how many payments do."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT request_id, payment_id FROM zhihui.payment")
    finally:
        await connection.close()
    standing = {row["request_id"]: row["payment_id"] for row in rows}
    assert len(standing) == len(rows), "a request was paid twice"
    assert stream.acknowledged.items() <= standing.items(), "an acknowledged payment is lost"
    assert set(standing) <= stream.acknowledged.keys() | set(stream.unknown)
    # What nobody heard of is found by its request id, or was never begun; and it stays so.
    for request_id in stream.unknown:
        try:
            found = await client.payments.get(request_id=request_id)
        except NotFound:
            assert request_id not in standing
        else:
            assert found.payment_id == standing[request_id]
    for request_id, payment_id in list(stream.acknowledged.items())[:20]:
        again = await client.payments.get(request_id=request_id)
        assert again.payment_id == payment_id
    report = await run_audit(dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]
    assert report.totals.payments == len(standing)
    assert report.totals.dead_letters == 0, "an outage is no fault of a message"
    return len(standing)


def _check_node(running: RunningNode) -> None:
    statistics = running.statistics()
    assert statistics.node.waiting == 0
    assert statistics.edge.in_flight == 0
    assert statistics.ownership.lost == 0
    assert msgspec.json.encode(statistics)


async def test_calls_without_a_server_end_at_their_deadline(tmp_path: Path) -> None:
    """While Postgres is away every call ends in time with an error that says to try again."""
    async with _servers(tmp_path) as servers:
        config = NodeConfig(name="n1", nats_url=servers.nats.url, postgres_dsn=servers.postgres.dsn)
        async with (
            running_node(config) as running,
            Client(app="shop", url=servers.nats.url, timeout_s=1.0) as client,
        ):
            account = (await client.accounts.open(holder="Li")).account_id
            await client.accounts.deposit(account, 100, source="external:cash")
            await servers.postgres.kill()
            answered: list[str] = []

            async def call(action: Callable[[], Awaitable[object]]) -> None:
                began_s = time.monotonic()
                with pytest.raises(Unavailable) as caught:
                    await action()
                answered.append(caught.value.code)
                assert time.monotonic() - began_s <= 1.0 + _GRACE_S

            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(call, lambda: client.accounts.get(account))
                    tasks.start_soon(
                        call,
                        lambda n=number: client.accounts.deposit(
                            account, 1, source="external:cash", request_id=f"away-{n}"
                        ),
                    )
            assert len(answered) == 40
            await eventually(lambda: not running.is_ready(), "the node says it is not ready")
            await servers.postgres.start()
            await eventually(running.is_ready, "the node is ready again", within_s=_SERVES_AGAIN_S)
            for number in range(20):
                await client.accounts.deposit(
                    account, 1, source="external:cash", request_id=f"away-{number}"
                )
            assert (await client.accounts.get(account)).posted_minor == 120
            report = await run_audit(servers.postgres.dsn)
            assert report.ok
            assert report.totals.dead_letters == 0
