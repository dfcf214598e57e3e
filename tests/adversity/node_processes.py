"""Several nodes as processes on servers of the test's own, and who owns what."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import msgspec
import nats

from kernel.partition import PARTITIONS
from tests.adversity.server_faults import OwnServers, own_servers
from tests.eventually import eventually
from zhihui.embedded._node_process import NodeProcess
from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE

__all__ = ("Cluster", "running_cluster")

# Starting takes a second or two of a quiet machine, and so does sharing; a busy one several times
# that.
_SHARED_S = 40.0


class Cluster:
    """Nodes by name. Those not started yet, or killed, have no pid."""

    def __init__(self, folder: Path, servers: OwnServers, names: Sequence[str]) -> None:
        self.servers = servers
        variables = {
            NATS_URL_VARIABLE: servers.nats.url,
            POSTGRES_DSN_VARIABLE: servers.postgres.dsn,
        }
        self.nodes = {
            name: NodeProcess(name, data_dir=folder, variables=variables, arguments=())
            for name in names
        }

    @property
    def dsn(self) -> str:
        """The address of the database."""
        return self.servers.postgres.dsn

    async def start(self, *names: str) -> None:
        """Start these nodes at once, and wait until all that run share."""
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(self.nodes[name].start)
        await self.wait_shared()

    def pid(self, name: str) -> int:
        """Return the process id of a node that runs."""
        pid = self.nodes[name].pid
        assert pid is not None, f"{name} does not run"
        return pid

    def running(self) -> set[str]:
        """Return the names of the nodes that run."""
        return {name for name, node in self.nodes.items() if node.pid is not None}

    async def owners(self) -> dict[int, str]:
        """Return who owns each partition; those without a living owner are not there."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch(
                "SELECT p.partition, p.owner FROM zhihui.partition AS p"
                " JOIN zhihui.node AS n ON n.name = p.owner"
                " WHERE greatest(p.lease_until, n.lives_until) > clock_timestamp()"
            )
        finally:
            await connection.close()
        return {row[0]: row[1] for row in rows}

    async def epochs(self) -> dict[int, int]:
        """Return the epoch of each partition."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch("SELECT partition, epoch FROM zhihui.partition")
        finally:
            await connection.close()
        return {row[0]: row[1] for row in rows}

    async def statistics(self) -> dict[str, dict[str, Any]]:
        """Return what each node that runs says of itself."""
        client = await nats.connect(self.servers.nats.url)
        try:
            inbox = client.new_inbox()
            subscription = await client.subscribe(inbox)
            await client.publish("$SRV.STATS.zhihui", b"", reply=inbox)
            found: dict[str, dict[str, Any]] = {}
            while not self.running() <= found.keys():
                answer = msgspec.json.decode((await subscription.next_msg(timeout=10)).data)
                found[answer["metadata"]["node"]] = answer["node"]
        finally:
            await client.close()
        return found

    async def wait_owned_by(self, names: set[str], *, within_s: float = _SHARED_S) -> float:
        """Wait until every partition is owned by one of these; return the seconds it took."""
        began_s = time.monotonic()

        async def owned() -> bool:
            owners = await self.owners()
            return len(owners) == PARTITIONS and set(owners.values()) <= names

        await eventually(owned, f"all is owned by {sorted(names)}", within_s=within_s)
        return time.monotonic() - began_s

    async def wait_shared(self) -> None:
        """Wait until every node that runs owns an equal share."""

        async def shared() -> bool:
            running = self.running()
            owned = list((await self.owners()).values())
            shares = [owned.count(name) for name in running]
            return sum(shares) == PARTITIONS and max(shares) - min(shares) <= 1

        await eventually(shared, "equal shares", within_s=_SHARED_S)


@asynccontextmanager
async def running_cluster(
    folder: Path, names: Sequence[str], *, start: Sequence[str] = ()
) -> AsyncIterator[Cluster]:
    """Run servers and the nodes of ``start`` (all by default); what runs at the end is stopped."""
    async with own_servers(folder) as servers:
        cluster = Cluster(folder, servers, names)
        try:
            await cluster.start(*(start or names))
            yield cluster
        finally:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as tasks:
                    for node in cluster.nodes.values():
                        tasks.start_soon(node.stop, 10.0)
