"""A whole platform in one process: nodes, bus, store and streams in memory, on virtual time."""

import asyncio
from typing import Any

import anyio
import anyio.abc
import orjson

from actors.tables import BANK_TABLES, first_rows
from kernel.memory_bus import MemoryBroker, MemoryBus
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.memory_streams import MemoryStreams
from kernel.randomness import SeededRandomness
from kernel.store import CommitUnknown
from kernel.virtual_time import VirtualClock
from schemas.errors import NotReady
from schemas.subjects import request_subject
from zhihui.node import NodeConfig, RunningNode

__all__ = ("Caller", "World")


class _Life:
    """A node and how it ends."""

    def __init__(self, node: RunningNode, bus: MemoryBus, store: MemoryStore) -> None:
        self.node = node
        self.bus = bus
        self.store = store
        self.tasks: anyio.abc.TaskGroup | None = None
        self.stopping = anyio.Event()
        self.ended = anyio.Event()


class World:
    """The nodes that live, what they share, and a trace of what went over the bus.

    Nodes are made by :meth:`start`, and end by :meth:`stop` in order or by :meth:`kill` at once.
    While :attr:`hostile`, one message in 64 is lost, and one commit in 16 and one read in 64 lose
    their connection: commits before or after they stand.
    """

    def __init__(
        self, clock: VirtualClock, randomness: SeededRandomness, tasks: anyio.abc.TaskGroup,
        settings: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings or {}
        self.clock = clock
        self.randomness = randomness
        self.hostile = False
        self.trace: list[tuple[float, str]] = []
        self.broker = MemoryBroker(fate=self._fate)
        self.database = MemoryDatabase(clock, BANK_TABLES, first_rows())
        self.streams = MemoryStreams(clock)
        self._tasks = tasks
        self._lives: dict[str, _Life] = {}

    def _fate(self, subject: str) -> tuple[float, ...]:
        self.trace.append((self.clock.monotonic_s(), subject))
        return () if self._strikes(6) else (0.0,)

    def _strikes(self, bits: int) -> bool:
        return self.hostile and not self.randomness.bits(bits)

    async def _disturb(self, moment: str) -> None:
        # A commit takes 1 to 16 ms, and anything else 1 or 2.
        bits = 4 if moment == "commit" else 1
        await self.clock.sleep((1 + self.randomness.bits(bits)) / 1000)
        if moment.startswith("commit"):
            if self._strikes(5):
                raise CommitUnknown(f"lost at: {moment}")
        elif self._strikes(6):
            raise NotReady(f"lost at: {moment}")

    def node(self, name: str) -> RunningNode:
        """Return a node that lives."""
        return self._lives[name].node

    async def start(self, name: str) -> RunningNode:
        """Start a node and return when it takes requests."""
        bus = MemoryBus(self.broker)
        store = MemoryStore(self.database, disturb=self._disturb)
        config = NodeConfig(name=name, nats_url="", postgres_dsn="", settings=self._settings)
        # Each its own: what one draws must not depend on what another does.
        randomness = SeededRandomness(self.randomness.bits(64))
        node = RunningNode(config, bus, store, self.clock, randomness, self.streams)
        life = self._lives[name] = _Life(node, bus, store)
        await self._tasks.start(self._run, life)
        return node

    async def _run(self, life: _Life, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        # As the process does it, without its shield: a kill spares nothing.
        async with anyio.create_task_group() as tasks:
            life.tasks = tasks
            await life.node.start(tasks)
            task_status.started()
            await life.stopping.wait()
            await life.node.stop()
            await life.node.ownership.leave()
            tasks.cancel_scope.cancel()
        life.ended.set()

    async def stop(self, name: str) -> None:
        """Stop a node in order."""
        life = self._lives.pop(name)
        life.stopping.set()
        await life.ended.wait()

    def kill(self, name: str) -> None:
        """End a node in the middle of whatever it does: nobody hears from it again."""
        life = self._lives.pop(name)
        # Cut off first, so that whatever its tasks do when they are cancelled has no effect.
        life.bus.close()
        life.store.cut()
        assert life.tasks is not None
        life.tasks.cancel_scope.cancel()

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table in the order of their keys."""
        return [row for _, row in sorted(self.database.rows(table).items())]

    def owners(self) -> dict[str, int]:
        """Return how many partitions each node owns; '' are without an owner."""
        found: dict[str, int] = {}
        for row in self.rows("partition"):
            found[row["owner"]] = found.get(row["owner"], 0) + 1
        return found


class Caller:
    """A backend that asks over the public subjects, and asks again until it is answered."""

    def __init__(self, world: World, app: str = "shop") -> None:
        self._world = world
        self._app = app
        self._bus = MemoryBus(world.broker)
        self._next = 0
        self._waiting: dict[str, asyncio.Future[Any]] = {}

    async def open(self) -> None:
        """Begin to hear answers."""
        await self._bus.subscribe(f"_INBOX_{self._app}.*", self._on_answer)

    def _on_answer(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        future = self._waiting.get(subject)
        if future is not None and not future.done():
            future.set_result(orjson.loads(data))

    async def ask(self, operation: str, timeout_s: float = 1.0, **body: Any) -> Any:
        """Ask once; return the answer, ``ok`` or not. Raise :class:`TimeoutError`."""
        self._next += 1
        inbox = f"_INBOX_{self._app}.{self._next}"
        future = self._waiting[inbox] = asyncio.get_running_loop().create_future()
        service, verb = operation.split(".")
        try:
            self._bus.publish(
                request_subject(self._app, service, verb), orjson.dumps(body), reply=inbox
            )
            async with asyncio.timeout(timeout_s):
                return await future
        finally:
            del self._waiting[inbox]

    async def call(self, operation: str, **body: Any) -> Any:
        """Ask until there is a definite answer, and return its result."""
        while True:
            try:
                answer = await self.ask(operation, **body)
            except TimeoutError:
                continue
            if answer["ok"]:
                return answer["result"]
            assert answer["error"]["retryable"], answer
            await self._world.clock.sleep(0.1)
