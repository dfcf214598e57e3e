"""Journals that break what they promise about a request, an answer and an owner."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kernel.journal import Journal
from kernel.journal_batch import JournalBatch
from kernel.journal_item import JournalItem
from kernel.memory_database import MemoryDatabase, _Rows
from kernel.request_memory import RequestMemory
from zhihui.simulation.bugs.replacing import replaced

__all__ = ("acknowledgement_before_commit", "double_apply", "missing_epoch_check")


@contextmanager
def double_apply() -> Iterator[None]:
    """Know no request again: one that is delivered twice is done twice."""
    insert = _Rows.insert

    def recognise_none(self: RequestMemory, key: tuple[str, str]) -> None:
        return None

    def insert_again(self: _Rows, row: dict[str, Any]) -> Any:
        while self.table.name == "change" and self.key_of(row) in self.by_key:
            row = row | {"request_id": row["request_id"] + "+"}
        return insert(self, row)

    with (
        replaced(RequestMemory, "get", recognise_none),
        replaced(_Rows, "insert", insert_again),
    ):
        yield


@contextmanager
def acknowledgement_before_commit() -> Iterator[None]:
    """Answer a batch as soon as it is decided, and write it then."""
    decide, finish = Journal._decide, Journal._finish

    def decide_and_answer(self: Journal, waiting: list[JournalItem]) -> JournalBatch:
        batch = decide(self, waiting)
        finish(self, batch, waiting)
        return batch

    def answered_already(self: Journal, batch: JournalBatch, waiting: list[JournalItem]) -> None:
        return None

    with (
        replaced(Journal, "_decide", decide_and_answer),
        replaced(Journal, "_finish", answered_already),
    ):
        yield


@contextmanager
def missing_epoch_check() -> Iterator[None]:
    """Let the store take a commit whoever owns the partitions by now."""

    def let_pass(self: MemoryDatabase, epochs: dict[int, int]) -> None:
        return None

    with replaced(MemoryDatabase, "_fence", let_pass):
        yield
