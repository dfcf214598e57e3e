"""What the journal keeps for others: a book decides moves in memory and says which rows follow.

The journal knows order, identity and atomicity; the book knows what a move means. An implementation
holds its state in memory, loads what it lacks, and can take back everything since :meth:`begin`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

__all__ = ("Book", "StaleDecision", "TableRows")

_Mode = Literal["insert", "update", "versioned", "delete"]


class TableRows(msgspec.Struct, frozen=True):
    """Rows of one table for one commit.

    ``insert`` appends. ``update`` sets the other columns where ``key`` matches. ``versioned``
    inserts or replaces by ``key``, and fails unless the stored ``version`` is one less. ``delete``
    removes what ``key`` matches, if it is there.
    """

    table: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    mode: _Mode = "insert"
    key: tuple[str, ...] = ()


class StaleDecision(Exception):
    """What moves ask for shows that they were decided on a state that is over.

    It is no rejection: whoever sent them decides again, and may come to something else.
    """


class Book(Protocol):
    """See the module."""

    def decode(self, moves: msgspec.Raw) -> Any:
        """Return the moves of one alternative; raise :class:`msgspec.MsgspecError`."""

    def missing(self, moves: Any) -> Iterable[str]:
        """Return the ids that :meth:`decide` will need and that are not in memory."""

    async def load(self, ids: set[str]) -> None:
        """Bring ``ids`` into memory; those that do not exist are remembered as such.

        It may overlap with :meth:`commit`, never with another call: what is not in memory is
        nothing that the batch on its way has moved.
        """

    def begin(self, at: datetime) -> None:
        """Start a batch; ``at`` is the time of all of it."""

    def decide(self, app: str, moves: Any, change_seq: int) -> Mapping[str, int] | None:
        """Apply the moves of one alternative, or raise a rejection and leave no trace.

        Or raise :class:`StaleDecision`, and leave none either.

        Return the integers that the decision found, by the names under which the alternative
        refers to them, or None.
        """

    def savepoint(self) -> Any:
        """Return a mark to which :meth:`restore` can take the batch back."""

    def restore(self, savepoint: Any) -> None:
        """Take back what was decided since the savepoint, byte for byte."""

    def rows(self) -> list[TableRows]:
        """Return the rows of all that was decided since :meth:`begin`."""

    def commit(self) -> None:
        """Keep what was decided since :meth:`begin`."""

    def rollback(self) -> None:
        """Take back what was decided since :meth:`begin`."""

    def forget(self) -> None:
        """Drop all state: another owner may have changed it."""
