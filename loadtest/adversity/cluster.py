"""Several nodes as processes, each behind links of its own, and who owns what."""

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import msgspec
import nats

from loadtest.adversity.link import Link, open_link
from loadtest.adversity.servers import OwnServers, own_servers
from zhihui.embedded._node_process import NodeProcess
from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE

__all__ = ("NODE", "Cluster", "Links", "NotInTime", "running_cluster", "wait_until")

# The program that is a node, as a module.
NODE = ("zhihui", "node")
# Starting takes a second or two of a quiet machine, and so does sharing; a busy one several times
# that.
_SHARED_S = 40.0
# Short enough not to be felt, long enough not to eat the machine that the condition needs.
_LOOK_EVERY_S = 0.02
_STATISTICS_S = 10
_STOP_GRACE_S = 10.0


class NotInTime(Exception):
    """What was waited for did not come; the message names it."""


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """What stands between one node and the servers."""

    nats: Link
    postgres: Link


async def wait_until(
    condition: Callable[[], Awaitable[bool]],
    what: str,
    *,
    within_s: float,
    every_s: float = _LOOK_EVERY_S,
) -> float:
    """Wait until ``condition`` holds and return the seconds; raise :class:`NotInTime`."""
    began_s = time.monotonic()
    while not await condition():
        if time.monotonic() - began_s > within_s:
            raise NotInTime(f"not within {within_s:g} s: {what}")
        await anyio.sleep(every_s)
    return time.monotonic() - began_s


class Cluster:
    """Nodes by name. Those not started yet, or killed, have no pid.

    ``links`` are by the names of the nodes; a node without goes to the servers directly.
    """

    def __init__(
        self,
        folder: Path,
        servers: OwnServers,
        names: Sequence[str],
        *,
        links: dict[str, Links] | None = None,
    ) -> None:
        self._folder = folder
        self.servers = servers
        self.links = links or {}
        self.nodes = {name: self._node(name) for name in names}

    def _node(
        self,
        name: str,
        *,
        program: tuple[str, ...] = ("zhihui", "node"),
        arguments: tuple[str, ...] = (),
    ) -> NodeProcess:
        url, dsn = self.servers.nats.url, self.servers.postgres.dsn
        if links := self.links.get(name):
            url, dsn = links.nats.through(url), links.postgres.through(dsn)
        return NodeProcess(
            name,
            data_dir=self._folder,
            variables={NATS_URL_VARIABLE: url, POSTGRES_DSN_VARIABLE: dsn},
            program=program,
            arguments=arguments,
        )

    @property
    def dsn(self) -> str:
        """The address of the database."""
        return self.servers.postgres.dsn

    # Nodes come and go.

    async def start(self, *names: str) -> None:
        """Start these nodes at once, and wait until all that run share."""
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(self.nodes[name].start)
        await self.wait_shared()

    async def replace(
        self,
        name: str,
        *,
        program: tuple[str, ...] = ("zhihui", "node"),
        arguments: tuple[str, ...] = (),
    ) -> None:
        """Stop a node in order and start it again as another program that is a node."""
        await self.nodes[name].stop(_STOP_GRACE_S)
        self.nodes[name] = self._node(name, program=program, arguments=arguments)
        await self.start(name)

    def pid(self, name: str) -> int:
        """Return the process id of a node that runs."""
        pid = self.nodes[name].pid
        assert pid is not None, f"{name} does not run"
        return pid

    async def kill(self, name: str) -> None:
        """End a node with ``kill -9``, and wait until it is gone."""
        os.kill(self.pid(name), signal.SIGKILL)
        await self.nodes[name].wait_exit()

    def running(self) -> set[str]:
        """Return the names of the nodes that run."""
        return {name for name, node in self.nodes.items() if node.pid is not None}

    # Who owns what, and what the nodes say.

    async def owners(self) -> dict[int, str]:
        """Return who owns each partition; those without a living owner are not there."""
        rows = await self._fetch(
            "SELECT p.partition, p.owner FROM zhihui.partition AS p"
            " JOIN zhihui.node AS n ON n.name = p.owner"
            " WHERE greatest(p.lease_until, n.lives_until) > clock_timestamp()"
        )
        return {row[0]: row[1] for row in rows}

    async def epochs(self) -> dict[int, int]:
        """Return the epoch of each partition."""
        rows = await self._fetch("SELECT partition, epoch FROM zhihui.partition")
        return {row[0]: row[1] for row in rows}

    async def _fetch(self, sql: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    async def statistics(self) -> dict[str, dict[str, Any]]:
        """Return what each node that runs says of itself."""
        client = await nats.connect(self.servers.nats.url)
        try:
            inbox = client.new_inbox()
            subscription = await client.subscribe(inbox)
            await client.publish("$SRV.STATS.zhihui", b"", reply=inbox)
            found: dict[str, dict[str, Any]] = {}
            while not self.running() <= found.keys():
                message = await subscription.next_msg(timeout=_STATISTICS_S)
                answer = msgspec.json.decode(message.data)
                found[answer["metadata"]["node"]] = answer["node"]
        finally:
            await client.close()
        return found

    async def wait_owned_by(self, names: set[str], *, within_s: float = _SHARED_S) -> float:
        """Wait until every partition is owned by one of these; return the seconds it took."""
        partitions = len(await self.epochs())

        async def owned() -> bool:
            owners = await self.owners()
            return len(owners) == partitions and set(owners.values()) <= names

        return await wait_until(owned, f"all is owned by {sorted(names)}", within_s=within_s)

    async def wait_shared(self) -> None:
        """Wait until every node that runs owns an equal share."""
        partitions = len(await self.epochs())

        async def shared() -> bool:
            owned = list((await self.owners()).values())
            shares = [owned.count(name) for name in self.running()]
            return sum(shares) == partitions and max(shares) - min(shares) <= 1

        await wait_until(shared, "equal shares", within_s=_SHARED_S)


@asynccontextmanager
async def running_cluster(
    folder: Path,
    names: Sequence[str],
    *,
    migrate: Callable[[str], Awaitable[object]],
    start: Sequence[str] = (),
    linked: bool = False,
) -> AsyncIterator[Cluster]:
    """Run servers and the nodes of ``start`` (all by default); what runs at the end is stopped.

    When ``linked``, each node reaches the servers through links of its own.
    """
    async with own_servers(folder, migrate) as servers, AsyncExitStack() as stack:
        links = {}
        for name in names if linked else ():
            links[name] = Links(
                nats=await stack.enter_async_context(open_link(servers.nats.port)),
                postgres=await stack.enter_async_context(open_link(servers.postgres.port)),
            )
        cluster = Cluster(folder, servers, names, links=links)
        try:
            await cluster.start(*(start or names))
            yield cluster
        finally:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as tasks:
                    for node in cluster.nodes.values():
                        tasks.start_soon(node.stop, _STOP_GRACE_S)
