"""The packs of one node: loaded and switched by the plan, run as actors, offered at the edge."""

import itertools
import logging
from collections.abc import Iterable

import anyio.abc
import msgspec

from actors.parts import Parts
from actors.plugins import PlanCatalog, PluginTrust
from actors.plugins.plan_catalog import PlanCatalogStatistics
from actors.scenario import PackDocuments, Rewriter, scenario_actor_factory, served_by
from kernel.edge import Edge
from kernel.host import KeyedHost
from kernel.pack import Pack
from kernel.plugins.archive import Archive
from kernel.plugins.archive_store import ArchiveStore
from kernel.plugins.convergence import Convergence, ConvergenceStatistics
from kernel.plugins.generation import Generation, Transition
from kernel.plugins.imports import ImportRules
from kernel.plugins.migration import rehearse
from kernel.plugins.registry import HostTerms, Registry, RegistryStatistics, Switch
from kernel.plugins.resident import resident_slot
from kernel.plugins.slot import Slot
from schemas.effects import CAPABILITIES
from schemas.errors import Unavailable
from schemas.operation import Operation
from zhihui.plugin_news import PluginNews
from zhihui.version import API_VERSION

__all__ = (
    "IMPORT_RULES",
    "OFFER_RETRY_S",
    "REHEARSED_MAX",
    "TERMS",
    "PluginHost",
    "PluginHostStatistics",
)

_log = logging.getLogger(__name__)

# Tells the nodes of this process apart, whose code lives side by side: one, but for tests.
_spaces = itertools.count(1)

IMPORT_RULES = ImportRules(
    public=("zhihui.plugin", "zhihui.testing", "schemas"),
    private=("kernel", "actors", "zhihui", "plugins", "loadtest", "schemas", "tests"),
)
TERMS = HostTerms(api=API_VERSION, imports=IMPORT_RULES, capabilities=CAPABILITIES)

# Documents of each collection that a new generation migrates there and back before it may serve.
REHEARSED_MAX = 100
# The pause before a node that begins asks again for the plan.
OFFER_RETRY_S = 0.2


class PluginHostStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The plugins of a node, and how far it is with the plan."""

    registry: RegistryStatistics
    convergence: ConvergenceStatistics
    catalog: PlanCatalogStatistics


class PluginHost:
    """Follow the plan of the plugins on one node."""

    def __init__(
        self,
        parts: Parts,
        edge: Edge,
        objects: ArchiveStore,
        *,
        bundled: Iterable[Archive] = (),
        resident: Iterable[Pack] = (),
    ) -> None:
        """Make one that follows no plan yet.

        ``resident`` packs are modules of this process: they serve from the start, and no plan
        changes that.
        """
        bundled = tuple(bundled)
        self._parts = parts
        self._edge = edge
        self._tasks: anyio.abc.TaskGroup | None = None
        self._hosts: dict[str, KeyedHost] = {}
        trust = PluginTrust.from_settings(parts.settings, bundled)
        self._catalog = PlanCatalog(
            parts.store, parts.node, parts.clock, parts.ids, objects, bundled=bundled, trust=trust
        )
        self._news = PluginNews(parts.node, parts.clock, parts.ids)
        self.registry = Registry(TERMS, parts.clock, self._on_news, space=f"n{next(_spaces)}")
        self.convergence = Convergence(
            self.registry, self._catalog, parts.clock, keys=trust.keys, check=self._check
        )
        for pack in resident:
            slot = resident_slot(pack, parts.clock)
            self._hosts[slot.name] = self._made_host(slot)
            self._offer(slot)

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Offer what came with the program; return when each step of the plan was tried."""
        self._tasks = tasks
        while True:
            try:
                await self._catalog.offer_bundled()
            except Unavailable as error:
                _log.warning("the node waits for the plan of the plugins: %s", error.message)
                await self._parts.clock.sleep(OFFER_RETRY_S)
            else:
                break
        tasks.start_soon(self.convergence.run)
        tasks.start_soon(self._news.run)
        await self.convergence.wait_round()
        rewriter = Rewriter(self._parts, self.registry.slots)
        tasks.start_soon(rewriter.run)

    def close(self) -> None:
        """Let go of all code, when the node has ended."""
        for slot in self.registry.slots():
            self._edge.set_operations(slot.name, ())
        self.registry.close()

    async def _check(self, generation: Generation) -> None:
        """Do before a generation may serve what would otherwise fail with its first message."""
        slot = self.registry.slot(generation.manifest.name)
        served_by(generation, slot, self._parts.store)
        documents = PackDocuments(slot.name, self._parts.store)
        await rehearse(generation, documents, samples_max=REHEARSED_MAX)

    # What the registry tells.

    def _on_news(self, news: Transition | Switch) -> None:
        self._news.add(news)
        slot = self.registry.slot(news.plugin)
        if isinstance(news, Transition):
            if news.before is None:
                self._host(slot)
            return
        self._offer(slot)

    def _host(self, slot: Slot) -> None:
        """Run the plugin's actors here, from the first time that it is loaded on."""
        if slot.name not in self._hosts:
            assert self._tasks is not None
            self._hosts[slot.name] = host = self._made_host(slot)
            self._tasks.start_soon(host.run)

    def _made_host(self, slot: Slot) -> KeyedHost:
        host = self._parts.keyed_host(
            f"pack.{slot.name}", scenario_actor_factory(slot, self._parts.store)
        )
        self._parts.node.add_host(host)
        return host

    def _offer(self, slot: Slot) -> None:
        """Take requests for what serves now; those for the canary alone are told by its actors."""
        serving = [one for one in (slot.canary, slot.promoted) if one is not None]
        operations: dict[str, Operation] = {}
        for generation in serving:
            for operation in generation.pack.operations():
                operations[operation.verb] = operation
        self._edge.set_operations(slot.name, operations.values())
        if slot.promoted is not None:
            host = self._hosts[slot.name]
            capacity = slot.promoted.manifest.limits.mailbox
            host.limits = msgspec.structs.replace(host.limits, mailbox_capacity=capacity)

    def statistics(self) -> PluginHostStatistics:
        """Return the plugins as they stand."""
        return PluginHostStatistics(
            registry=self.registry.statistics(),
            convergence=self.convergence.statistics(),
            catalog=self._catalog.statistics(),
        )
