"""Many timers at once, and timers whose node leaves or dies: each has its effect once."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import anyio
import anyio.abc
import pytest

from loadtest.adversity.stream import PaymentStream, open_accounts
from tests.adversity.payment_stream import check_stream
from tests.alarms import APP, Bell, alarm_node, rings, set_timers, timer, timers_left
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import RunningNode

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_ROOT = Path(__file__).parents[2]
_FLOOD = 10_000
_A_CHANGE = 250
_WORKERS = 8
_PATIENT_S = 10.0


def _request_id(name: str, due_at: datetime) -> str:
    return f"~timer.{name}.{int(due_at.timestamp() * 1000)}"


async def _set_many(running: RunningNode, count: int, due_at: datetime, account: str) -> set[str]:
    """Set timers that are due at one moment; return the request ids of their rings."""
    names = [f"t{number}" for number in range(count)]
    for start in range(0, count, _A_CHANGE):
        part = names[start : start + _A_CHANGE]
        await set_timers(running, f"set-{start}", [timer(n, due_at, account) for n in part])
    return {_request_id(name, due_at) for name in names}


async def _due(due_at: datetime) -> None:
    await eventually(lambda: datetime.now(UTC) > due_at, "they are due", within_s=30)


async def _none_left(dsn: str, within_s: float) -> None:
    async def ended() -> bool:
        return await timers_left(dsn) == 0

    await eventually(ended, "all timers are ended", within_s=within_s)


@pytest.mark.timeout(180)
async def test_a_flood_after_an_outage_leaves_room_for_payments(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """Ten thousand timers due at once ring once each, and payments are answered meanwhile."""
    url, bell = nats_server.url, Bell()
    async with Client(app=APP, url=url, timeout_s=_PATIENT_S) as client:
        async with alarm_node("n1", url, postgres_dsn, bell) as running:
            pairs = await open_accounts(client, _WORKERS)
            account = (await client.accounts.open(holder="Bell")).account_id
            stream = PaymentStream(pairs)
            async with _paying(stream, client):
                await eventually(lambda: len(stream.acknowledged) >= 800, "a stream", within_s=30)
            alone = stream.latencies_s[200:]
            due_at = datetime.now(UTC) + timedelta(seconds=6)
            expected = await _set_many(running, _FLOOD, due_at, account)
        assert bell.attempts == [], "the timers were due before all were set: too slow a machine"
        await _due(due_at)
        stream.stopped, stream.latencies_s = False, []
        async with alarm_node("n1", url, postgres_dsn, bell) as running:
            began_s, before = time.monotonic(), len(stream.acknowledged)
            async with _paying(stream, client):
                await eventually(
                    lambda: running.timers.statistics().fired == _FLOOD, "a flood", within_s=90
                )
            took_s = time.monotonic() - began_s
            await _none_left(postgres_dsn, 10)
            assert running.timers.statistics().in_flight == 0
            assert not stream.unknown, "payments went without an answer"
            assert len(stream.acknowledged) - before >= _WORKERS
            await check_stream(client, stream, postgres_dsn)
    assert await rings(postgres_dsn) == dict.fromkeys(expected, 1)
    during = stream.latencies_s
    sys.stdout.write(
        f"{_FLOOD / took_s:,.0f} timers a second beside {len(during) / took_s:,.0f} payments; "
        f"median answer {median(during) * 1000:.1f} ms during, {median(alone) * 1000:.1f} ms "
        f"without: ratio {median(during) / median(alone):.2f}; longest {max(during):.2f} s\n"
    )


@asynccontextmanager
async def _paying(stream: PaymentStream, client: Client) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        for _ in range(_WORKERS):
            tasks.start_soon(stream.work, client, _PATIENT_S)
        yield
        stream.stopped = True


async def test_timers_of_a_node_that_leaves_ring_on_another(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """What was set while two nodes share, and is due when one is left, rings once."""
    url, bell = nats_server.url, Bell()
    async with alarm_node("n1", url, postgres_dsn, bell) as stays:
        async with alarm_node("n2", url, postgres_dsn, bell) as leaves:
            await _shared(stays, leaves)
            async with Client(app=APP, url=url) as client:
                account = (await client.accounts.open(holder="Bell")).account_id
            due_at = datetime.now(UTC) + timedelta(seconds=2)
            expected = await _set_many(stays, 500, due_at, account)
            # Up to now nothing was due. Some are read already when the second node leaves.
        await eventually(
            lambda: stays.timers.statistics().fired + leaves.timers.statistics().fired == 500,
            "all rings",
            within_s=30,
        )
        assert leaves.timers.statistics().in_flight == 0
        await _none_left(postgres_dsn, 10)
    assert await rings(postgres_dsn) == dict.fromkeys(expected, 1)
    assert sorted(bell.attempts) == sorted(expected), "an ordered leave repeats nothing"
    assert (await run_audit(postgres_dsn)).ok


async def _shared(first: RunningNode, second: RunningNode) -> None:
    await eventually(
        lambda: len(first.ownership.owned()) == len(second.ownership.owned()) == 32,
        "equal shares",
        within_s=20,
    )


@pytest.mark.timeout(120)
async def test_timers_of_a_node_that_is_killed_ring_once(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """A node is killed in the middle of its timers: the other one finishes, nothing twice."""
    url, bell, count = nats_server.url, Bell(), 3_000
    async with alarm_node("n1", url, postgres_dsn, bell) as stays:
        async with _killable_node("n2", url, postgres_dsn) as other:
            await eventually(
                lambda: len(stays.ownership.owned()) == 32, "equal shares", within_s=30
            )
            async with Client(app=APP, url=url) as client:
                account = (await client.accounts.open(holder="Bell")).account_id
            due_at = datetime.now(UTC) + timedelta(seconds=3)
            expected = await _set_many(stays, count, due_at, account)
            await _due(due_at)
            await eventually(lambda: len(bell.attempts) >= 300, "some rings", within_s=30)
            other.kill()
            await other.wait()
        killed_in_the_middle = len(await rings(postgres_dsn))
        await _none_left(postgres_dsn, 40)
        found = await rings(postgres_dsn)
        assert found == dict.fromkeys(expected, 1)
        again = len(bell.attempts) - len(set(bell.attempts))
        sys.stdout.write(
            f"{killed_in_the_middle} of {count} had rung at the kill; {again} were tried again\n"
        )
    report = await run_audit(postgres_dsn)
    assert report.ok
    assert report.totals.dead_letters == 0


@asynccontextmanager
async def _killable_node(name: str, url: str, dsn: str) -> AsyncIterator[anyio.abc.Process]:
    async with await anyio.open_process(
        [sys.executable, "-m", "tests.alarms", name, url, dsn],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            said = await process.stdout.receive()
            assert said == b"ready\n", said
            yield process
        finally:
            if process.returncode is None:
                process.kill()
