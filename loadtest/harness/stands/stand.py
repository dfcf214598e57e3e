"""A stand: servers and nodes of a run's own, to be broken or to be compared with others.

Unlike a platform it starts nothing again by itself: what was killed stays away until it is told to
come back. Each node can be any program that behaves as ``zhihui node``, of another checkout too,
and reaches the servers through links that can be cut, frozen and slowed.
"""

import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

import anyio
import asyncpg
import msgspec

from loadtest.adversity.link import Link, open_link
from loadtest.processes import run_command
from zhihui.embedded._node_process import NodeProcess
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.plugin_key import plugin_operator_key
from zhihui.embedded.postgres_server import EmbeddedPostgres
from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE

__all__ = ("NODE", "Build", "Links", "Stand", "running_stand")

# The program that is a node, as a module.
NODE = ("zhihui", "node")

_OPERATOR_KEY_VARIABLE = "ZHIHUI_PLUGIN_OPERATOR_KEY"

_MIGRATE_TIMEOUT_S = 120.0
_STOP_GRACE_S = 10.0

# The journal lives where its name is hashed to; see `docs/decisions.md` on partitions.
_JOURNAL_HASH = crc32(b"journal\x000")
_OWNER = """
SELECT p.owner FROM zhihui.partition AS p JOIN zhihui.node AS n ON n.name = p.owner
 WHERE p.partition = $1::bigint % (SELECT count(*) FROM zhihui.partition)
   AND greatest(p.lease_until, n.lives_until) > clock_timestamp()
"""


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """What runs as a node. ``checkout`` is the root of another copy of the project, "" for ours."""

    name: str = "zhihui"
    checkout: str = ""
    program: tuple[str, ...] = NODE
    arguments: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return the variables that let Python find this build before any other."""
        if not self.checkout:
            return {}
        # Else the working directory, which may be another checkout, would come first.
        return {"PYTHONPATH": str(Path(self.checkout).resolve()), "PYTHONSAFEPATH": "1"}


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """What stands between a node and the servers."""

    nats: Link
    postgres: Link


class Stand:
    """What :func:`running_stand` runs."""

    def __init__(
        self,
        folder: Path,
        nats: EmbeddedNats,
        postgres: EmbeddedPostgres,
        nodes: Mapping[str, NodeProcess],
        links: Mapping[str, Links],
    ) -> None:
        self.folder = folder
        self.nats = nats
        self.postgres = postgres
        self.nodes = nodes
        self.links = links

    @property
    def nats_url(self) -> str:
        """Return the address of NATS, as nodes and generators use it."""
        return self.nats.url

    @property
    def postgres_dsn(self) -> str:
        """Return the address of the database."""
        return self.postgres.dsn

    def node_pids(self) -> tuple[int, ...]:
        """Return the pids of the nodes that run at this moment."""
        return tuple(node.pid for node in self.nodes.values() if node.pid is not None)

    async def busy_node(self) -> str:
        """Return the name of a node that runs; the one that owns the journal if that is known."""
        connection = await asyncpg.connect(self.postgres_dsn)
        try:
            owner = await connection.fetchval(_OWNER, _JOURNAL_HASH)
        finally:
            await connection.close()
        running = [name for name, node in self.nodes.items() if node.pid is not None]
        if not running:
            raise RuntimeError("no node of the stand runs")
        return owner if owner in running else running[0]

    async def kill_node(self, name: str) -> None:
        """End a node with ``kill -9``, and wait until it is gone."""
        pid = self.nodes[name].pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            await self.nodes[name].wait_exit()


@asynccontextmanager
async def running_stand(
    folder: Path,
    *,
    names: Sequence[str] = ("n1",),
    build: Build | None = None,
    linked: bool = False,
) -> AsyncIterator[Stand]:
    """Run servers and nodes on ``folder``; stop what runs at the end, whatever happens.

    When ``linked``, each node reaches the servers through links of its own.
    """
    build = build or Build()
    folder.mkdir(parents=True, exist_ok=True)
    nats, postgres = EmbeddedNats(folder), EmbeddedPostgres(folder)
    nodes: dict[str, NodeProcess] = {}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_stop, nodes, nats, postgres)
        await nats.start()
        await postgres.start()
        await run_command(
            ["zhihui", "migrate"],
            name=f"the migration of {build.name}",
            log=folder / "migrate.log",
            environment={**build.environment(), POSTGRES_DSN_VARIABLE: postgres.dsn},
            timeout_s=_MIGRATE_TIMEOUT_S,
        )
        links = {}
        for name in names if linked else ():
            links[name] = Links(
                nats=await stack.enter_async_context(open_link(_port(nats.url))),
                postgres=await stack.enter_async_context(open_link(_port(postgres.dsn))),
            )
        for name in names:
            nodes[name] = _node(folder, name, build, nats, postgres, links.get(name))
        async with anyio.create_task_group() as group:
            for node in nodes.values():
                group.start_soon(node.start)
        yield Stand(folder, nats, postgres, nodes, links)


def _node(
    folder: Path,
    name: str,
    build: Build,
    nats: EmbeddedNats,
    postgres: EmbeddedPostgres,
    links: Links | None,
) -> NodeProcess:
    url, dsn = nats.url, postgres.dsn
    if links is not None:
        url, dsn = links.nats.through(url), links.postgres.through(dsn)
    return NodeProcess(
        name,
        data_dir=folder.absolute(),
        variables={
            **build.environment(),
            _OPERATOR_KEY_VARIABLE: str(plugin_operator_key(folder)),
            NATS_URL_VARIABLE: url,
            POSTGRES_DSN_VARIABLE: dsn,
        },
        arguments=build.arguments,
        program=build.program,
    )


async def _stop(
    nodes: Mapping[str, NodeProcess], nats: EmbeddedNats, postgres: EmbeddedPostgres
) -> None:
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as group:
            for node in nodes.values():
                group.start_soon(node.stop, _STOP_GRACE_S)
        await nats.stop()
        await postgres.stop()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None, "the server has no port"
    return port
