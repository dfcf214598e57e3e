"""The durable store as a port: what the journal and its neighbours need of a database."""

from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from kernel.book import TableRows
from kernel.dead_letter import DeadLetterStore
from kernel.ownership import OwnershipStore
from kernel.timers import TimerStore

__all__ = (
    "Commit",
    "CommitUnknown",
    "DuplicateRequest",
    "EventRow",
    "Joined",
    "NumbersTaken",
    "Position",
    "Query",
    "Remembered",
    "StaleEpoch",
    "Store",
    "VersionConflict",
    "Where",
)


class StaleEpoch(Exception):
    """Nothing was committed: ``partitions`` have a newer owner."""

    def __init__(self, partitions: set[int]) -> None:
        super().__init__(f"stale epoch of partitions {sorted(partitions)}")
        self.partitions = partitions


class DuplicateRequest(Exception):
    """Nothing was committed: one of the requests was decided before."""


class VersionConflict(Exception):
    """Nothing was committed: a document is not at the version the change was decided on."""


class CommitUnknown(Exception):
    """The connection was lost: whether the commit stands must be looked up."""


class NumbersTaken(CommitUnknown):
    """Nothing of this commit stands: one that was unknown came through after we looked."""


class Position(msgspec.Struct, frozen=True):
    """The last numbers given by the journal."""

    change_seq: int
    event_seq: int


class Remembered(msgspec.Struct, frozen=True):
    """The idempotency record of a decided request; ``outcome`` is 'committed' or an error code."""

    app: str
    request_id: str
    digest: bytes
    outcome: str
    answer: str


class Commit(msgspec.Struct, frozen=True):
    """All rows of one batch, and the epochs they were decided under."""

    epochs: dict[int, int]
    tables: list[TableRows]


class EventRow(msgspec.Struct, frozen=True):
    """An event as it stands in the outbox."""

    seq: int
    app: str
    type: str
    subject: str
    data: str
    at: datetime


class Where(msgspec.Struct, frozen=True, array_like=True):
    """A condition on one column; the value of ``in`` is a list."""

    column: str
    op: Literal["=", "in", ">", "<="]
    value: Any


class Joined(msgspec.Struct, frozen=True, array_like=True):
    """Columns of the row of another table that has the same value in the column ``on``.

    There is one at most; where there is none, all of them are null.
    """

    table: str
    on: str
    columns: tuple[str, ...]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A read of one table: rows where all conditions hold, in the order of the columns named.

    The columns of joined tables follow those of its own.
    """

    table: str
    columns: tuple[str, ...]
    joined: tuple[Joined, ...] = ()
    where: tuple[Where, ...] = ()
    order_by: tuple[str, ...] = ()
    limit: int | None = None


class Store(OwnershipStore, TimerStore, DeadLetterStore, Protocol):
    """Every method may raise :class:`~schemas.errors.NotReady` when the store is out of reach."""

    async def position(self) -> Position:
        """Return the last numbers in use."""

    async def find_requests(self, keys: list[tuple[str, str]]) -> list[Remembered]:
        """Return the records of those ``(app, request_id)`` that were decided."""

    async def commit(self, commit: Commit) -> None:
        """Write all of it or nothing; raise one of this module's errors when it does not stand."""

    async def load_document(
        self, pack: str, collection: str, key: str
    ) -> tuple[int, int, str] | None:
        """Return version, state version and body of a document, or None."""

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return events in order of their numbers."""

    async def event_cursor(self, stream: str) -> int:
        """Return the number of the last event relayed to ``stream``."""

    async def move_event_cursor(self, stream: str, seq: int) -> None:
        """Note that events up to ``seq`` were relayed to ``stream``."""

    async def fetch(self, query: Query) -> list[tuple[Any, ...]]:
        """Return rows as committed, each with the columns asked for; never on the journal's path.

        It is for reads by key: a query that no index serves is for reports, not for this.
        """

    async def round_trip(self) -> None:
        """Return when the store has answered."""

    def statistics(self) -> msgspec.Struct:
        """Return the counts so far, in the store's own terms."""
