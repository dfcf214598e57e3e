"""Two nodes want the same partitions: one of them serves, and money moves once."""

from collections.abc import Callable

import anyio
import asyncpg
import pytest

from schemas.errors import NotReady, StaleOwner
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, RunningNode, running_node

pytestmark = pytest.mark.anyio


def _config(name: str, url: str, dsn: str) -> NodeConfig:
    return NodeConfig(name=name, nats_url=url, postgres_dsn=dsn, acquire_timeout_s=0.5)


async def test_second_node_says_who_is_there(nats_server: EmbeddedNats, postgres_dsn: str) -> None:
    """A node under another name does not start beside a living one, and does it no harm."""
    async with (
        running_node(_config("n1", nats_server.url, postgres_dsn)) as first,
        Client(app="shop", url=nats_server.url) as client,
    ):
        with pytest.raises(NotReady, match="'n1'"):
            async with running_node(_config("n2", nats_server.url, postgres_dsn)):
                raise AssertionError("two nodes own the same partitions")
        assert (await client.accounts.open(holder="Li")).status == "open"
        assert first.is_ready()


async def test_same_name_takes_over_in_the_middle_of_a_stream(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """A node started under the name of one that still runs replaces it; every answer is right.

    For a moment both hear the same frames: no caller may get another's answer.
    """
    asked_enough = False
    stopped = anyio.Event()
    ended: list[str] = []
    answered: dict[str, int] = {}

    async def serve(began: Callable[[RunningNode], None], name: str) -> None:
        try:
            async with running_node(_config("n1", nats_server.url, postgres_dsn)) as node:
                began(node)
                await stopped.wait()
        except StaleOwner:
            ended.append(name)

    async with Client(app="shop", url=nats_server.url, timeout_s=10) as client:
        nodes: list[RunningNode] = []
        numbers = iter(range(1, 10**6))

        async def work(payer: str, payee: str) -> None:
            while not asked_enough:
                number = next(numbers)
                payment = await client.payments.create(
                    payer=payer, payee=payee, amount_minor=number, request_id=f"r{number}"
                )
                assert payment.amount_minor == number, "another request's answer"
                assert payment.request_id == f"r{number}"
                answered[payment.payment_id] = number

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, nodes.append, "former")
            await eventually(lambda: len(nodes) == 1, "the first node")
            payer = (await client.accounts.open(holder="Li")).account_id
            payee = (await client.accounts.open(holder="Shop", type="merchant")).account_id
            await client.accounts.deposit(payer, 10**12, source="external:cash")
            async with anyio.create_task_group() as callers:
                for _ in range(16):
                    callers.start_soon(work, payer, payee)
                await eventually(lambda: len(answered) >= 200, "a stream")
                tasks.start_soon(serve, nodes.append, "successor")
                await eventually(lambda: ended == ["former"], "the former node ends by itself")
                wanted = len(answered) + 200
                await eventually(lambda: len(answered) >= wanted, "the stream goes on", within_s=10)
                asked_enough = True
            # The node ends after its callers: a request sent as it closes is no one's to answer.
            stopped.set()
    assert ended == ["former"]
    connection = await asyncpg.connect(postgres_dsn)
    try:
        rows = await connection.fetch("SELECT payment_id, amount_minor FROM zhihui.payment")
    finally:
        await connection.close()
    standing = {row["payment_id"]: row["amount_minor"] for row in rows}
    assert standing == answered
    assert sorted(standing.values()) == sorted(set(standing.values())), "a request paid twice"
    report = await run_audit(postgres_dsn)
    assert report.ok
