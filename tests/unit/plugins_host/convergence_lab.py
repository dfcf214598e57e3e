"""Nodes that follow a plan, in virtual time."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel

from kernel.plugins.archive import Archive
from kernel.plugins.catalog import DesiredState, SignedArchive
from kernel.plugins.convergence import Convergence, ConvergenceSettings, ConvergenceStatistics
from kernel.plugins.generation import State
from kernel.plugins.memory_catalog import MemoryCatalog
from kernel.plugins.plans import plan_load, plan_promote
from kernel.plugins.registry import Registry
from kernel.plugins.signature import SigningKey, TrustedKeys
from kernel.virtual_time import VirtualClock, run_virtual
from schemas.errors import NotReady
from tests.unit.plugins_host.lab import TERMS, Desk, News

__all__ = ("Catalog", "Node", "World", "run")

_KEY = SigningKey.generate()
_RING = TrustedKeys({"us": _KEY.public_pem})
_SETTINGS = ConvergenceSettings(drain_s_max=5.0, proof_every_s=2.0)


class Catalog(MemoryCatalog):
    """The keeper of the plan, which may be out of reach or have lost an archive."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.lost: set[str] = set()
        self.asked: list[tuple[str, int]] = []

    async def read(self, seen: int) -> DesiredState | None:
        if self.away:
            raise NotReady("the store is out of reach")
        return await super().read(seen)

    async def fetch(self, sha256: str) -> SignedArchive:
        if self.away or sha256 in self.lost:
            raise NotReady("the archives are out of reach")
        return await super().fetch(sha256)

    async def ask_rollback(self, name: str, generation: int, reason: str) -> None:
        if self.away:
            raise NotReady("the store is out of reach")
        self.asked.append((name, generation))
        await super().ask_rollback(name, generation, reason)


class Node:
    """A node as far as plugins go: a registry that follows the plan, and a desk that asks it."""

    def __init__(
        self, name: str, clock: VirtualClock, catalog: Catalog, keys: TrustedKeys | None
    ) -> None:
        self.news = News()
        self.registry = Registry(TERMS, clock, self.news, space=name)
        self.slot = self.registry.slot("library")
        self.desk = Desk(self.registry, clock)
        self.convergence = Convergence(self.registry, catalog, clock, keys=keys, settings=_SETTINGS)

    def statistics(self) -> ConvergenceStatistics:
        return self.convergence.statistics()

    async def settle(self, seconds: float = 3.0) -> None:
        """Let the node follow the plan for a while."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.convergence.run)
            await anyio.sleep(seconds)
            tasks.cancel_scope.cancel()

    async def edition(self) -> int:
        await self.desk.send("add", request_id="r", isbn="i-1", copies=1)
        answer: dict[str, Any] = await self.desk.send("get", isbn="i-1")
        found: int = answer["edition"]
        return found

    async def die(self) -> None:
        """Lose everything that is in memory."""
        await anyio.lowlevel.checkpoint()
        self.registry.withdraw("library")
        for number, one in list(self.slot.generations.items()):
            if one.state is not State.STOPPED:
                await self.registry.drain("library", number, 10.0)
            await self.registry.unload("library", number)


class World:
    """The plan, its keeper and the nodes."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.catalog = Catalog()
        self.nodes: list[Node] = []
        self.node = self.new_node()

    def new_node(self, keys: TrustedKeys | None = _RING) -> Node:
        """Let another node join, which knows nothing."""
        self.nodes.append(Node(f"n{len(self.nodes)}", self.clock, self.catalog, keys))
        return self.nodes[-1]

    async def put(self, archive: Archive, *, sign: bool = True) -> str:
        return await self.catalog.put(archive.data, _KEY.sign(archive) if sign else None)

    async def load(self, archive: Archive, *, sign: bool = True) -> None:
        sha256 = await self.put(archive, sign=sign)
        version = archive.manifest.version
        self.catalog.change(lambda plan: plan_load(plan, "library", sha256, version=version))

    def change(self, verb: Callable[..., DesiredState], *arguments: Any) -> None:
        self.catalog.change(lambda plan: verb(plan, "library", *arguments))

    async def serve(self, archive: Archive, number: int) -> None:
        await self.load(archive)
        self.change(plan_promote, number)
        await self.node.settle()
        assert self.node.statistics().converged, self.node.statistics()


def run(main: Callable[[World], Awaitable[None]]) -> None:
    async def live(clock: VirtualClock, randomness: object) -> None:
        world = World(clock)
        try:
            await main(world)
        finally:
            for node in world.nodes:
                await node.die()

    run_virtual(live)
