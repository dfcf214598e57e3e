"""The store over Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any, Self

import asyncpg
import msgspec

from kernel import _postgres_ownership
from kernel._postgres_writing import CommitStatements
from kernel.book import TableRows
from kernel.dead_letter import DeadLetter
from kernel.ownership import Cluster
from kernel.store import (
    Commit,
    CommitUnknown,
    DuplicateRequest,
    EventRow,
    NumbersTaken,
    Position,
    Query,
    Remembered,
    StaleEpoch,
    VersionConflict,
)
from kernel.timers import DueTimer
from kernel.write_groups import side_by_side
from schemas.errors import NotReady

__all__ = (
    "COMMIT_TIMEOUT_S",
    "CONNECT_TIMEOUT_S",
    "READERS_MAX",
    "READ_TIMEOUT_S",
    "PostgresStore",
    "StoreStatistics",
)

_log = logging.getLogger(__name__)

# A commit of a full batch takes 30 ms; ten seconds means that the database is gone.
COMMIT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
# Reads go past the journal; four connections serve thousands of them a second.
READERS_MAX = 4

_STALE_EPOCH = "ZH001"
# Numbers that only one writer gives; a collision means that our picture is old.
_POSITIONS = ("change_seq", "event_pkey", "entry_pkey")
# Shutting down, starting up, out of room, a standby, a fault of its disk, cancelled by an operator,
# or rolled back for another transaction: the statement did not stand and may later.
_AWAY = (
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
    asyncpg.QueryCanceledError,
)
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; a failed commit was rolled back or its outcome is unknown."""

    commits: int
    commits_failed: int
    rows: int
    reads: int
    writer_connects: int
    readers: int


class PostgresStore:
    """See :class:`kernel.store.Store`. Use as an async context manager.

    One connection writes the journal's commits, one keeps what the node owns, and a pool serves
    everything else: a crowd of reads must not cost the node its leases.
    """

    def __init__(self, dsn: str, *, application: str = "zhihui") -> None:
        self._dsn = dsn
        self._application = application
        # Everything here is read and written by key. A plan that was made while a table was small
        # would otherwise walk all of it, batch after batch, until the server has looked anew.
        self._settings = {"application_name": application, "enable_seqscan": "off"}
        self._writer: asyncpg.Connection[Any] | None = None
        self._statements = CommitStatements()
        self._commits = 0
        self._commits_failed = 0
        self._rows = 0
        self._reads = 0
        self._writer_connects = 0

    async def __aenter__(self) -> Self:
        try:
            self._pool = await self._make_pool(READERS_MAX)
            try:
                self._owning = await self._make_pool(1)
            except BaseException:
                self._pool.terminate()
                raise
        except (*_AWAY, *_LOST, asyncpg.PostgresError) as error:
            raise NotReady(f"cannot connect to Postgres: {error}") from error
        return self

    async def _make_pool(self, connections_max: int) -> asyncpg.Pool[Any]:
        return await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=connections_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=READ_TIMEOUT_S,
            server_settings=self._settings,
            reset=_keep_as_it_is,
        )

    async def __aexit__(self, *exc: object) -> None:
        if self._writer is not None and not self._writer.is_closed():
            self._writer.terminate()
        for pool in (self._pool, self._owning):
            with contextlib.suppress(*_LOST):
                await asyncio.wait_for(pool.close(), 2.0)
            pool.terminate()

    # The journal's side.

    async def position(self) -> Position:
        """Return the last numbers in use."""
        rows = await self.read_rows(
            "SELECT (SELECT coalesce(max(seq), 0) FROM zhihui.change),"
            " (SELECT coalesce(max(seq), 0) FROM zhihui.event)"
        )
        return Position(rows[0][0], rows[0][1])

    async def find_requests(self, keys: list[tuple[str, str]]) -> list[Remembered]:
        """Return the records of those ``(app, request_id)`` that were decided."""
        rows = await self.read_rows(
            "SELECT c.app, c.request_id, c.digest, c.outcome, c.answer FROM zhihui.change AS c"
            " JOIN unnest($1::text[], $2::text[]) AS k(app, request_id) USING (app, request_id)",
            [app for app, _ in keys],
            [request_id for _, request_id in keys],
        )
        return [Remembered(*row) for row in rows]

    async def commit(self, commit: Commit) -> None:
        """Write all of it or nothing."""
        try:
            await self._commit(await self._writing(), commit)
        except BaseException:
            self._commits_failed += 1
            raise
        self._commits += 1
        self._rows += sum(len(table.rows) for table in commit.tables)

    async def _commit(self, connection: asyncpg.Connection[Any], commit: Commit) -> None:
        groups = side_by_side(commit.tables)
        try:
            if len(groups) == 1:
                # A statement alone is a transaction: one way there and back for all of it.
                await self._write(connection, groups[0], commit.epochs)
            else:
                await connection.execute("BEGIN", timeout=COMMIT_TIMEOUT_S)
                for number, group in enumerate(groups):
                    await self._write(connection, group, None if number else commit.epochs)
                await connection.execute("COMMIT", timeout=COMMIT_TIMEOUT_S)
        except asyncpg.DivisionByZeroError as error:
            await self._roll_back(connection)
            raise VersionConflict("a row is not as it was when the change was decided") from error
        except asyncpg.DataError:
            # A value that Postgres cannot take; though asyncpg calls it an interface error, the
            # connection is sound and the batch is at fault.
            await self._roll_back(connection)
            raise
        except (*_AWAY, *_LOST) as error:
            connection.terminate()
            raise CommitUnknown(f"{type(error).__name__}: {error}") from error
        except asyncio.CancelledError:
            connection.terminate()
            raise
        except asyncpg.PostgresError as error:
            await self._roll_back(connection)
            raise _translated(error) from error
        except BaseException:
            await self._roll_back(connection)
            raise

    async def _write(
        self,
        connection: asyncpg.Connection[Any],
        tables: list[TableRows],
        epochs: dict[int, int] | None,
    ) -> None:
        """Write tables in one statement, under these epochs if they are to be looked at."""
        text, arguments = self._statements.make(tables, epochs)
        await connection.execute(text, *arguments, timeout=COMMIT_TIMEOUT_S)

    async def _writing(self) -> asyncpg.Connection[Any]:
        writer = self._writer
        if writer is None or writer.is_closed():
            try:
                writer = await asyncpg.connect(
                    self._dsn, timeout=CONNECT_TIMEOUT_S, server_settings=self._settings
                )
            except (*_AWAY, *_LOST, asyncpg.PostgresError) as error:
                raise NotReady(f"cannot connect to Postgres: {error}") from error
            self._writer = writer
            self._writer_connects += 1
        return writer

    async def _roll_back(self, connection: asyncpg.Connection[Any]) -> None:
        if not connection.is_in_transaction():
            return
        try:
            await connection.execute("ROLLBACK", timeout=READ_TIMEOUT_S)
        except (*_AWAY, *_LOST, asyncpg.PostgresError):
            connection.terminate()

    # Ownership.

    async def join_cluster(self, node: str, instance: str, lease_s: float) -> None:
        """Let this process go by the name of the node, whoever did so before."""
        async with self._reading(self._owning) as connection:
            await _postgres_ownership.join(connection, node, instance, lease_s)

    async def heartbeat(
        self, node: str, instance: str, lease_s: float, *, leaving: bool = False
    ) -> Cluster:
        """Let the node, and so what it holds, live on; return everything as it then stands."""
        async with self._reading(self._owning) as connection:
            await _postgres_ownership.heartbeat(
                connection, node, instance, lease_s, leaving=leaving
            )
            return await _postgres_ownership.cluster(connection, node)

    async def claim_partitions(
        self, node: str, instance: str, epochs: dict[int, int], limit: int, lease_s: float
    ) -> Cluster:
        """Take what a former process of this name left, and up to ``limit`` of what is free."""
        async with self._reading(self._owning) as connection:
            await _postgres_ownership.end_former_sessions(
                connection, node, epochs, self._application.partition(":")[0]
            )
            claim = partial(
                _postgres_ownership.claim, connection, node, instance, epochs, limit, lease_s
            )
            try:
                return await claim(skip_locked=False)
            except asyncpg.LockNotAvailableError:
                # Somebody is stuck in a commit; the rest need not wait for that.
                return await claim(skip_locked=True)

    async def release_partitions(self, node: str, epochs: dict[int, int]) -> None:
        """Let go; the epoch stays, so the next owner's is higher."""
        async with self._reading(self._owning) as connection:
            await _postgres_ownership.release(connection, node, epochs)

    async def leave_cluster(self, node: str, instance: str) -> None:
        """Forget the node, unless another process goes by its name."""
        async with self._reading(self._owning) as connection:
            await _postgres_ownership.leave(connection, node, instance)

    # Timers.

    async def due_timers(
        self, partitions: list[int], now: datetime, limit: int, without: list[str]
    ) -> list[DueTimer]:
        """Return timers of these partitions that are due at ``now``, the oldest first."""
        rows = await self.read_rows(
            "SELECT timer_id, due_at, every_s, kind, key, type, app, body FROM zhihui.timer"
            " WHERE due_at <= $2 AND partition = ANY($1) AND timer_id <> ALL($4)"
            " ORDER BY due_at, timer_id LIMIT $3",
            partitions,
            now,
            limit,
            without,
        )
        return [DueTimer(*row) for row in rows]

    async def end_timers(self, ended: list[tuple[str, datetime, datetime | None]]) -> None:
        """Remove each timer whose ``due_at`` is still this one, or move it to its next time."""
        # What a commit is about to cancel is skipped: it will be gone, or it comes again.
        await self.read_rows(
            "WITH ended AS (SELECT t.timer_id, e.next_at FROM zhihui.timer AS t"
            " JOIN unnest($1::text[], $2::timestamptz[], $3::timestamptz[])"
            " AS e(timer_id, due_at, next_at) ON t.timer_id = e.timer_id AND t.due_at = e.due_at"
            " FOR UPDATE OF t SKIP LOCKED),"
            " moved AS (UPDATE zhihui.timer AS t SET due_at = e.next_at FROM ended AS e"
            " WHERE t.timer_id = e.timer_id AND e.next_at IS NOT NULL)"
            " DELETE FROM zhihui.timer AS t USING ended AS e"
            " WHERE t.timer_id = e.timer_id AND e.next_at IS NULL",
            *([one[column] for one in ended] for column in range(3)),
        )

    # The rest.

    async def keep_dead_letters(self, letters: list[DeadLetter]) -> None:
        """Store all of ``letters``, once each."""
        rows = [
            (one.dead_letter_id, one.at, one.node, one.kind, one.key, one.type, one.app,
             one.reason, one.attempts, one.body)
            for one in letters
        ]  # fmt: skip
        async with self._reading() as connection:
            await connection.executemany(
                "INSERT INTO zhihui.dead_letter VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)"
                " ON CONFLICT (dead_letter_id) DO NOTHING",
                rows,
            )

    async def load_document(
        self, pack: str, collection: str, key: str
    ) -> tuple[int, int, str] | None:
        """Return version, state version and body of a document, or None."""
        rows = await self.read_rows(
            "SELECT version, state_version, body FROM zhihui.document"
            " WHERE pack = $1 AND collection = $2 AND key = $3",
            pack,
            collection,
            key,
        )
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return events in order of their numbers."""
        rows = await self.read_rows(
            "SELECT seq, app, type, subject, data, at FROM zhihui.event"
            " WHERE seq > $1 ORDER BY seq LIMIT $2",
            seq,
            limit,
        )
        return [EventRow(*row) for row in rows]

    async def event_cursor(self, stream: str) -> int:
        """Return the number of the last event relayed to ``stream``."""
        rows = await self.read_rows("SELECT seq FROM zhihui.event_cursor WHERE stream = $1", stream)
        return int(rows[0][0]) if rows else 0

    async def move_event_cursor(self, stream: str, seq: int) -> None:
        """Note that events up to ``seq`` were relayed to ``stream``; it never moves back."""
        await self.read_rows(
            "INSERT INTO zhihui.event_cursor AS c VALUES ($1, $2) ON CONFLICT (stream)"
            " DO UPDATE SET seq = greatest(c.seq, excluded.seq)",
            stream,
            seq,
        )

    async def fetch(self, query: Query) -> list[tuple[Any, ...]]:
        """Return rows as committed, each with the columns asked for."""
        conditions = [
            f"t.{one.column} = ANY(${n})" if one.op == "in" else f"t.{one.column} {one.op} ${n}"
            for n, one in enumerate(query.where, 1)
        ]
        columns = [f"t.{column}" for column in query.columns]
        source = f"zhihui.{query.table} AS t"
        for n, other in enumerate(query.joined):
            columns += [f"j{n}.{column}" for column in other.columns]
            source += f" LEFT JOIN zhihui.{other.table} AS j{n} ON j{n}.{other.on} = t.{other.on}"
        text = f"SELECT {', '.join(columns)} FROM {source}"  # noqa: S608 - names of our own tables
        if conditions:
            text += f" WHERE {' AND '.join(conditions)}"
        if query.order_by:
            text += f" ORDER BY {', '.join(f't.{column}' for column in query.order_by)}"
        if query.limit is not None:
            text += f" LIMIT {query.limit:d}"
        rows = await self.read_rows(text, *(one.value for one in query.where))
        return [tuple(row) for row in rows]

    async def read_rows(self, query: str, *arguments: Any) -> list[Any]:
        """Return the rows of a statement on the read pool; other stores have only :meth:`fetch`."""
        async with self._reading() as connection:
            return list(await connection.fetch(query, *arguments))

    async def round_trip(self) -> None:
        """Return when the store has answered."""
        await self.read_rows("SELECT 1")

    @contextlib.asynccontextmanager
    async def _reading(self, pool: asyncpg.Pool[Any] | None = None) -> AsyncIterator[Any]:
        self._reads += 1
        reached = False
        try:
            async with (pool or self._pool).acquire(timeout=READ_TIMEOUT_S) as connection:
                reached = True
                yield connection
        except (*_AWAY, *_LOST, asyncpg.PostgresError) as error:
            # A server that lets nobody in, whatever it says, is away; an error of a statement is
            # the caller's.
            if reached and not isinstance(error, (*_AWAY, *_LOST)):
                raise
            raise NotReady(
                f"Postgres does not answer: {str(error) or type(error).__name__}"
            ) from error

    def statistics(self) -> StoreStatistics:
        """Return the counts so far."""
        return StoreStatistics(
            commits=self._commits,
            commits_failed=self._commits_failed,
            rows=self._rows,
            reads=self._reads,
            writer_connects=self._writer_connects,
            readers=self._pool.get_size(),
        )


async def _keep_as_it_is(connection: object) -> None:
    """Skip the round trip that cleans what comes back to a pool: nothing of ours leaves a trace."""


def _translated(error: asyncpg.PostgresError) -> Exception:
    """Return this module's error for Postgres's own."""
    if error.sqlstate == _STALE_EPOCH:
        return StaleEpoch({int(p) for p in str(error.detail or "").split(",") if p})
    if isinstance(error, asyncpg.UniqueViolationError):
        if error.constraint_name == "change_pkey":
            return DuplicateRequest(error.detail or "")
        if error.constraint_name == "document_pkey":
            return VersionConflict(error.detail or "")
        if error.constraint_name in _POSITIONS:
            # A commit whose outcome we never learned came through after we looked.
            return NumbersTaken("the state in memory is behind the store")
    if isinstance(error, asyncpg.CardinalityViolationError):
        return VersionConflict("one document was changed twice in one batch")
    return error
