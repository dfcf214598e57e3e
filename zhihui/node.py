"""One process of the service: the rooms put together, started and stopped in order."""

import contextlib
import gc
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import msgspec

from actors import bank
from actors.channels.desk import DeskStatistics, desk_of
from actors.channels.routing.port import router_of
from actors.channels.routing.router import RouterStatistics
from actors.ledger import LedgerBook, LedgerStatistics
from actors.parts import Parts
from actors.plugins import PLUGIN_EVENTS
from actors.rules import RuleSets
from kernel.bus import Bus, BusStatistics
from kernel.clock import Clock, ShiftedClock, SystemClock
from kernel.dead_letter import DeadLetters, DeadLetterStatistics
from kernel.discovery import Discovery
from kernel.edge import Edge, EdgeStatistics
from kernel.event_relay import EventRelay, EventRelayStatistics
from kernel.host import BatchHost, Host, HostLimits, HostStatistics
from kernel.intake import Intake, IntakeStatistics
from kernel.jetstream import JetStreams
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, Journal, JournalStatistics
from kernel.nats_bus import NatsBus
from kernel.nats_security import NatsSecurity
from kernel.node import Node, NodeStatistics
from kernel.ownership import LEASE_S, Ownership, OwnershipStatistics
from kernel.pack import Pack
from kernel.partition import partition_of
from kernel.plugins.archive import Archive
from kernel.plugins.archive_store import ArchiveStore, MemoryArchiveStore
from kernel.plugins.object_store import ObjectArchiveStore
from kernel.postgres_store import PostgresStore
from kernel.randomness import IdFactory, Randomness, SystemRandomness
from kernel.store import Store
from kernel.streams import Streams
from kernel.throttle import Throttle, ThrottleStatistics
from kernel.timers import TimerService, TimerStatistics
from schemas.catalogue import BANK_OPERATIONS
from schemas.errors import StaleOwner, Unavailable, ZhihuiError
from schemas.ledger import Moves, encode_moves
from schemas.subjects import CLUSTER_SUBJECT
from zhihui.errors import SetupError
from zhihui.packs import bundled_archives
from zhihui.plugin_host import PluginHost, PluginHostStatistics
from zhihui.sandbox import SANDBOX_RULES, SANDBOX_VARIABLE, SandboxRules
from zhihui.version import VERSION

if TYPE_CHECKING:
    from zhihui.instruments import InstrumentsConfig

__all__ = (
    "DESCRIPTION",
    "DRAIN_S_MAX",
    "FLUSH_S_MAX",
    "GARBAGE_THRESHOLD",
    "HEALTH_INTERVAL_S",
    "MISSES_MAX",
    "SERVICE",
    "SETTINGS_RETRY_S",
    "NodeConfig",
    "RunningNode",
    "ServiceStatistics",
    "run_node",
    "running_node",
    "serving",
)

_log = logging.getLogger(__name__)

SERVICE = "zhihui"
DESCRIPTION = "Transaction engine of the scenario-finance platform."

# The bounds of the steps of an ordered shutdown, seconds: 21 together at the very worst, a few
# tenths as a rule. A supervisor should wait 30 before it kills.
DRAIN_S_MAX = 5.0
FLUSH_S_MAX = 2.0
# A round trip this late means that the broker or the store is not usable.
HEALTH_INTERVAL_S = 1.0
# Allocations between two looks at the youngest objects; Python's default is 700.
GARBAGE_THRESHOLD = 50_000
# The pause before a node that begins asks again for what it has to know.
SETTINGS_RETRY_S = 0.2
# Two misses may be a slow moment of a busy machine; after them the node says it is not ready.
MISSES_MAX = 2


_SENSITIVE = frozenset(one.name for one in BANK_OPERATIONS if one.sensitive)


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node has to be told."""

    name: str
    nats_url: str
    postgres_dsn: str
    nats_security: NatsSecurity = NatsSecurity()
    # For the bank's services, by the names of their environment variables.
    settings: dict[str, str] = {}
    # Longer than a lease, so that the partitions of a node that just died are waited for.
    join_timeout_s: float = LEASE_S + 2.0


class ServiceStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """All counts of a node; discovery and metrics take them from here."""

    ready: bool
    version: str
    # The last one to Postgres, None when it failed.
    store_round_trip_s: float | None
    bus: BusStatistics
    node: NodeStatistics
    edge: EdgeStatistics
    hosts: tuple[HostStatistics, ...]
    journal: JournalStatistics
    ledger: LedgerStatistics
    store: msgspec.Struct
    intake: IntakeStatistics
    relay: EventRelayStatistics
    timers: TimerStatistics
    throttle: ThrottleStatistics
    ownership: OwnershipStatistics
    dead_letters: DeadLetterStatistics
    plugins: PluginHostStatistics
    channels: DeskStatistics
    router: RouterStatistics


class RunningNode:
    """A node with all its parts; made by :func:`running_node`.

    ``bundled`` are the archives of the packs that came with the program. ``resident`` packs are
    modules of this process instead, for tests.
    """

    def __init__(
        self, config: NodeConfig, bus: Bus, store: Store, clock: Clock, randomness: Randomness,
        streams: Streams | None = None, *, objects: ArchiveStore | None = None,
        bundled: Iterable[Archive] = (), resident: Iterable[Pack] = (),
    ) -> None:  # fmt: skip
        self.config = config
        self._bus = bus
        self._store = store
        self._clock = clock
        ids = IdFactory(clock, randomness)
        name = config.name
        self.ownership = Ownership(name, ids.new(name), store, clock)
        self.ownership.on_moved(self._tell_cluster)
        self.dead_letters = DeadLetters(name, store, clock, ids, redacted=_SENSITIVE)
        self.node = Node(name, bus, self.ownership, clock)
        self._streams = streams or JetStreams(name, bus, ids)
        self.relay = EventRelay(self._streams, store, clock, epoch=self._journal_epoch)
        self.timers = TimerService(store, self.node, clock, self.ownership.owned)
        self._book = LedgerBook(store)
        self._journal = Journal(
            store,
            self._book,
            self.ownership,
            clock,
            bank.FACT_TABLES,
            committed=self.relay.hand_over,
        )
        self._parts = self._made_parts(ids, randomness)
        for host in (self._journal_host(), *bank.hosts(self._parts)):
            self.node.add_host(host)
        self.throttle = Throttle(clock, share=lambda: max(len(self.ownership.nodes), 1))
        self.edge = Edge(self.node, bus, clock, BANK_OPERATIONS, throttle=self.throttle)
        self.plugins = PluginHost(
            self._parts, self.edge, objects or MemoryArchiveStore(), bundled=bundled,
            resident=resident,
        )  # fmt: skip
        self.intake = Intake(
            self.node, self._streams, clock, self.edge.endpoints, encode_moves(Moves())
        )
        if isinstance(clock, ShiftedClock):
            self._parts.rules.on_change(SANDBOX_RULES.name, _shifting(clock))
        self._misses = 0
        self._store_round_trip_s: float | None = None
        self._discovery = Discovery(
            bus,
            self.edge,
            name=SERVICE,
            service_id=ids.new(name),
            version=VERSION,
            description=DESCRIPTION,
            started=clock.now(),
            metadata=self._metadata,
            statistics=self.statistics,
        )

    def _made_parts(self, ids: IdFactory, randomness: Randomness) -> Parts:
        return Parts(
            store=self._store,
            clock=self._clock,
            ids=ids,
            randomness=randomness,
            node=self.node,
            ownership=self.ownership,
            dead_letters=self.dead_letters,
            rules=RuleSets(self._store, self._clock, (*bank.RULE_SETS, SANDBOX_RULES)),
            settings=self.config.settings,
        )

    def _journal_host(self) -> Host:
        return BatchHost(
            lambda: self._journal,
            clock=self._clock,
            dead_letters=self.dead_letters,
            # Commits stop getting cheaper per row at about 2,000.
            limits=HostLimits(batch_max=2_000),
        )

    def is_ready(self) -> bool:
        """Tell whether requests are taken and both servers answered their last round trips."""
        return (
            self.edge.accepting
            and self._misses < MISSES_MAX
            and not any(host.statistics().suspended for host in self.node.hosts)
        )

    def _metadata(self) -> dict[str, str]:
        return {"node": self.config.name, "ready": "true" if self.is_ready() else "false"}

    def statistics(self) -> ServiceStatistics:
        """Return all counts of this node."""
        return ServiceStatistics(
            ready=self.is_ready(),
            version=VERSION,
            store_round_trip_s=self._store_round_trip_s,
            bus=self._bus.statistics(),
            node=self.node.statistics(),
            edge=self.edge.statistics(),
            hosts=tuple(host.statistics() for host in self.node.hosts),
            journal=self._journal.statistics(),
            ledger=self._book.statistics(),
            store=self._store.statistics(),
            intake=self.intake.statistics(),
            relay=self.relay.statistics(),
            timers=self.timers.statistics(),
            throttle=self.throttle.statistics(),
            ownership=self.ownership.statistics(),
            dead_letters=self.dead_letters.statistics(),
            plugins=self.plugins.statistics(),
            channels=desk_of(self._parts).statistics(),
            router=router_of(self._parts).statistics(),
        )

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start the actors, own a share of the partitions, then open the doors."""
        tasks.start_soon(self.dead_letters.run)
        tasks.start_soon(self.node.sweep)
        for host in self.node.hosts:
            tasks.start_soon(host.run)
        # Before this node owns anything: from that moment on the others send to it.
        await self.node.open()
        await self._bus.subscribe(CLUSTER_SUBJECT, self._on_cluster)
        await self._bus.round_trip_s(HEALTH_INTERVAL_S * 5)
        await self.ownership.join(self.config.join_timeout_s)
        tasks.start_soon(self.ownership.keep)
        tasks.start_soon(self.relay.run)
        tasks.start_soon(self.timers.run)
        await self._read_settings()
        for service in bank.services(self._parts):
            tasks.start_soon(service)
        await self._bus.subscribe(PLUGIN_EVENTS, self._on_plugin_event)
        await self.plugins.start(tasks)
        tasks.start_soon(self.throttle.keep, self._store)
        tasks.start_soon(self._bus.watch, HEALTH_INTERVAL_S)
        tasks.start_soon(self._watch_health)
        await self._discovery.open()
        await self.edge.open()
        tasks.start_soon(self.intake.run)
        # The server has our subscriptions when it answers a ping sent after them.
        await self._bus.round_trip_s(HEALTH_INTERVAL_S * 5)

    async def _read_settings(self) -> None:
        """Return once the rules and the apps' limits were read: nobody should decide by less."""
        while True:
            try:
                await self._parts.rules.load()
                await self.throttle.load(self._store)
            except Unavailable as error:
                _log.warning("the node waits for its settings: %s", error.message)
                await self._clock.sleep(SETTINGS_RETRY_S)
            else:
                return

    def _tell_cluster(self) -> None:
        # Only to save the others a second: they look by themselves.
        with contextlib.suppress(ZhihuiError):
            self._bus.publish(CLUSTER_SUBJECT, self.config.name.encode())

    def _on_cluster(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        del subject, reply, headers
        if data != self.config.name.encode():
            self.ownership.look()

    def _on_plugin_event(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        del subject, reply, data, headers
        self.plugins.convergence.wake()

    async def _watch_health(self) -> None:
        while True:
            await self._clock.sleep(HEALTH_INTERVAL_S)
            began_s = self._clock.monotonic_s()
            try:
                await self._store.round_trip()
            except ZhihuiError as error:
                self._misses += 1
                self._store_round_trip_s = None
                _log.warning("no round trip to Postgres: %s", error.message)
            else:
                self._store_round_trip_s = self._clock.monotonic_s() - began_s
                bus = self._bus.statistics()
                self._misses = bus.round_trips_missed if bus.round_trip_s is None else 0

    async def stop(self) -> None:
        """Close the doors, finish what is under way, flush; each step has a bound."""
        await _step("stop intake", self.edge.close_intake, FLUSH_S_MAX)
        await _step("stop fetching", self.intake.stop, FLUSH_S_MAX)
        await _step("stop timers", self.timers.stop, FLUSH_S_MAX)
        if len(self.ownership.nodes) > 1:
            await _step("hand over", self.ownership.hand_over_all, FLUSH_S_MAX)
        await _step("drain", self._drain, DRAIN_S_MAX)
        self.edge.give_up()
        await _step("flush events", self._flush_events, FLUSH_S_MAX)
        await _step("flush dead letters", self.dead_letters.flush, FLUSH_S_MAX)
        await _step("flush bus", partial(self._bus.flush, FLUSH_S_MAX), FLUSH_S_MAX)
        await _step("close node", self.node.close, FLUSH_S_MAX)

    def _journal_epoch(self) -> int | None:
        return self.ownership.epoch(partition_of(JOURNAL_KIND, JOURNAL_KEY))

    async def _drain(self) -> None:
        while (
            self.edge.in_flight()
            or self.intake.in_flight()
            or self.node.waiting()
            or any(host.waiting() for host in self.node.hosts)
        ):
            await self._clock.sleep(0.01)

    async def _flush_events(self) -> None:
        # Only what is committed already; the outbox keeps the rest for the next node.
        if self._journal_epoch() is None:
            return
        wanted = self._journal.statistics().event_seq
        while self.relay.statistics().cursor < wanted:
            self.relay.wake()
            await self._clock.sleep(0.01)
        await self.relay.save_cursor()


def _shifting(clock: ShiftedClock) -> Callable[[SandboxRules, int], None]:
    return lambda rules, _version: clock.shift_to(rules.clock_ahead_s)


async def _step(name: str, action: Callable[[], Awaitable[Any]], limit_s: float) -> None:
    with anyio.move_on_after(limit_s) as scope:
        try:
            await action()
        except ZhihuiError as error:
            _log.warning("shutdown, %s: %s", name, error.message)
    if scope.cancelled_caught:
        _log.warning("shutdown, %s: gave up after %s s", name, limit_s)


@contextlib.asynccontextmanager
async def running_node(
    config: NodeConfig, *, clock: Clock | None = None, randomness: Randomness | None = None,
    bundled: Iterable[Archive] | None = None,
) -> AsyncIterator[RunningNode]:  # fmt: skip
    """Run a node; ready when entered, stopped in order when left.

    ``bundled`` are the packs that it offers the plan: those that came with the program, unless
    others are given.

    Raise :class:`~schemas.errors.NotReady` when a server is out of reach or the other nodes do not
    share, :class:`~zhihui.errors.SetupError` for a setting that cannot be used, and
    :class:`~schemas.errors.StaleOwner` from inside when a newer process takes the name.
    """
    if clock is None:
        clock = ShiftedClock() if config.settings.get(SANDBOX_VARIABLE) else SystemClock()
    try:
        async with (
            PostgresStore(config.postgres_dsn, application=f"zhihui:{config.name}") as store,
            NatsBus(
                config.nats_url, name=config.name, clock=clock, security=config.nats_security
            ) as bus,
        ):
            try:
                running = RunningNode(
                    config, bus, store, clock, randomness or SystemRandomness(),
                    objects=ObjectArchiveStore(bus.jetstream),
                    bundled=bundled_archives() if bundled is None else bundled,
                )  # fmt: skip
            except ValueError as error:
                raise SetupError(f"a setting cannot be used: {error}") from error
            async with serving(running):
                yield running
    except BaseExceptionGroup as group:
        raise _cause(group) from group


@contextlib.asynccontextmanager
async def serving(running: RunningNode) -> AsyncIterator[None]:
    """Let a node serve over ports that are open; stopped in order when left."""
    stopping = anyio.Event()
    async with anyio.create_task_group() as outer:
        await outer.start(_serve, running, stopping)
        try:
            yield
        finally:
            stopping.set()


async def _serve(
    running: RunningNode, stopping: anyio.Event, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    """Run the node until ``stopping``, then stop it in order.

    Once started it is shielded: a cancellation from outside must not take away the actors that
    still have to answer what is under way.
    """
    try:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                await running.start(tasks)
                scope.shield = True
                task_status.started()
                await stopping.wait()
                await running.stop()
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _step("leave", running.ownership.leave, FLUSH_S_MAX)
            running.plugins.close()


def _cause(error: BaseException) -> BaseException:
    """Return the one error behind nested groups, or the group that holds several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _calm_garbage_collector() -> None:
    """Keep the collector of cycles from stopping the world in the middle of a batch.

    What lives now lives until the end, and the messages make no cycles: a full collection of a
    million remembered objects finds nothing and takes 100 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 50, 1_000)


async def run_node(
    config: NodeConfig, *, clock: Clock | None = None,
    instruments: "InstrumentsConfig | None" = None,
) -> None:  # fmt: skip
    """Run a node until cancelled; write one line of JSON to the output once it takes requests."""
    # They are about nodes, and so are loaded after this module.
    from zhihui.instruments import NO_INSTRUMENTS, serving_instruments

    try:
        # Before the packs are loaded: what is frozen is not looked through when one is unloaded.
        _calm_garbage_collector()
        async with (
            serving_instruments(
                instruments or NO_INSTRUMENTS, node=config.name, postgres_dsn=config.postgres_dsn
            ) as shown,
            running_node(config, clock=clock) as running,
        ):
            shown.follow(running)
            said = {"ready": True, "node": config.name}
            if shown.url:
                said["metrics"] = shown.url
            sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
            sys.stdout.flush()
            await anyio.sleep_forever()
    except StaleOwner as error:
        raise StaleOwner(
            f"node {config.name!r} was replaced by another node of the same name"
        ) from error
