"""Three nodes share the work: whatever happens to one of them or to the servers, money is whole."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from kernel.journal import JOURNAL_KEY, JOURNAL_KIND
from kernel.partition import PARTITIONS, partition_of
from loadtest.adversity.cluster import Cluster
from loadtest.adversity.servers import OwnServers, kill_nats, kill_postgres
from loadtest.adversity.stream import PaymentStream
from schemas.errors import ZhihuiError
from tests.adversity.node_processes import running_cluster
from tests.adversity.payment_stream import check_stream, open_accounts_everywhere
from tests.adversity.server_faults import own_servers
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.node import NodeConfig, running_node

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("no_complaint_of_asyncpg"),
]

_NAMES = ("n1", "n2", "n3")
_JOURNAL = partition_of(JOURNAL_KIND, JOURNAL_KEY)
_WORKERS = 12
# Half of the callers wait until the service is there again, the others give up and find out later.
_PATIENT_S, _IMPATIENT_S = 15.0, 0.3
# From a kill until all is served again: the lease, one look, and what a busy machine adds.
_SERVED_AGAIN_S_MAX = 12.0
# Payments acknowledged before a fault, and after it.
_BEFORE, _AFTER = 200, 200


class _Load:
    """A stream on a cluster, with the clients that keep it up."""

    def __init__(self, cluster: Cluster, client: Client, pairs: list[tuple[str, str]]) -> None:
        self.cluster = cluster
        self.client = client
        self.pairs = pairs
        self.stream = PaymentStream(pairs)

    async def go_on(self, count: int, what: str) -> None:
        """Wait until that many more payments are acknowledged."""
        wanted = len(self.stream.acknowledged) + count
        await eventually(lambda: len(self.stream.acknowledged) >= wanted, what, within_s=30)

    async def pay_everywhere(self) -> float:
        """Pay once through each partition; return the seconds until the last was answered."""
        began_s = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for pair in self.pairs:
                tasks.start_soon(self.stream.pay, self.client, pair, _PATIENT_S)
        return time.monotonic() - began_s


@asynccontextmanager
async def _load(cluster: Cluster) -> AsyncIterator[_Load]:
    """Keep up a stream for the time of the block, and check all of it at the end."""
    url = cluster.servers.nats.url
    async with (
        Client(app="shop", url=url, timeout_s=_PATIENT_S) as client,
        Client(app="shop", url=url, timeout_s=_IMPATIENT_S) as impatient,
    ):
        load = _Load(cluster, client, await open_accounts_everywhere(client))
        async with anyio.create_task_group() as tasks:
            for _ in range(_WORKERS // 2):
                tasks.start_soon(load.stream.work, client, _PATIENT_S)
                tasks.start_soon(load.stream.work, impatient, _IMPATIENT_S)
            await load.go_on(_BEFORE, "a stream")
            yield load
            await load.go_on(_AFTER, "the stream goes on")
            load.stream.stopped = True
        standing = await check_stream(client, load.stream, cluster.dsn)
        payee = load.pairs[0][1]
        assert (await client.accounts.get(payee)).posted_minor == standing


# The same answers.


async def _answers(client: Client) -> list[Any]:
    """Make requests of every outcome, one after the other; return what was answered."""
    names = [(await client.accounts.open(holder=f"h{n}", request_id=f"o{n}")) for n in range(8)]
    ids = [one.account_id for one in names]
    for number, account in enumerate(ids):
        await client.accounts.deposit(
            account, 100 + 100 * number, source="external:cash", request_id=f"d{number}"
        )
    answers: list[Any] = []
    for number in range(150):
        # Every seventh request is an earlier one again, every other of them with another amount.
        earlier = number - 3 if number % 7 == 6 else number
        payer, payee, request_id = ids[earlier % 8], ids[earlier * 3 % 8], f"p{earlier}"
        amount = 1 + earlier * 37 % 500 + (number % 14 == 13)
        try:
            payment = await client.payments.create(
                payer=payer, payee=payee, amount_minor=amount, request_id=request_id
            )
        except ZhihuiError as error:
            answers.append((request_id, error.code))
        else:
            answers.append(
                (request_id, ids.index(payment.payer), ids.index(payment.payee),
                 payment.amount_minor)
            )  # fmt: skip
    balances = [(await client.accounts.get(account)).posted_minor for account in ids]
    return [answers, balances]


async def test_three_nodes_answer_as_one_does(tmp_path: Path) -> None:
    """The same requests have the same outcomes and leave the same balances."""
    found = []
    for nodes in (1, 3):
        async with own_servers(tmp_path / str(nodes)) as servers, AsyncExitStack() as stack:
            for number in range(nodes):
                config = NodeConfig(
                    name=f"n{number}", nats_url=servers.nats.url, postgres_dsn=servers.postgres.dsn
                )
                await stack.enter_async_context(running_node(config))
            async with Client(app="shop", url=servers.nats.url) as client:
                found.append(await _answers(client))
            assert (await run_audit(servers.postgres.dsn)).ok
    alone, together = found
    assert together == alone
    codes = {one[1] for one in alone[0] if len(one) == 2}
    assert {"insufficient_funds", "conflict", "self_payment"} <= codes
    assert sum(alone[1]) == sum(100 + 100 * number for number in range(8))


# Nodes that die, stop, come and go.


async def _kill(load: _Load, victim: str) -> None:
    """Kill a node; all it owned is served again soon."""
    cluster = load.cluster
    os.kill(cluster.pid(victim), signal.SIGKILL)
    took: dict[str, float] = {}

    async def until_owned() -> None:
        took["owned"] = await cluster.wait_owned_by(cluster.running() - {victim})

    async def until_served() -> None:
        took["served"] = await load.pay_everywhere()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cluster.nodes[victim].wait_exit)
        tasks.start_soon(until_owned)
        tasks.start_soon(until_served)
    sys.stdout.write(
        f"killed {victim}: owned again after {took['owned']:.2f} s, "
        f"served again after {took['served']:.2f} s\n"
    )
    assert max(took.values()) <= _SERVED_AGAIN_S_MAX


async def test_any_node_may_be_killed(tmp_path: Path) -> None:
    """The node with the journal is killed, comes back, and another one is: nothing is lost."""
    async with running_cluster(tmp_path, _NAMES) as cluster, _load(cluster) as load:
        first = (await cluster.owners())[_JOURNAL]
        await _kill(load, first)
        await load.go_on(_AFTER, "two go on")
        await cluster.start(first)
        await load.go_on(_AFTER, "three go on")
        journal = (await cluster.owners())[_JOURNAL]
        second = next(name for name in _NAMES if name not in (first, journal))
        await _kill(load, second)
        assert load.stream.gave_up[_PATIENT_S] == 0, "who waits gets an answer"


async def test_a_node_that_slept_past_its_lease_commits_nothing(tmp_path: Path) -> None:
    """Stopped in the middle of its work and woken when others own it, it is fenced and rejoins."""
    async with running_cluster(tmp_path, _NAMES) as cluster, _load(cluster) as load:
        sleeper = (await cluster.owners())[_JOURNAL]
        epochs = await cluster.epochs()
        os.kill(cluster.pid(sleeper), signal.SIGSTOP)
        try:
            took_s = await cluster.wait_owned_by(cluster.running() - {sleeper})
            await load.go_on(_AFTER, "the others go on")
        finally:
            os.kill(cluster.pid(sleeper), signal.SIGCONT)
        await cluster.wait_shared()
        after = await cluster.epochs()
        assert all(after[number] >= epochs[number] for number in range(PARTITIONS))
        assert after[_JOURNAL] > epochs[_JOURNAL]
        statistics = (await cluster.statistics())[sleeper]
        sys.stdout.write(
            f"{sleeper} slept with the journal: owned by others after {took_s:.2f} s; "
            f"it lost {statistics['ownership']['lost']} partitions, "
            f"{statistics['store']['commits_failed']} of its commits were refused\n"
        )
        assert statistics["ownership"]["lost"] > 0
        assert statistics["ready"]


async def test_a_node_joins_and_another_leaves_under_load(tmp_path: Path) -> None:
    """The new one gets its share; the one that leaves hands over without a failed request."""
    async with (
        running_cluster(tmp_path, _NAMES, start=_NAMES[:2]) as cluster,
        _load(cluster) as load,
    ):
        await cluster.start("n3")
        await load.go_on(_AFTER, "three go on")
        leaves = (await cluster.owners())[_JOURNAL]
        took: list[float] = []

        async def until_owned() -> None:
            took.append(await cluster.wait_owned_by(set(_NAMES) - {leaves}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.nodes[leaves].stop)
            tasks.start_soon(until_owned)
        await load.go_on(_AFTER, "two go on")
        assert load.stream.gave_up[_PATIENT_S] == 0, "a request failed although nothing did"
        sys.stdout.write(f"{leaves} handed over the journal and the rest in {took[0]:.2f} s\n")


# Servers that die.


async def test_servers_may_restart_under_three_nodes(tmp_path: Path) -> None:
    """NATS and then Postgres are killed and come back: the stream goes on, and all is shared."""
    faults: dict[str, Callable[[OwnServers], Awaitable[None]]] = {
        "NATS": kill_nats,
        "Postgres": kill_postgres,
    }
    async with running_cluster(tmp_path, _NAMES) as cluster, _load(cluster) as load:
        for name, fault in faults.items():
            began_s = time.monotonic()
            await fault(cluster.servers)
            await load.go_on(_AFTER, f"the stream goes on after {name}")
            sys.stdout.write(f"{name} killed: back after {time.monotonic() - began_s:.2f} s\n")
            await cluster.wait_shared()
            assert cluster.running() == set(_NAMES)
