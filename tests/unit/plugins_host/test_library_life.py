"""A pack from another trade through its whole life, while readers come and go.

Nothing here is about money: if the machinery knew any, a library would not fit in.
"""

from typing import Any

import anyio
import msgspec
import pytest

from kernel.plugins.archive import Archive, read_archive
from kernel.plugins.errors import LoadFailed, PackUnavailable, SelfTestFailed
from kernel.plugins.migration import migrate_all, rehearse, still_needed
from kernel.plugins.registry import Registry
from kernel.plugins.signature import SigningKey, TrustedKeys
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from schemas.errors import InvalidState
from tests.unit.plugins_host.lab import TERMS, Desk, News, changed, library

_BOOKS = [f"978-{number}" for number in range(20)]
_READERS = [f"reader-{number}" for number in range(10)]
_COPIES = 6
_V2_PACK = library(2).files["pack.py"].decode()


class _Town:
    """Readers who lend and give back, and the plain truth beside them."""

    def __init__(self, desk: Desk, randomness: SeededRandomness) -> None:
        self.desk = desk
        self.random = randomness
        self.truth: dict[str, list[str]] = {isbn: [] for isbn in _BOOKS}
        self.sent = self.answered = self.refused = self.again = 0
        self.editions: set[int] = set()

    async def open(self) -> None:
        for isbn in _BOOKS:
            await self.desk.send("add", request_id="r", isbn=isbn, copies=_COPIES)

    async def live(self) -> None:
        """Visit the library again and again, until cancelled."""
        while True:
            await anyio.sleep(self.random.bits(6) / 1000)
            isbn = _BOOKS[self.random.bits(10) % len(_BOOKS)]
            reader = _READERS[self.random.bits(10) % len(_READERS)]
            verb = "lend" if self.random.bits(1) else "give_back"
            with anyio.CancelScope(shield=True):
                await self.visit(verb, isbn, reader)

    async def visit(self, verb: str, isbn: str, reader: str) -> None:
        """Send one message, again if it says so; keep the truth by the answer."""
        self.sent += 1
        while True:
            try:
                answer = await self.desk.send(verb, request_id="r", isbn=isbn, reader=reader)
            except InvalidState:
                self.answered += 1
                self.refused += 1
                return
            except (PackUnavailable, ZeroDivisionError):
                self.again += 1
                await anyio.sleep(0.02)
                continue
            self.answered += 1
            self.editions.add(answer["edition"])
            if verb == "lend":
                self.truth[isbn].append(reader)
            else:
                self.truth[isbn].remove(reader)
            return

    async def check(self) -> None:
        """Compare every book with the truth."""
        for isbn in _BOOKS:
            book: dict[str, Any] = await self.desk.send("get", isbn=isbn)
            assert sorted(book["readers"]) == sorted(self.truth[isbn])
            assert book["on_shelf"] + len(book["readers"]) == _COPIES


async def _unload(registry: Registry, number: int) -> None:
    await registry.drain("library", number, 10.0)
    remains = await registry.unload("library", number)
    await anyio.sleep(0.1)
    assert remains.collect(), remains.holders()


async def _try_broken_versions(registry: Registry, desk: Desk) -> None:
    """Bring in what must not get anywhere: each is refused while the first edition serves."""
    check = "        assert per_reader_max() >= 1\n"
    broken: list[tuple[Archive, type[Exception]]] = [
        (changed(library(2), {"state.py": "raise RuntimeError('crash')\n"}), LoadFailed),
        (changed(library(2), {"rules/loans.toml": "per_reader_max = 0\n"}), SelfTestFailed),
        (
            changed(
                library(2),
                {
                    "pack.py": _V2_PACK.replace(
                        check, "        import anyio\n        await anyio.sleep(60)\n"
                    )
                },
            ),
            SelfTestFailed,
        ),
    ]
    for archive, error in broken:
        with pytest.raises(error):
            await registry.load(archive, 2)
    spoiled = changed(
        library(2), {"changes.py": "def migrate_book(before, after, book):\n    1 / 0\n"}
    )
    bad = await registry.load(spoiled, 2)
    with pytest.raises(PackUnavailable, match="ZeroDivisionError"):
        await rehearse(bad, desk.documents, samples_max=50)
    await _unload(registry, 2)


async def _life(clock: VirtualClock, randomness: SeededRandomness) -> tuple[_Town, News]:
    key = SigningKey.generate()
    ring = TrustedKeys({"publisher": key.public_pem})
    news = News()
    registry = Registry(TERMS, clock, news)
    desk = Desk(registry, clock, commit_s=0.004)
    town = _Town(desk, randomness)

    async def bring(archive: Archive, number: int) -> None:
        arrived = read_archive(archive.data, sha256=archive.sha256)
        ring.verify(arrived, key.sign(archive))
        await registry.load(arrived, number)

    await bring(library(1), 1)
    registry.promote("library", 1)
    await town.open()
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(town.live)
        await anyio.sleep(1.0)
        await _try_broken_versions(registry, desk)
        assert town.editions == {1}
        # An upgrade with a canary, then for all; documents are migrated as they are read.
        await bring(library(2), 3)
        assert await rehearse(desk.slot.find(3), desk.documents, samples_max=50) == len(_BOOKS)
        registry.set_canary("library", 3, 300_000)
        await anyio.sleep(1.0)
        assert town.editions == {1, 2}
        registry.promote("library", 3)
        await anyio.sleep(1.0)
        await registry.drain("library", 1, 10.0)
        # It turns out to be wrong: back to the first edition, documents and all.
        await registry.start("library", 1)
        registry.rollback("library", "the readers complain")
        assert await still_needed(desk.slot.find(3), desk.slot, desk.documents) > 0
        await anyio.sleep(0.2)
        await migrate_all(desk.slot.find(1), desk.slot, desk.documents)
        assert await still_needed(desk.slot.find(3), desk.slot, desk.documents) == 0
        await _unload(registry, 3)
        # A version that crashes at work is taken back by its guard.
        crash = _V2_PACK.replace("readers = (*book.readers, message.reader)", "readers = 1 / 0")
        await bring(changed(library(2), {"pack.py": crash}), 4)
        registry.promote("library", 4)
        await anyio.sleep(1.0)
        assert "rolled_back" in news.switches()[-2:]
        # And the second edition for good.
        await bring(library(2), 5)
        registry.promote("library", 5)
        await anyio.sleep(1.0)
        tasks.cancel_scope.cancel()
    await town.check()
    report = await migrate_all(desk.slot.find(5), desk.slot, desk.documents)
    assert report.migrated + report.unchanged == len(_BOOKS)
    await town.check()
    registry.withdraw("library")
    for number in list(desk.slot.generations):
        await _unload(registry, number)
    return town, news


def test_no_reader_notices_anything() -> None:
    """Through seven generations every message is answered once, and every book is where it was."""
    town, _ = run_virtual(_life, seed=7)
    assert town.sent == town.answered
    assert town.sent > 1000
    assert 0 < town.refused < town.sent
    assert town.again >= TERMS.guard.consecutive_max
    assert {number for _, number in town.desk.answered} == {1, 3, 4, 5}
    for _, document in town.desk.documents.rows.values():
        assert document.state_version == 2
        assert len(msgspec.json.decode(document.body)["copies"]) == _COPIES


def test_the_same_seed_gives_the_same_life() -> None:
    """Nothing in the machinery depends on anything but the clock and the seed."""
    first, _ = run_virtual(_life, seed=3)
    second, _ = run_virtual(_life, seed=3)
    assert first.desk.answered == second.desk.answered
    assert first.desk.documents.rows == second.desk.documents.rows
