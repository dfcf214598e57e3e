"""A whole platform in one process: nodes, bus, store and streams in memory, on virtual time."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import anyio
import anyio.abc

from actors.tables import BANK_TABLES, first_rows
from kernel.memory_bus import MemoryBroker, MemoryBus
from kernel.memory_store import MemoryStore
from kernel.memory_streams import MemoryStreams
from kernel.pack import Pack
from kernel.plugins.archive import Archive
from kernel.plugins.archive_store import MemoryArchiveStore
from kernel.randomness import SeededRandomness
from kernel.store import CommitUnknown
from kernel.virtual_time import VirtualClock
from schemas.errors import NotReady, Unavailable
from zhihui.errors import ungrouped
from zhihui.node import NodeConfig, RunningNode
from zhihui.simulation.leaping import LeapingClock
from zhihui.simulation.pausing import RUNS_ON
from zhihui.simulation.watched import WatchedDatabase

__all__ = ("LEAP_MAX", "PATIENCE_MAX", "RESTART_S", "World")

# The pause of a supervisor.
RESTART_S = 0.5
# Services that look at the calendar see every day.
LEAP_MAX = timedelta(days=1)
# Seconds for which a timer that should have come is waited for; one that always fails never comes.
PATIENCE_MAX = 30
# Nodes look for timers twice a second; with this they see one before it is due.
_AWAKE = timedelta(seconds=1.2)
# What is due takes milliseconds, and what it sends as well.
_AFTER = timedelta(seconds=0.1)


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
        settings: dict[str, str] | None = None, *, resident: Iterable[Pack] = (),
        archives: Iterable[Archive] = (), steady: bool = False,
    ) -> None:  # fmt: skip
        """``resident`` packs are modules of this process, ``archives`` are loaded by the nodes.

        In a ``steady`` world what the store does takes no time.
        """
        self._settings = settings or {}
        self._resident = tuple(resident)
        self._archives = tuple(archives)
        self._steady = steady
        # Awaited at each moment of a store, with the name of the node before it; for mischief.
        self.intrude: Callable[[str, str], Awaitable[None]] | None = None
        self.clock = clock
        # What the nodes go by; the database has a clock of its own, as on another machine.
        self.wall = LeapingClock(clock)
        self.randomness = randomness
        self.hostile = False
        self.trace: list[tuple[float, str]] = []
        # Commits that stand though an epoch that they name was over, in words; there are none.
        self.stale_commits: list[str] = []
        self.broker = MemoryBroker(fate=self._fate)
        self.database = WatchedDatabase(clock, BANK_TABLES, first_rows())
        self.database.stale = self.stale_commits
        self.streams = MemoryStreams(clock)
        self.objects = MemoryArchiveStore()
        self._tasks = tasks
        self._lives: dict[str, _Life] = {}
        self._past: list[RunningNode] = []

    def _fate(self, subject: str) -> tuple[float, ...]:
        self.trace.append((self.clock.monotonic_s(), subject))
        return () if self._strikes(6) else (0.0,)

    def _strikes(self, bits: int) -> bool:
        return self.hostile and not self.randomness.bits(bits)

    async def _disturb(self, node: str, moment: str) -> None:
        if self.intrude is not None:
            await self.intrude(node, moment)
        if not self._steady:
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

    def store(self, name: str) -> MemoryStore:
        """Return the connection of a node that lives to the database."""
        return self._lives[name].store

    def bus(self, name: str) -> MemoryBus:
        """Return the connection of a node that lives to the bus."""
        return self._lives[name].bus

    def names(self) -> tuple[str, ...]:
        """Return the names of the nodes that live."""
        return tuple(self._lives)

    async def start(self, name: str) -> RunningNode:
        """Start a node and return when it takes requests."""
        bus = MemoryBus(self.broker)
        store = MemoryStore(self.database, disturb=partial(self._disturb, name))
        config = NodeConfig(name=name, nats_url="", postgres_dsn="", settings=self._settings)
        # Each its own: what one draws must not depend on what another does.
        randomness = SeededRandomness(self.randomness.bits(64))
        node = RunningNode(
            config, bus, store, self.wall, randomness, self.streams, objects=self.objects,
            bundled=self._archives, resident=self._resident,
        )  # fmt: skip
        life = self._lives[name] = _Life(node, bus, store)
        self._past.append(node)
        try:
            await self._tasks.start(self._run, life)
        except BaseException:
            del self._lives[name]
            bus.close()
            store.cut()
            raise
        return node

    async def restart(self, name: str) -> None:
        """Start a node again and again until it serves, as its supervisor does."""
        while True:
            try:
                with ungrouped():
                    await self.start(name)
            except Unavailable:
                await self.clock.sleep(RESTART_S)
            else:
                return

    async def _run(self, life: _Life, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        # All tasks of the node begin in this one, so that they can be told from those of others.
        RUNS_ON.set(life.node.config.name)
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

    def forget_code(self) -> None:
        """Take away what the nodes loaded of packs, as the end of a process does; they are over."""
        for node in self._past:
            node.plugins.close()
        self._past.clear()

    async def let_pass(self, duration: timedelta) -> None:
        """Let the wall time pass, leaping over the hours in which no timer is due."""
        end = self.wall.now() + duration
        patience = 0
        while (left := end - self.wall.now()) > timedelta():
            coming, overdue = self._due()
            if overdue and patience < PATIENCE_MAX:
                # It was lost on the way and is tried again, in seconds and not in hours.
                patience += 1
                await self.clock.sleep(min(1.0, left.total_seconds()))
                continue
            patience = 0
            step = min(left, LEAP_MAX, *(due - self.wall.now() for due in coming))
            if step > _AWAKE:
                self.wall.move(step - _AWAKE)
                step = _AWAKE
            # Awake from a moment before until what is due then had its time.
            await self.clock.sleep(min(step + _AFTER, end - self.wall.now()).total_seconds())

    def _due(self) -> tuple[list[datetime], bool]:
        """Return when timers are due that are to come, and whether one should have come already."""
        now = self.wall.now()
        all_due = [row["due_at"] for row in self.rows("timer")]
        coming = [due for due in all_due if due > now]
        return coming, len(coming) < len(all_due)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table in the order of their keys."""
        return [row for _, row in sorted(self.database.rows(table).items())]

    def owners(self) -> dict[str, int]:
        """Return how many partitions each node owns; '' are without an owner."""
        found: dict[str, int] = {}
        for row in self.rows("partition"):
            found[row["owner"]] = found.get(row["owner"], 0) + 1
        return found
