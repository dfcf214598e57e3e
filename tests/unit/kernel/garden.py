"""A host of packs made of the kernel alone, for another trade: greenhouses.

Beds are documents, the effect that a pack may ask for is to be woken, and the journal's book knows
nothing at all. What a bank would have instead of these hundred lines stands in ``actors/``.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any

import anyio.abc
import msgspec

from kernel.actor import Actor, ActorContext, BoundHandler, Delivery
from kernel.book import TableRows
from kernel.clock import Clock
from kernel.dead_letter import DeadLetters
from kernel.host import BatchHost, KeyedHost
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE, FactTable, Journal
from kernel.memory_bus import MemoryBroker, MemoryBus
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.node import Node, NodeContext
from kernel.ownership import Ownership
from kernel.pack import Plan
from kernel.plugins.generation import Generation
from kernel.plugins.imports import ImportRules
from kernel.plugins.migration import StoredDocument, migrated
from kernel.plugins.registry import HostTerms, Registry
from kernel.plugins.slot import Slot
from kernel.randomness import IdFactory, Randomness
from kernel.store import Store
from kernel.timers import TimerService
from schemas.change import Alternative, Change, Event, Fact, Timer, TimerFired

__all__ = ("KIND", "Garden", "Wake")

KIND = "grown"
TERMS = HostTerms(
    api="1.0.0",
    imports=ImportRules(
        public=("kernel.pack", "schemas.errors", "tests.unit.kernel.garden"),
        private=("actors", "kernel", "plugins", "schemas", "tests", "zhihui"),
    ),
    capabilities=frozenset({"wake"}),
)
_DOCUMENTS = FactTable(
    "document",
    ("pack", "collection", "key", "version", "state_version", "body"),
    ("text", "text", "text", "bigint", "integer", "text"),
    versioned=True,
    key=("pack", "collection", "key"),
)
_NO_MOVES = msgspec.Raw(msgspec.msgpack.encode(None))
_encode = msgspec.json.Encoder().encode


class Wake(msgspec.Struct, frozen=True):
    """The effect of this trade: be called at a moment, with a body."""

    name: str
    due_at: datetime
    body: msgspec.Struct


class _EmptyBook:
    """See :class:`kernel.book.Book`: a trade without anything to keep books of."""

    def decode(self, moves: msgspec.Raw) -> Any:
        return None

    def missing(self, moves: Any) -> Iterable[str]:
        return ()

    async def load(self, ids: set[str]) -> None:
        """There is nothing."""

    def begin(self, at: datetime) -> None:
        """There is nothing."""

    def decide(self, app: str, moves: Any, change_seq: int) -> Mapping[str, int] | None:
        return None

    def savepoint(self) -> Any:
        return None

    def restore(self, savepoint: Any) -> None:
        """There is nothing."""

    def rows(self) -> list[TableRows]:
        return []

    def commit(self) -> None:
        """There is nothing."""

    def rollback(self) -> None:
        """There is nothing."""

    def forget(self) -> None:
        """There is nothing."""


class _Context:
    """See :class:`kernel.pack.Context`."""

    def __init__(self, clock: Clock, app: str, request_id: str) -> None:
        self.app = app
        self.request_id = request_id
        self.clock = clock
        self.log = logging.getLogger(KIND)

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return self.clock.now()

    async def read(self, collection: str, key: str, state: type[Any]) -> Any:
        """Return nothing: beds know nothing of each other."""


class _Grown(Actor):
    """One identity of a pack: its operations, and what wakes it."""

    def __init__(self, context: ActorContext, *, slot: Slot, store: Store) -> None:
        super().__init__(context)
        self._slot = slot
        self._store = store

    def handler(self, type_: str) -> BoundHandler | None:
        """Take anything; the generation that serves knows what it is."""
        return (lambda body: body), self._take

    async def _take(self, body: msgspec.Raw, delivery: Delivery) -> Any:
        generation = self._slot.pick(self.context.key)
        with generation.lease() as lease:
            type_ = delivery.envelope.type
            pack = generation.pack
            operation = next((one for one in pack.pack_operations() if one.verb == type_), None)
            timer = next((one for one in pack.pack_timers() if one.name == type_), None)
            fired = None
            if operation is not None:
                marked: Any = operation
                message = msgspec.msgpack.decode(body, type=operation.request)
            else:
                assert timer is not None, f"nothing takes {type_!r}"
                marked = timer
                fired = msgspec.msgpack.decode(body, type=TimerFired)
                message = msgspec.msgpack.decode(fired.body, type=timer.body)
            request_id = fired.request_id if fired else getattr(message, "request_id", "")
            version, state = await self._load(generation, marked)
            context = _Context(self.context.clock, delivery.envelope.app, request_id)
            decided = await lease.run(getattr(pack, marked.method)(context, message, state))
            if operation is not None and not operation.mutates:
                return decided
            change = self._change(generation, marked, decided, delivery, request_id, version)
            reply = await self.context.ask(
                JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change,
                app=change.app, deadline_ms=delivery.envelope.deadline_ms,
            )  # fmt: skip
            return msgspec.msgpack.decode(reply.body, type=bytes)

    async def _load(self, generation: Generation, marked: Any) -> tuple[int, Any]:
        found = await self._store.load_document(
            self._slot.name, marked.collection, self.context.key
        )
        if found is None:
            return 0, None
        version, state_version, body = found
        document = migrated(
            StoredDocument(state_version, body.encode()), collection=marked.collection,
            key=self.context.key, reader=generation, slot=self._slot,
        )  # fmt: skip
        return version, msgspec.json.decode(document.body, type=marked.state)

    def _change(
        self, generation: Generation, marked: Any, plan: Plan, delivery: Delivery,
        request_id: str, version: int,
    ) -> Change:  # fmt: skip
        key, app = self.context.key, delivery.envelope.app
        facts: tuple[Fact, ...] = ()
        if plan.state is not None:
            body = _encode(plan.state)
            generation.turns.check_document(body)
            state_version = generation.manifest.state_version_of(marked.collection)
            row = (self._slot.name, marked.collection, key, version + 1, state_version)
            facts = (Fact("document", (*row, body.decode())),)
        timers = []
        for effect in plan.effects:
            assert isinstance(effect, Wake)
            generation.grants.require("wake")
            name = next(
                one.name
                for one in generation.pack.pack_timers()
                if one.body is type(effect.body) and one.collection == marked.collection
            )
            due_at_ms = int(effect.due_at.timestamp() * 1000)
            raw = msgspec.Raw(msgspec.msgpack.encode(effect.body))
            timers.append(
                Timer(f"{key}.{effect.name}", due_at_ms, f"{KIND}.{self._slot.name}", key, name,
                      app, raw)
            )  # fmt: skip
        events = tuple(
            Event(one.type, one.subject, _encode(one.data).decode()) for one in plan.notices
        )
        alternative = Alternative(
            _NO_MOVES, facts, events, _encode(plan.result).decode(), tuple(timers),
            tuple(one.timer_id for one in timers),
        )  # fmt: skip
        digest = blake2b(f"{delivery.envelope.type} {request_id}".encode(), digest_size=16)
        return Change(
            app, request_id, delivery.envelope.type, digest.digest(), (alternative,), None,
            self.context.partition, self.context.epoch,
        )  # fmt: skip


class Garden:
    """One node of the host, over a database that may have outlived others."""

    def __init__(
        self, name: str, database: MemoryDatabase, broker: MemoryBroker, clock: Clock,
        randomness: Randomness, plugin: str,
    ) -> None:  # fmt: skip
        ids = IdFactory(clock, randomness)
        self.clock = clock
        self.store = MemoryStore(database)
        self.bus = MemoryBus(broker)
        self.ownership = Ownership(name, ids.new(name), self.store, clock)
        self.node = Node(name, self.bus, self.ownership, clock)
        self.registry = Registry(TERMS, clock, space=ids.new(name))
        letters = DeadLetters(name, self.store, clock, ids)
        journal = Journal(self.store, _EmptyBook(), self.ownership, clock, (_DOCUMENTS,))
        self._hosts = (
            BatchHost(lambda: journal, clock=clock, dead_letters=letters),
            KeyedHost(
                partial(_Grown, slot=self.registry.slot(plugin), store=self.store),
                partial(NodeContext, self.node, self.ownership, ids),
                kind=f"{KIND}.{plugin}", clock=clock, dead_letters=letters,
            ),
        )  # fmt: skip
        self._timers = TimerService(self.store, self.node, clock, self.ownership.owned)
        self._plugin = plugin
        self._letters = letters

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Serve until the task group is cancelled."""
        for host in self._hosts:
            self.node.add_host(host)
            tasks.start_soon(host.run)
        tasks.start_soon(self._letters.run)
        tasks.start_soon(self.node.sweep)
        await self.node.open()
        await self.ownership.join(10.0)
        tasks.start_soon(self.ownership.keep)
        tasks.start_soon(self._timers.run)

    async def ask(self, verb: str, key: str, message: msgspec.Struct) -> Any:
        """Ask a pack's identity, and return the answer as plain data."""
        deadline_ms = self.clock.now_ms() + 5_000
        reply = await self.node.ask(
            f"{KIND}.{self._plugin}", key, verb, message, app="town", deadline_ms=deadline_ms
        )
        answer = msgspec.msgpack.decode(reply.body)
        return msgspec.json.decode(answer) if isinstance(answer, bytes) else answer
