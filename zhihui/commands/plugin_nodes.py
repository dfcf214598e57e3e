"""How far each node is with the plan of the plugins, as the nodes themselves say it."""

from collections.abc import Callable
from typing import Self

import anyio
import msgspec

from kernel.clock import Clock
from kernel.nats_security import SecureClient
from zhihui.access.settings import operator_security

__all__ = ("DISCOVERY_S", "LOOK_EVERY_S", "NodePlugins", "NodeTrouble", "PluginWatch", "wait_done")

# Every node on the bus answers at once; this is for those on another continent. When all that
# answered before have answered, nobody else is waited for.
DISCOVERY_S = 0.5
# A node does what is missing within milliseconds after it hears of a change.
LOOK_EVERY_S = 0.1
_CONNECT_S = 5


class NodeTrouble(msgspec.Struct, frozen=True):
    """A step that fails on a node and is tried again."""

    plugin: str = ""
    generation: int = 0
    error: str = ""
    attempts: int = 0


class _Convergence(msgspec.Struct, frozen=True):
    planned: int = 0
    converged: bool = False
    vetoed: int = 0
    troubles: tuple[NodeTrouble, ...] = ()


class _Plugins(msgspec.Struct, frozen=True):
    convergence: _Convergence = _Convergence()


class _Statistics(msgspec.Struct, frozen=True):
    # None: a node of a version without plugins.
    plugins: _Plugins | None = None


class _Answer(msgspec.Struct, frozen=True):
    id: str = ""
    metadata: dict[str, str] = {}
    node: _Statistics = _Statistics()


class NodePlugins(msgspec.Struct, frozen=True, kw_only=True):
    """One node: the version of the plan that it follows, and whether it is as that says.

    ``vetoed`` generations were taken out of service by their guards there.
    """

    node: str
    plan_version: int
    converged: bool
    vetoed: int = 0
    troubles: tuple[NodeTrouble, ...] = ()

    def follows(self, plan_version: int) -> bool:
        """Tell whether the node has done all of a version of the plan."""
        return self.plan_version >= plan_version and self.converged


class PluginWatch:
    """Ask the nodes how far they are, again and again. Use as an async context manager.

    The key of the back office does not allow it: it goes as an operator's command, like
    `zhihui status`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = SecureClient()
        self._known: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._client.connect_secure(
            self._url,
            operator_security(self._url),
            allow_reconnect=False,
            connect_timeout=_CONNECT_S,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(DISCOVERY_S):
            await self._client.close()

    async def look(self) -> tuple[NodePlugins, ...]:
        """Return all nodes that answer, by name; none when nobody does."""
        found: dict[str, NodePlugins] = {}
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        await self._client.publish("$SRV.STATS.zhihui", b"", reply=inbox)
        with anyio.move_on_after(DISCOVERY_S):
            async for message in subscription.messages:
                try:
                    answer = msgspec.json.decode(message.data, type=_Answer)
                except msgspec.MsgspecError:
                    # NATS itself answers, with nothing, when nobody listens.
                    break
                name = answer.metadata.get("node", answer.id)
                found[name] = _state(name, answer.node.plugins or _Plugins())
                if self._known and self._known <= found.keys():
                    break
        await subscription.unsubscribe()
        self._known = set(found)
        return tuple(found[name] for name in sorted(found))


def _state(name: str, plugins: _Plugins) -> NodePlugins:
    said = plugins.convergence
    return NodePlugins(
        node=name,
        plan_version=said.planned,
        converged=said.converged,
        vetoed=said.vetoed,
        troubles=said.troubles,
    )


async def wait_done(
    watch: PluginWatch, plan_version: int, *, timeout_s: float, clock: Clock,
    show: Callable[[tuple[NodePlugins, ...]], None],
) -> tuple[bool, tuple[NodePlugins, ...]]:  # fmt: skip
    """Wait until all nodes have done a version of the plan; tell whether they have.

    ``show`` gets every look at them.
    """
    give_up_s = clock.monotonic_s() + timeout_s
    while True:
        nodes = await watch.look()
        show(nodes)
        if nodes and all(one.follows(plan_version) for one in nodes):
            return True, nodes
        if clock.monotonic_s() >= give_up_s:
            return False, nodes
        await clock.sleep(LOOK_EVERY_S)
