"""The library's archives, and a small host that serves them from documents in memory."""

import asyncio
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from kernel.clock import Clock
from kernel.pack import PackOperation, Plan
from kernel.plugins.archive import Archive, pack_files, pack_folder, read_archive
from kernel.plugins.generation import Generation, Transition
from kernel.plugins.guard import GuardPolicy
from kernel.plugins.imports import ImportRules
from kernel.plugins.migration import DocumentRow, StoredDocument, migrated
from kernel.plugins.registry import HostTerms, Registry, Switch

__all__ = ("RULES", "TERMS", "Desk", "MemoryDocuments", "News", "archive_of", "changed", "library")

RULES = ImportRules(
    public=("kernel.pack", "schemas"),
    private=("actors", "kernel", "loadtest", "plugins", "schemas", "tests", "zhihui"),
)
TERMS = HostTerms(
    api="0.1.0",
    imports=RULES,
    capabilities=frozenset({"notify", "print"}),
    guard=GuardPolicy(samples_min=20, consecutive_max=5),
    start_s_max=2.0,
)

_PACKS = Path(__file__).parent / "packs"
_encode = msgspec.json.Encoder(order="deterministic").encode


@cache
def library(edition: int) -> Archive:
    """Return the archive of an edition of the library."""
    return pack_folder(_PACKS / f"library_{edition}")


def changed(archive: Archive, files: Mapping[str, str | None]) -> Archive:
    """Return the archive with other files in it: None removes one, the rest is the new text."""
    content = dict(archive.files)
    for name, text in files.items():
        if text is None:
            del content[name]
        else:
            content[name] = text.encode()
    return archive_of(content)


def archive_of(files: Mapping[str, bytes]) -> Archive:
    """Return the archive of these files."""
    return read_archive(pack_files(files))


class News:
    """What the registry tells."""

    def __init__(self) -> None:
        self.all: list[Transition | Switch] = []

    def __call__(self, news: Transition | Switch) -> None:
        self.all.append(news)

    def states(self, generation: int) -> list[str]:
        """Return the states that a generation went through."""
        return [
            str(one.after)
            for one in self.all
            if isinstance(one, Transition) and one.generation == generation
        ]

    def switches(self) -> list[str]:
        """Return what was switched."""
        return [one.what for one in self.all if isinstance(one, Switch)]


class MemoryDocuments:
    """See :class:`kernel.plugins.migration.Documents`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[int, StoredDocument]] = {}

    async def page(self, collection: str, after: str, limit: int) -> list[DocumentRow]:
        await anyio.lowlevel.checkpoint()
        keys = sorted(key for name, key in self.rows if name == collection and key > after)
        return [DocumentRow(key, *self.rows[collection, key]) for key in keys[:limit]]

    async def replace(self, collection: str, row: DocumentRow, document: StoredDocument) -> bool:
        version, _ = self.rows[collection, row.key]
        if version != row.version:
            return False
        self.rows[collection, row.key] = (version + 1, document)
        return True


class _Context:
    """See :class:`kernel.pack.Context`."""

    app = "town"
    request_id = "r"
    log = logging.getLogger("library")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def read(self, collection: str, key: str, state: type[Any]) -> Any:
        """Return nothing: books know nothing of each other."""


class Desk:
    """Do what a host does: pick, lease, read, decide, commit; one message at a time for each key.

    ``commit_s`` is how long a commit takes.
    """

    def __init__(self, registry: Registry, clock: Clock, *, commit_s: float = 0.0) -> None:
        self.slot = registry.slot("library")
        self.documents = MemoryDocuments()
        self.answered: list[tuple[str, int]] = []
        self.commit_s = commit_s
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}

    async def send(self, verb: str, **fields: Any) -> Any:
        """Send a message and return the answer as plain data."""
        key = fields["isbn"]
        async with self._locks.setdefault(key, asyncio.Lock()):
            generation = self.slot.pick(key)
            with generation.lease() as turn:
                operation = _operations(generation)[verb]
                message = msgspec.convert(fields, operation.request)
                book = self._load(generation, operation, key)
                method = getattr(generation.pack, operation.method)
                decided = await turn.run(method(_Context(self._clock), message, book))
                if operation.mutates:
                    decided = await self._commit(generation, operation, key, decided)
                answer = msgspec.to_builtins(decided)
            self.answered.append((key, generation.number))
            return answer

    def _load(self, generation: Generation, operation: PackOperation, key: str) -> Any:
        found = self.documents.rows.get((operation.collection, key))
        if found is None:
            return None
        document = migrated(
            found[1], collection=operation.collection, key=key, reader=generation, slot=self.slot
        )
        return msgspec.json.decode(document.body, type=operation.state)

    async def _commit(
        self, generation: Generation, operation: PackOperation, key: str, plan: Plan
    ) -> msgspec.Struct:
        if plan.notices:
            generation.grants.require("notify")
        body = _encode(plan.state)
        generation.turns.check_document(body)
        if self.commit_s:
            await anyio.sleep(self.commit_s)
        version = generation.manifest.state_version_of(operation.collection)
        assert version is not None
        place = (operation.collection, key)
        before, _ = self.documents.rows.get(place, (0, None))
        self.documents.rows[place] = (before + 1, StoredDocument(version, body))
        assert plan.result is not None
        return plan.result


def _operations(generation: Generation) -> dict[str, PackOperation]:
    known: dict[str, PackOperation] = generation.shelf.setdefault("operations", {})
    if not known:
        known.update({one.verb: one for one in generation.pack.pack_operations()})
    return known
