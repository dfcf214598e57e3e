"""The whole service on one machine: servers, schema and nodes, started and stopped in order."""

import os
import re
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from zlib import crc32

import anyio

from actors.customers.keyring import ensure_keyring
from actors.customers.services import DATA_KEYS_SETTING
from actors.plugins.trust import OPERATOR_KEY_SETTING
from kernel.clock import SystemClock
from kernel.randomness import SystemRandomness
from zhihui.embedded._node_process import NodeProcess
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.plugin_key import plugin_operator_key
from zhihui.embedded.postgres_server import EmbeddedPostgres
from zhihui.embedded.servers import (
    NATS_URL_VARIABLE,
    POSTGRES_DSN_VARIABLE,
    ServerPair,
    Servers,
    started_servers,
)
from zhihui.errors import NodeFailed, ServerFailed, SetupError, ungrouped
from zhihui.migrate import migrate

__all__ = ("Platform", "host_token", "running_platform")

# The keys of customers' data, unless another file is named. Whoever loses them loses what they
# seal, so with a database of one's own they belong beside its password and not on one machine.
_DATA_KEYS_FILE = "keys.json"

# Restart intensity: what dies more often than this has a cause that a restart does not mend. It is
# also enough for a person who kills a process a few times to see what happens.
_RESTARTS_MAX = 5
_RESTARTS_WINDOW_S = 30.0

# The pause before a restart grows with each in the window, so a server that is coming back is given
# its time.
_PAUSE_FIRST_S = 0.1
_PAUSE_MAX_S = 3.0


class Platform:
    """What :func:`running_platform` runs."""

    def __init__(self, data_dir: Path, pair: ServerPair, nodes: list[NodeProcess]) -> None:
        self.data_dir = data_dir
        self._pair = pair
        self._nodes = nodes

    @property
    def servers(self) -> Servers:
        """Return the servers' addresses and their pids of this moment."""
        return self._pair.servers()

    @property
    def nats(self) -> EmbeddedNats | None:
        """Return the embedded NATS, to be stopped and started by hand, or None."""
        return self._pair.nats

    @property
    def postgres(self) -> EmbeddedPostgres | None:
        """Return the embedded Postgres, to be stopped and started by hand, or None."""
        return self._pair.postgres

    def node_pids(self) -> dict[str, int]:
        """Return the pid of each node that runs at this moment, by name."""
        return {node.name: node.pid for node in self._nodes if node.pid is not None}


class _Restarts:
    """Counts the restarts of one process and says when it is enough."""

    def __init__(self, what: str, failure: type[SetupError]) -> None:
        self._what = what
        self._failure = failure
        self._times: deque[float] = deque()

    async def allow(self, last_failure: str) -> None:
        """Wait as long as the next restart should; raise when there were too many."""
        now = anyio.current_time()
        while self._times and now - self._times[0] > _RESTARTS_WINDOW_S:
            self._times.popleft()
        if len(self._times) >= _RESTARTS_MAX:
            raise self._failure(
                f"{self._what} was restarted {_RESTARTS_MAX} times in {_RESTARTS_WINDOW_S:.0f} s "
                f"and keeps failing. The last time: {last_failure}"
            )
        self._times.append(now)
        await anyio.sleep(min(_PAUSE_FIRST_S * 2 ** (len(self._times) - 1), _PAUSE_MAX_S))


def _say_nothing(_line: str) -> None:
    pass


@asynccontextmanager
async def running_platform(
    data_dir: Path,
    *,
    nodes: int = 1,
    node_arguments: tuple[str, ...] = (),
    settings: Mapping[str, str] | None = None,
    report: Callable[[str], None] = _say_nothing,
) -> AsyncIterator[Platform]:
    """Run servers and nodes on ``data_dir`` with an up-to-date schema; stop them in order.

    A node or an embedded server that dies is started again, within bounds; beyond them the body is
    cancelled and :class:`SetupError` is raised. ``node_arguments`` go to every ``zhihui node``, and
    so do ``settings`` as variables of its environment.
    """
    async with started_servers(data_dir, report=report) as pair:
        applied = await migrate(pair.postgres_dsn)
        if applied:
            report(f"Schema    migrated to revision {applied[-1]}")
        names = _node_names(nodes, data_dir, pair)
        variables = {
            DATA_KEYS_SETTING: _data_keys(data_dir),
            OPERATOR_KEY_SETTING: _operator_key(data_dir),
            **(settings or {}),
        }
        processes = [
            NodeProcess(
                name,
                data_dir=data_dir.absolute(),
                variables={
                    **variables,
                    NATS_URL_VARIABLE: pair.nats_url,
                    POSTGRES_DSN_VARIABLE: pair.postgres_dsn,
                },
                arguments=node_arguments,
            )
            for name in names
        ]
        try:
            # Whoever runs a platform should be able to catch a plain error, their own as well.
            with ungrouped():
                async with anyio.create_task_group() as group:
                    for server in (pair.postgres, pair.nats):
                        if server is not None:
                            group.start_soon(_keep_server, server, report)
                    for node in processes:
                        await node.start()
                        report(f"Node      {node.name}, pid {node.pid}")
                        group.start_soon(_keep_node, node, report)
                    yield Platform(data_dir.absolute(), pair, processes)
                    group.cancel_scope.cancel()
        finally:
            # All at once: each hands over what it owns without the others' help. The servers
            # follow when the context around this one ends.
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as group:
                    for node in processes:
                        group.start_soon(node.stop)


def _data_keys(data_dir: Path) -> str:
    """Return the path of the keys of customers' data: a ring given, or one made here once."""
    given = os.environ.get(DATA_KEYS_SETTING)
    if given:
        return given
    path = data_dir.absolute() / _DATA_KEYS_FILE
    ensure_keyring(path, SystemRandomness(), SystemClock().now())
    return str(path)


def _operator_key(data_dir: Path) -> str:
    """Return the path of the key that signs plugins: one given, or one made here once."""
    return os.environ.get(OPERATOR_KEY_SETTING) or str(plugin_operator_key(data_dir))


def _node_names(nodes: int, data_dir: Path, pair: ServerPair) -> list[str]:
    """Return names that stay the same over restarts, so that a node takes over from itself at once.

    On servers of their own n1, n2 and so on are enough. Given servers may be shared with platforms
    of other machines and directories, whose nodes must not be taken for ours.
    """
    prefix = ""
    if pair.nats is None or pair.postgres is None:
        prefix = f"{host_token()}-{crc32(str(data_dir.absolute()).encode()):08x}-"
    return [f"{prefix}n{number}" for number in range(1, nodes + 1)]


def host_token() -> str:
    """Return the name of this host in the form of a token of a NATS subject."""
    return re.sub(r"[^a-z0-9-]", "-", socket.gethostname().lower())[:32]


async def _keep_node(node: NodeProcess, report: Callable[[str], None]) -> None:
    restarts = _Restarts(f"node {node.name}", NodeFailed)
    while True:
        code = await node.wait_exit()
        report(f"Node      {node.name} {_ending(code)}; starting it again")
        await _start_again(node.start, restarts, _ending(code))
        report(f"Node      {node.name}, pid {node.pid}")


async def _keep_server(
    server: EmbeddedNats | EmbeddedPostgres, report: Callable[[str], None]
) -> None:
    restarts = _Restarts(server.name, ServerFailed)
    while True:
        code = await server.wait_died()
        report(f"{server.name:<9} {_ending(code)}; starting it again")
        await _start_again(server.start, restarts, _ending(code))


async def _start_again(
    start: Callable[[], Awaitable[None]], restarts: _Restarts, reason: str
) -> None:
    while True:
        await restarts.allow(reason)
        try:
            await start()
        except SetupError as error:
            reason = str(error)
        else:
            return


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
