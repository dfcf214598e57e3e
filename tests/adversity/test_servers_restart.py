"""The servers die under a stream of payments, and come back: nothing is lost, doubled or hung."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from kernel.postgres_store import StoreStatistics
from loadtest.adversity.servers import OwnServers, kill_nats, kill_postgres, terminate_backends
from loadtest.adversity.stream import GRACE_S, PaymentStream, open_accounts
from schemas.errors import Unavailable
from tests.adversity.payment_stream import check_stream
from tests.adversity.server_faults import own_servers
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.node import NodeConfig, RunningNode, running_node

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.usefixtures("no_complaint_of_asyncpg"),
]

_WORKERS = 24
# What a call may take in all: half of the callers wait for the service to come back, the others
# give up first and must find out later.
_PATIENT_S, _IMPATIENT_S = 3.0, 0.15
_SERVES_AGAIN_S = 10.0
# Payments acknowledged before the fault, and after it.
_BEFORE, _AFTER = 300, 300


_FAULTS: dict[str, Callable[[OwnServers], Awaitable[None]]] = {
    "nats": kill_nats,
    "postgres": kill_postgres,
    "backends": terminate_backends,
}


@pytest.mark.parametrize("fault", list(_FAULTS))
async def test_stream_survives(tmp_path: Path, fault: str) -> None:
    """Acknowledged payments exist once, others at most once, and the node serves again soon."""
    async with own_servers(tmp_path) as servers:
        config = NodeConfig(name="n1", nats_url=servers.nats.url, postgres_dsn=servers.postgres.dsn)
        async with (
            running_node(config) as running,
            Client(app="shop", url=servers.nats.url, timeout_s=_PATIENT_S) as client,
            Client(app="shop", url=servers.nats.url, timeout_s=_IMPATIENT_S) as impatient,
        ):
            ((payer, payee),) = await open_accounts(client, 1)
            stream = PaymentStream([(payer, payee)])
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
            await eventually(running.is_ready, "the node is ready again")
            statistics = running.statistics()
            if fault == "nats":
                assert statistics.bus.reconnects > 0, "the fault was not felt"
            else:
                assert isinstance(statistics.store, StoreStatistics)
                assert statistics.store.writer_connects > 1, "the fault was not felt"
            standing = await check_stream(client, stream, servers.postgres.dsn)
            # The node asks by itself as well: it tells of the plan of packs.
            await eventually(lambda: running.statistics().node.waiting == 0, "nobody waits")
            _check_node(running)
            assert (await client.accounts.get(payee)).posted_minor == standing


def _check_node(running: RunningNode) -> None:
    statistics = running.statistics()
    assert statistics.node.waiting == 0
    assert statistics.edge.in_flight == 0
    assert statistics.ownership.lost == 0
    assert msgspec.json.encode(statistics)


async def test_calls_without_a_server_end_at_their_deadline(tmp_path: Path) -> None:
    """While Postgres is away every call ends in time with an error that says to try again."""
    async with own_servers(tmp_path) as servers:
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
                assert time.monotonic() - began_s <= 1.0 + GRACE_S

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
