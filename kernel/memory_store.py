"""The store in memory: for tests, and for a whole platform in one process.

A :class:`~kernel.memory_database.MemoryDatabase` holds the rows. A :class:`MemoryStore` is one
node's connection to it, which can be slow, be cut, or lose the answer to a commit.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import anyio.lowlevel
import msgspec

from kernel.dead_letter import DeadLetter
from kernel.memory_database import MemoryDatabase
from kernel.ownership import Cluster
from kernel.store import Commit, CommitUnknown, EventRow, Position, Query, Remembered
from kernel.timers import DueTimer
from schemas.errors import NotReady

__all__ = ("Disturbance", "MemoryStore", "MemoryStoreStatistics")

# Awaited before and after each operation with its name, such as "commit" and "commit done". It may
# wait, and it may raise what a connection that is lost at this moment raises.
Disturbance = Callable[[str], Awaitable[None]]


class MemoryStoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; a failed commit did not stand or its outcome is unknown."""

    commits: int
    commits_failed: int
    rows: int
    reads: int


class MemoryStore:
    """See :class:`kernel.store.Store`. What nodes share is the database, not this.

    ``faults`` are taken one for each commit: ``lost`` loses the connection before it stands,
    ``unheard`` after, and '' is none.
    """

    def __init__(self, database: MemoryDatabase, *, disturb: Disturbance | None = None) -> None:
        self.database = database
        self.faults: deque[str] = deque()
        self.disturb = disturb
        self._connected = True
        # What was begun on an earlier connection is lost.
        self._connection = 0
        self._commits = 0
        self._commits_failed = 0
        self._rows = 0
        self._reads = 0

    def cut(self) -> None:
        """Lose the connection: what is under way fails, and so does all that comes."""
        self._connected = False
        self._connection += 1

    def mend(self) -> None:
        """Bring the connection back."""
        self._connected = True

    async def _pass(self, moment: str) -> None:
        """Let the others run, as any real way to a store does, and be disturbed."""
        connection = self._connection
        if self._connected:
            if self.disturb is not None:
                await self.disturb(moment)
            await anyio.lowlevel.checkpoint()
        if not self._connected or connection != self._connection:
            raise NotReady("the store is cut off")

    async def _read(self, operation: str) -> MemoryDatabase:
        self._reads += 1
        await self._pass(operation)
        return self.database

    # The journal's side.

    async def position(self) -> Position:
        """Return the last numbers in use."""
        return (await self._read("position")).position()

    async def find_requests(self, keys: list[tuple[str, str]]) -> list[Remembered]:
        """Return the records of those ``(app, request_id)`` that were decided."""
        return (await self._read("find_requests")).find_requests(keys)

    async def commit(self, commit: Commit) -> None:
        """Write all of it or nothing."""
        fault = self.faults.popleft() if self.faults else ""
        try:
            await self._pass("commit")
            if fault == "lost":
                raise CommitUnknown("lost before the commit")  # noqa: TRY301 - counted below
            self.database.commit(commit)
            try:
                await self._pass("commit done")
            except NotReady as error:
                raise CommitUnknown("lost after the commit") from error
            if fault == "unheard":
                raise CommitUnknown("lost after the commit")  # noqa: TRY301 - as above
        except BaseException:
            self._commits_failed += 1
            raise
        self._commits += 1
        self._rows += sum(len(table.rows) for table in commit.tables)

    # Ownership.

    async def join_cluster(self, node: str, instance: str, lease_s: float) -> None:
        """Let this process go by the name of the node, whoever did so before."""
        (await self._read("join_cluster")).join_cluster(node, instance, lease_s)

    async def heartbeat(
        self, node: str, instance: str, lease_s: float, *, leaving: bool = False
    ) -> Cluster:
        """Let the node, and so what it holds, live on; return everything as it then stands."""
        database = await self._read("heartbeat")
        database.live_on(node, instance, lease_s, leaving=leaving)
        return database.cluster(node)

    async def claim_partitions(
        self, node: str, instance: str, epochs: dict[int, int], limit: int, lease_s: float
    ) -> Cluster:
        """Take partitions, each under a new epoch, and return everything as it then stands."""
        database = await self._read("claim_partitions")
        if database.live_on(node, instance, lease_s):
            database.claim_partitions(node, epochs, limit, lease_s)
        return database.cluster(node)

    async def release_partitions(self, node: str, epochs: dict[int, int]) -> None:
        """Let go of those held under these epochs."""
        (await self._read("release_partitions")).release_partitions(node, epochs)

    async def leave_cluster(self, node: str, instance: str) -> None:
        """Forget the node, unless another process goes by its name."""
        (await self._read("leave_cluster")).leave_cluster(node, instance)

    # The rest.

    async def due_timers(
        self, partitions: list[int], now: datetime, limit: int, without: list[str]
    ) -> list[DueTimer]:
        """Return timers of these partitions that are due at ``now``, the oldest first."""
        return (await self._read("due_timers")).due_timers(partitions, now, limit, without)

    async def end_timers(self, ended: list[tuple[str, datetime, datetime | None]]) -> None:
        """Remove each timer whose ``due_at`` is still this one, or move it to its next time."""
        (await self._read("end_timers")).end_timers(ended)

    async def keep_dead_letters(self, letters: list[DeadLetter]) -> None:
        """Store all of ``letters``, once each."""
        (await self._read("keep_dead_letters")).keep_dead_letters(letters)

    async def load_document(
        self, pack: str, collection: str, key: str
    ) -> tuple[int, int, str] | None:
        """Return version, state version and body of a document, or None."""
        row = (await self._read("load_document")).rows("document").get((pack, collection, key))
        return None if row is None else (row["version"], row["state_version"], row["body"])

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return events in order of their numbers."""
        return (await self._read("events_after")).events_after(seq, limit)

    async def event_cursor(self, stream: str) -> int:
        """Return the number of the last event relayed to ``stream``."""
        row = (await self._read("event_cursor")).rows("event_cursor").get((stream,))
        return 0 if row is None else row["seq"]

    async def move_event_cursor(self, stream: str, seq: int) -> None:
        """Note that events up to ``seq`` were relayed to ``stream``; it never moves back."""
        database = await self._read("move_event_cursor")
        row = database.rows("event_cursor").get((stream,), {"seq": seq})
        database.put("event_cursor", (stream,), {"stream": stream, "seq": max(seq, row["seq"])})

    async def fetch(self, query: Query) -> list[tuple[Any, ...]]:
        """Return rows as committed, each with the columns asked for."""
        return (await self._read("fetch")).fetch(query)

    async def round_trip(self) -> None:
        """Return when the store has answered."""
        await self._read("round_trip")

    def statistics(self) -> MemoryStoreStatistics:
        """Return the counts so far."""
        return MemoryStoreStatistics(
            commits=self._commits,
            commits_failed=self._commits_failed,
            rows=self._rows,
            reads=self._reads,
        )
