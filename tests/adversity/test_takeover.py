"""Nodes that come, go and replace each other under load: money moves once, and callers wait."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import asyncpg
import pytest

from kernel.partition import PARTITIONS
from schemas.errors import StaleOwner
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, RunningNode, running_node

pytestmark = pytest.mark.anyio

# A lease and what follows it, on a machine that is shared with others.
_SOON_S = 15.0


class _Nodes:
    """Nodes of this process, by the order in which they came."""

    def __init__(self, url: str, dsn: str, tasks: anyio.abc.TaskGroup) -> None:
        self._url = url
        self._dsn = dsn
        self._tasks = tasks
        self.running: list[RunningNode] = []
        self.replaced: list[RunningNode] = []
        self.stopped: list[RunningNode] = []
        self._stops: list[anyio.Event] = []

    async def start(self, name: str) -> RunningNode:
        """Return a node that takes requests."""
        count = len(self.running)
        self._tasks.start_soon(self._serve, name)
        await eventually(
            lambda: len(self.running) > count, f"a node named {name}", within_s=_SOON_S
        )
        return self.running[-1]

    async def _serve(self, name: str) -> None:
        stop = anyio.Event()
        node = None
        try:
            config = NodeConfig(name=name, nats_url=self._url, postgres_dsn=self._dsn)
            async with running_node(config) as node:
                self.running.append(node)
                self._stops.append(stop)
                await stop.wait()
        except StaleOwner:
            assert node is not None
            self.replaced.append(node)
        else:
            self.stopped.append(node)

    async def stop(self, node: RunningNode) -> None:
        """Stop a node in order."""
        self.stop_nowait(node)
        await eventually(lambda: node in self.stopped, "an ordered stop", within_s=_SOON_S)

    def stop_nowait(self, node: RunningNode) -> None:
        """Tell a node to stop."""
        self._stops[self.running.index(node)].set()


class _Stream:
    """Payments of 16 callers, each with an amount of its own, and what they heard."""

    def __init__(self, client: Client, payer: str, payee: str) -> None:
        self._client = client
        self._payer = payer
        self._payee = payee
        self._number = 0
        self.answered: dict[str, int] = {}
        self.is_enough = False

    async def work(self) -> None:
        """Pay until it is enough; every answer is that of the request."""
        while not self.is_enough:
            self._number += 1
            number = self._number
            payment = await self._client.payments.create(
                payer=self._payer, payee=self._payee, amount_minor=number, request_id=f"r{number}"
            )
            assert payment.amount_minor == number, "another request's answer"
            assert payment.request_id == f"r{number}"
            self.answered[payment.payment_id] = number

    async def goes_on(self, count: int = 200) -> None:
        """Wait for so many answers more."""
        wanted = len(self.answered) + count
        await eventually(
            lambda: len(self.answered) >= wanted, "the stream goes on", within_s=_SOON_S
        )


@asynccontextmanager
async def _bank(url: str, dsn: str) -> AsyncIterator[tuple[_Nodes, Client]]:
    """Yield nodes to be started and a client; check the books at the end."""
    async with (
        Client(app="shop", url=url, timeout_s=20) as client,
        anyio.create_task_group() as tasks,
    ):
        nodes = _Nodes(url, dsn, tasks)
        yield nodes, client
        for node in nodes.running:
            nodes.stop_nowait(node)
    report = await run_audit(dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]


async def _under_load(client: Client, dsn: str, act: Callable[[_Stream], Awaitable[None]]) -> None:
    """Do something while payments are made; then compare what was answered with what stands."""
    payer = (await client.accounts.open(holder="Li")).account_id
    payee = (await client.accounts.open(holder="Shop", type="merchant")).account_id
    await client.accounts.deposit(payer, 10**12, source="external:cash")
    stream = _Stream(client, payer, payee)
    async with anyio.create_task_group() as callers:
        for _ in range(16):
            callers.start_soon(stream.work)
        await stream.goes_on()
        await act(stream)
        await stream.goes_on()
        # The nodes end after their callers: a request sent as they close is no one's to answer.
        stream.is_enough = True
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT payment_id, amount_minor FROM zhihui.payment")
    finally:
        await connection.close()
    standing = {row["payment_id"]: row["amount_minor"] for row in rows}
    assert standing == stream.answered
    assert sorted(standing.values()) == sorted(set(standing.values())), "a request paid twice"


async def test_same_name_takes_over_in_the_middle_of_a_stream(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """A node started under the name of one that still runs replaces it; every answer is right.

    For a moment both hear the same frames: no caller may get another's answer.
    """
    async with _bank(nats_server.url, postgres_dsn) as (nodes, client):
        former = await nodes.start("n1")

        async def replace(stream: _Stream) -> None:
            del stream
            await nodes.start("n1")
            await eventually(
                lambda: nodes.replaced == [former], "the former node ends by itself", within_s=5
            )

        await _under_load(client, postgres_dsn, replace)
        assert nodes.running[-1].ownership.statistics().lost == 0


async def test_processes_of_one_name_do_not_fight(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """Each one that comes ends the one before it, and the last one is left in peace."""
    async with _bank(nats_server.url, postgres_dsn) as (nodes, client):
        for _ in range(2):
            await nodes.start("n1")
        last = await nodes.start("n1")
        await eventually(
            lambda: nodes.replaced == nodes.running[:2], "the former ones end", within_s=_SOON_S
        )
        before = last.ownership.owned()
        assert len(before) == PARTITIONS
        for _ in range(5):
            await last.ownership._tick()
        assert last.ownership.owned() == before
        assert (await client.accounts.open(holder="Li")).status == "open"
        assert last.is_ready()


async def test_another_name_shares_in_the_middle_of_a_stream(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """A second node takes half, and gives it back when it leaves; no request is lost or doubled."""
    async with _bank(nats_server.url, postgres_dsn) as (nodes, client):
        first = await nodes.start("n1")

        async def share(stream: _Stream) -> None:
            second = await nodes.start("n2")
            for node in (first, second):
                await eventually(
                    lambda node=node: len(node.ownership.owned()) == PARTITIONS // 2,
                    "each owns a half",
                    within_s=_SOON_S,
                )
            await stream.goes_on()
            assert first.is_ready()
            assert second.is_ready()
            await nodes.stop(second)
            await eventually(
                lambda: len(first.ownership.owned()) == PARTITIONS,
                "the first one owns all",
                within_s=_SOON_S,
            )

        await _under_load(client, postgres_dsn, share)
        assert first.ownership.statistics().lost == 0, "all was given and nothing taken"


async def test_first_node_leaves_in_the_middle_of_a_stream(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """The one that owned the journal hands everything over, its own questions included."""
    async with _bank(nats_server.url, postgres_dsn) as (nodes, client):
        first = await nodes.start("n1")

        async def replace(stream: _Stream) -> None:
            second = await nodes.start("n2")
            await stream.goes_on()
            await nodes.stop(first)
            await eventually(
                lambda: len(second.ownership.owned()) == PARTITIONS,
                "the second one owns all",
                within_s=_SOON_S,
            )
            await stream.goes_on()
            third = await nodes.start("n0")
            await eventually(
                lambda: len(third.ownership.owned()) == PARTITIONS // 2,
                "the third one owns a half",
                within_s=_SOON_S,
            )

        await _under_load(client, postgres_dsn, replace)
