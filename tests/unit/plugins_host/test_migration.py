"""Documents of one state version, read by code of another."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.plugins.archive import Archive
from kernel.plugins.errors import DocumentTooNew, MigrationFailed
from kernel.plugins.generation import State
from kernel.plugins.migration import (
    FAILURES_KEPT,
    StoredDocument,
    migrate_all,
    migrated,
    rehearse,
    still_needed,
)
from kernel.plugins.registry import Registry
from kernel.plugins.slot import Slot
from kernel.virtual_time import VirtualClock, run_virtual
from tests.unit.plugins_host.lab import TERMS, MemoryDocuments, changed, library
from tests.unit.plugins_host.packs.library_2.changes import migrate_book

_V1, _V2 = library(1), library(2)
_BOOK_1 = b'{"isbn":"i-1","copies":3,"readers":["ann","bob"]}'


def _run(archives: dict[int, Archive], main: Callable[[Slot], Awaitable[None]]) -> None:
    async def run(clock: VirtualClock, randomness: object) -> None:
        registry = Registry(TERMS, clock)
        slot = registry.slot("library")
        try:
            for number, archive in archives.items():
                await registry.load(archive, number)
            await main(slot)
        finally:
            await anyio.lowlevel.checkpoint()
            for number in list(slot.generations):
                if slot.generations[number].state is not State.STOPPED:
                    await registry.drain("library", number, 1.0)
                await registry.unload("library", number)

    run_virtual(run)


def _read(slot: Slot, number: int, document: StoredDocument) -> StoredDocument:
    return migrated(document, collection="book", key="i-1", reader=slot.find(number), slot=slot)


def _with_migrate(lines: str) -> Archive:
    """Return the second edition with another way of migrating."""
    text = _V2.files["changes.py"].decode()
    head = text.partition('    """Return the document of a book as the other')[0]
    return changed(_V2, {"changes.py": f'{head}    """Do as the test says."""\n    {lines}\n'})


def test_a_document_of_the_same_version_is_left_alone() -> None:
    """Not a byte of it is touched or copied."""

    async def main(slot: Slot) -> None:
        document = StoredDocument(1, b"not even read")
        assert _read(slot, 1, document) is document

    _run({1: _V1}, main)


def test_a_document_goes_forward_and_back() -> None:
    """Forward by the code that reads it; back by newer code that is still loaded."""

    async def main(slot: Slot) -> None:
        there = _read(slot, 2, StoredDocument(1, _BOOK_1))
        assert there.state_version == 2
        assert len(msgspec.json.decode(there.body)["copies"]) == 3
        back = _read(slot, 1, there)
        assert back.state_version == 1
        assert msgspec.json.decode(back.body) == msgspec.json.decode(_BOOK_1)

    _run({1: _V1, 2: _V2}, main)


def test_a_document_that_is_too_new_is_refused() -> None:
    """When no code that knows it is loaded, the message may be sent again later."""

    async def main(slot: Slot) -> None:
        with pytest.raises(DocumentTooNew, match="has the state version 2; library g1 writes 1"):
            _read(slot, 1, StoredDocument(2, b"{}"))

    _run({1: _V1}, main)

    async def later(slot: Slot) -> None:
        with pytest.raises(DocumentTooNew) as caught:
            _read(slot, 1, StoredDocument(3, b"{}"))
        assert caught.value.body().code == "not_ready"

    _run({1: _V1, 2: _V2}, later)


@settings(max_examples=60)
@given(
    st.integers(0, 20),
    st.lists(st.text(min_size=1, max_size=8), max_size=6),
    st.text(min_size=1, max_size=20),
)
def test_a_sound_pack_loses_nothing_on_the_way(
    on_shelf: int, readers: list[str], isbn: str
) -> None:
    """Forward and then back is what it was, for every book."""
    book = {"isbn": isbn, "copies": on_shelf + len(readers), "readers": readers}
    there = migrate_book(1, 2, msgspec.json.decode(msgspec.json.encode(book)))
    assert migrate_book(2, 1, there) == book


def test_it_goes_one_version_at_a_time() -> None:
    """A pack only knows how to go from one version to the next."""
    steps = "book.setdefault('steps', []).append([before, after]); return book"
    text = _V2.files["plugin.toml"].decode().replace("state_version = 2", "state_version = 5")
    archive = changed(
        _V2,
        {"plugin.toml": text, "changes.py": _with_migrate(steps).files["changes.py"].decode()},
    )

    async def main(slot: Slot) -> None:
        there = _read(slot, 2, StoredDocument(2, b"{}"))
        assert msgspec.json.decode(there.body) == {"steps": [[2, 3], [3, 4], [4, 5]]}
        back = _read(slot, 1, there)
        assert back.state_version == 1
        assert msgspec.json.decode(back.body)["steps"][3:] == [[5, 4], [4, 3], [3, 2], [2, 1]]

    _run({1: _V1, 2: archive}, main)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("raise KeyError('copies')", "KeyError: 'copies'"),
        ("return None", "it returned a NoneType and not a dict"),
        ("return [book]", "it returned a list and not a dict"),
        ("return {'x': object()}", "what JSON cannot hold"),
        ("return {'x': 'y' * 5000}", "its manifest allows 4096"),
        ("book['self'] = book; return book", "what JSON cannot hold"),
    ],
)
def test_a_migration_that_fails_is_typed(lines: str, message: str) -> None:
    """It names the document, the generation, the step and the reason; nothing is changed."""

    async def main(slot: Slot) -> None:
        document = StoredDocument(1, _BOOK_1)
        with pytest.raises(MigrationFailed) as caught:
            _read(slot, 2, document)
        assert "book/i-1" in caught.value.message
        assert "library g2" in caught.value.message
        assert message in caught.value.message
        assert caught.value.retryable
        assert document == StoredDocument(1, _BOOK_1)

    _run({1: _V1, 2: _with_migrate(lines)}, main)


def test_a_pack_without_migrate_says_so() -> None:
    """A raised state version needs a way to get there."""
    text = _V1.files["plugin.toml"].decode() + "\n"
    raised = changed(_V1, {"plugin.toml": text.replace("[limits]", "state_version = 2\n[limits]")})

    async def main(slot: Slot) -> None:
        with pytest.raises(MigrationFailed, match="no method `migrate`"):
            _read(slot, 1, StoredDocument(1, _BOOK_1))
        with pytest.raises(MigrationFailed, match="is not JSON"):
            _read(slot, 1, StoredDocument(1, b"{"))
        with pytest.raises(MigrationFailed, match="has no collection 'shelf'"):
            migrated(
                StoredDocument(1, b"{}"), collection="shelf", key="k", reader=slot.find(1),
                slot=slot,
            )  # fmt: skip

    _run({1: raised}, main)


def _documents(count: int = 5, version: int = 1) -> MemoryDocuments:
    documents = MemoryDocuments()
    for number in range(count):
        book = {"isbn": f"i-{number}", "copies": number + 2, "readers": ["ann"] * (number % 3)}
        body: dict[str, Any] = book if version == 1 else migrate_book(1, 2, dict(book))
        documents.rows["book", f"i-{number}"] = (
            1, StoredDocument(version, msgspec.json.encode(body)),
        )  # fmt: skip
    return documents


def test_all_documents_are_migrated_ahead_of_time() -> None:
    """Forward, then back again: each is written once, and a second time there is nothing to do."""

    async def main(slot: Slot) -> None:
        documents = _documents()
        before = {key: msgspec.json.decode(row[1].body) for key, row in documents.rows.items()}
        for number in (2, 1):
            report = await migrate_all(slot.find(number), slot, documents, page=2)
            assert (report.migrated, report.unchanged, report.failed) == (5, 0, 0)
            again = await migrate_all(slot.find(number), slot, documents)
            assert (again.migrated, again.unchanged) == (0, 5)
        after = {key: msgspec.json.decode(row[1].body) for key, row in documents.rows.items()}
        assert after == before
        assert {row[0] for row in documents.rows.values()} == {3}

    _run({1: _V1, 2: _V2}, main)


def test_documents_that_fail_are_left_and_reported() -> None:
    """The sound ones are migrated all the same, and only the first reasons are kept."""
    lines = "assert book['copies'] != 4; return {'isbn': book['isbn'], 'copies': []}"

    async def main(slot: Slot) -> None:
        documents = _documents()
        report = await migrate_all(slot.find(2), slot, documents)
        assert (report.migrated, report.failed) == (4, 1)
        assert "book/i-2" in report.failures[0]
        assert documents.rows["book", "i-2"][1].state_version == 1

    _run({1: _V1, 2: _with_migrate(lines)}, main)

    async def many(slot: Slot) -> None:
        report = await migrate_all(slot.find(2), slot, _documents(FAILURES_KEPT + 10))
        assert report.failed == FAILURES_KEPT + 10
        assert len(report.failures) == FAILURES_KEPT

    _run({1: _V1, 2: _with_migrate("raise ValueError('no')")}, many)


def test_documents_written_meanwhile_are_left_to_their_writer() -> None:
    """What changed after it was read is not overwritten."""

    class Busy(MemoryDocuments):
        async def replace(self, collection: str, row: Any, document: StoredDocument) -> bool:
            if row.key == "i-1":
                self.rows[collection, row.key] = (row.version + 1, StoredDocument(1, _BOOK_1))
            return await super().replace(collection, row, document)

    async def main(slot: Slot) -> None:
        documents = Busy()
        documents.rows.update(_documents().rows)
        report = await migrate_all(slot.find(2), slot, documents)
        assert (report.migrated, report.overtaken) == (4, 1)
        assert documents.rows["book", "i-1"][1] == StoredDocument(1, _BOOK_1)

    _run({1: _V1, 2: _V2}, main)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "return dict(book, copies=[]) if after == 2 else dict(book, copies=0)",
            "and it is not what it was",
        ),
        ("return dict(book, copies=7) if after == 2 else dict(book, copies=2)", "cannot read"),
        ("raise ValueError('no')", "ValueError: no"),
    ],
)
def test_a_rehearsal_finds_what_would_be_lost(lines: str, message: str) -> None:
    """Before a promotion, on documents as they are, without writing any."""

    async def main(slot: Slot) -> None:
        documents = _documents(1)
        before = dict(documents.rows)
        with pytest.raises(MigrationFailed, match="book/i-0") as caught:
            await rehearse(slot.find(2), documents, samples_max=100)
        assert message in caught.value.message
        assert documents.rows == before

    _run({1: _V1, 2: _with_migrate(lines)}, main)


def test_a_sound_pack_passes_its_rehearsal() -> None:
    """It looks at as many documents as it is told to, and writes none."""

    async def main(slot: Slot) -> None:
        documents = _documents(30)
        before = dict(documents.rows)
        assert await rehearse(slot.find(2), documents, samples_max=10) == 10
        assert await rehearse(slot.find(2), documents, samples_max=100) == 30
        assert await rehearse(slot.find(1), documents, samples_max=100) == 0
        assert documents.rows == before

    _run({1: _V1, 2: _V2}, main)


def test_a_version_that_documents_still_need_is_known() -> None:
    """After a rollback the newer code is needed until its documents are migrated back."""

    async def main(slot: Slot) -> None:
        documents = _documents(4, version=2)
        assert await still_needed(slot.find(2), slot, documents) == 4
        assert await still_needed(slot.find(1), slot, documents) == 0
        await migrate_all(slot.find(1), slot, documents)
        assert await still_needed(slot.find(2), slot, documents) == 0

    _run({1: _V1, 2: _V2}, main)
