"""What one commit of the journal will write: the rows of all that was decided."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from kernel.book import TableRows
from kernel.journal_item import JournalItem
from kernel.partition import partition_of
from kernel.request_memory import COMMITTED, Decided, RequestKey
from kernel.store import EventRow, Position
from schemas.change import Alternative, Change, Fact, unknown
from schemas.errors import ErrorBody

__all__ = ("FactTable", "JournalBatch", "filled_in")

_CHANGE_COLUMNS = ("app", "request_id", "seq", "operation", "digest", "outcome", "answer", "at")
_CHANGE_TYPES = ("text", "text", "bigint", "text", "bytea", "text", "text", "timestamptz")
_EVENT_COLUMNS = ("seq", "change_seq", "app", "type", "subject", "data", "at")
_EVENT_TYPES = ("bigint", "bigint", "text", "text", "text", "text", "timestamptz")
_TIMER_COLUMNS = (
    "timer_id", "change_seq", "partition", "due_at", "every_s", "kind", "key", "type", "app",
    "body",
)  # fmt: skip
_TIMER_TYPES = (
    "text", "bigint", "smallint", "timestamptz", "bigint", "text", "text", "text", "text", "bytea",
)  # fmt: skip
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_error_json = msgspec.json.Encoder()


class FactTable(msgspec.Struct, frozen=True):
    """A table whose rows a change may carry; each row is preceded by the change's number."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    versioned: bool = False
    key: tuple[str, ...] = ()


class JournalBatch:
    """The rows of one commit, and the epochs they were decided under.

    ``stale`` are the items that rest on a state that is over: they have no part in it.
    """

    def __init__(self, at: datetime, position: Position, epochs: dict[int, int]) -> None:
        self.at = at
        self.epochs = epochs
        self.decided: dict[RequestKey, Decided] = {}
        self.stale: list[JournalItem] = []
        self.committed = 0
        self.change_seq = position.change_seq
        self._event_seq = position.event_seq
        self._changes: list[tuple[Any, ...]] = []
        self._events: list[tuple[Any, ...]] = []
        self._facts: dict[str, list[tuple[Any, ...]]] = {}
        self._timers: dict[str, tuple[Any, ...]] = {}
        self._cancels: list[tuple[str]] = []

    def note(
        self, change: Change, index: int, chosen: Alternative | None, error: ErrorBody | None
    ) -> None:
        """Add the rows of the next decision: an alternative that stands, or a rejection."""
        self.change_seq = change_seq = self.change_seq + 1
        if change.partition >= 0:
            self.epochs.setdefault(change.partition, change.epoch)
        if chosen is not None:
            self._take(change, change_seq, chosen)
            decided = Decided(change.digest, COMMITTED, chosen.answer, index)
        else:
            assert error is not None
            answer = _error_json.encode(error).decode()
            decided = Decided(change.digest, error.code, answer, 0)
            self._add_facts(change.refused, change_seq)
        self.decided[change.app, change.request_id] = decided
        self._changes.append(
            (change.app, change.request_id, change_seq, change.operation, change.digest,
             decided.outcome, decided.answer, self.at)
        )  # fmt: skip

    def _take(self, change: Change, change_seq: int, chosen: Alternative) -> None:
        self.committed += 1
        self._add_facts(chosen.facts, change_seq)
        event_seq = self._event_seq
        for event in chosen.events:
            event_seq += 1
            self._events.append(
                (event_seq, change_seq, event.app or change.app, event.type, event.subject,
                 event.data, self.at)
            )  # fmt: skip
        self._event_seq = event_seq
        for timer_id in chosen.cancels:
            # One set by an earlier change of this batch has no row yet, and gets none.
            if self._timers.pop(timer_id, None) is None:
                self._cancels.append((timer_id,))
        for one in chosen.timers:
            self._timers[one.timer_id] = (
                one.timer_id, change_seq, partition_of(one.kind, one.key),
                _UNIX_EPOCH + timedelta(milliseconds=one.due_at_ms), one.every_s, one.kind,
                one.key, one.type, one.app, bytes(one.body),
            )  # fmt: skip

    def _add_facts(self, facts: tuple[Fact, ...], change_seq: int) -> None:
        for fact in facts:
            self._facts.setdefault(fact.table, []).append((change_seq, *fact.row))

    @property
    def position(self) -> Position:
        """The last numbers that the batch has given."""
        return Position(self.change_seq, self._event_seq)

    @property
    def rejected(self) -> int:
        """How many of the decisions are rejections."""
        return len(self._changes) - self.committed

    def events(self) -> list[EventRow]:
        """Return the events, for whoever relays them."""
        return [EventRow(seq, *rest) for seq, _, *rest in self._events]

    def tables(
        self, book_rows: list[TableRows], fact_tables: Mapping[str, FactTable]
    ) -> list[TableRows]:
        """Return everything to write, in the order in which it is to be written."""
        tables = [TableRows("change", _CHANGE_COLUMNS, _CHANGE_TYPES, self._changes)]
        # In the order of their names: the fewer different commits, the fewer statements to prepare.
        for name, rows in sorted(self._facts.items()):
            known = fact_tables[name]
            width = len(known.columns) + 1
            if any(len(row) != width for row in rows):
                # COPY would drop what is too much without a word.
                raise ValueError(f"a row of {name} does not have {width - 1} columns")
            tables.append(
                TableRows(
                    name,
                    ("change_seq", *known.columns),
                    ("bigint", *known.types),
                    rows,
                    "versioned" if known.versioned else "insert",
                    known.key,
                )
            )
        # After the facts: the book may update a row that is new in this very commit.
        tables += book_rows
        if self._events:
            tables.append(TableRows("event", _EVENT_COLUMNS, _EVENT_TYPES, self._events))
        if self._cancels:
            key = ("timer_id",)
            tables.append(TableRows("timer", key, ("text",), self._cancels, "delete", key))
        if self._timers:
            timers = list(self._timers.values())
            tables.append(TableRows("timer", _TIMER_COLUMNS, _TIMER_TYPES, timers))
        return tables


def filled_in(chosen: Alternative, found: Mapping[str, int]) -> Alternative:
    """Return the alternative with the integers that the book found in their places."""
    by_name = {unknown(name): value for name, value in found.items()}
    texts = [(msgspec.json.encode(name).decode(), str(n)) for name, n in by_name.items()]

    def filled(text: str) -> str:
        for name, number in texts:
            text = text.replace(name, number)
        return text

    return msgspec.structs.replace(
        chosen,
        answer=filled(chosen.answer),
        events=tuple(
            msgspec.structs.replace(event, data=filled(event.data)) for event in chosen.events
        ),
        facts=tuple(
            msgspec.structs.replace(
                fact,
                row=tuple(
                    by_name.get(value, value) if isinstance(value, str) else value
                    for value in fact.row
                ),
            )
            for fact in chosen.facts
        ),
    )
