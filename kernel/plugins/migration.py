"""Documents of one state version, read by code of another.

A pack brings ``migrate(collection, from_version, to_version, document)``, which turns a document,
decoded from JSON, into its form one version later or one version before. A newer version of a pack
knows both ways; an older one knows nothing of what came after it. So going forward is the work of
the generation that reads, and going back is the work of a newer one that is still loaded.

Whatever goes wrong, the document that is stored stays as it is.
"""

import traceback
from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol

import anyio.lowlevel
import msgspec

from kernel.plugins.errors import DocumentTooNew, MigrationFailed
from kernel.plugins.generation import Generation
from kernel.plugins.slot import Slot

__all__ = (
    "FAILURES_KEPT",
    "PAGE",
    "DocumentPages",
    "DocumentRow",
    "Documents",
    "MigrationReport",
    "StoredDocument",
    "migrate_all",
    "migrated",
    "rehearse",
    "still_needed",
)

# Documents looked at together; each is then written by itself.
PAGE = 200
# A migration that is wrong is wrong everywhere; nobody reads the thousandth reason.
FAILURES_KEPT = 20

_encode = msgspec.json.Encoder(order="deterministic").encode


class StoredDocument(msgspec.Struct, frozen=True):
    """A document as it is stored: JSON, and the state version in which it was written."""

    state_version: int
    body: bytes


class DocumentRow(msgspec.Struct, frozen=True):
    """A document with where it stands; ``version`` grows with each write."""

    key: str
    version: int
    document: StoredDocument


class DocumentPages(Protocol):
    """The documents of one plugin, for those who look at them."""

    async def page(self, collection: str, after: str, limit: int) -> list[DocumentRow]:
        """Return up to ``limit`` documents whose keys come after one, in the order of the keys."""


class Documents(DocumentPages, Protocol):
    """The documents of one plugin, for those who go through all of them and write them."""

    async def replace(self, collection: str, row: DocumentRow, document: StoredDocument) -> bool:
        """Write a document unless it has changed meanwhile; tell whether it was written."""


class MigrationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the documents; ``failures`` are the first few, as ``collection/key: why``."""

    migrated: int
    unchanged: int
    overtaken: int
    failed: int
    failures: tuple[str, ...]


def migrated(
    document: StoredDocument, *, collection: str, key: str, reader: Generation, slot: Slot
) -> StoredDocument:
    """Return the document as the reading generation writes it; usually it is that already.

    Raise :class:`MigrationFailed` when the pack cannot do it, and :class:`DocumentTooNew` when the
    document is newer and no generation that is loaded knows it.
    """
    wanted = reader.manifest.state_version_of(collection)
    if document.state_version == wanted:
        return document
    where = f"{collection}/{key}"
    if wanted is None:
        raise MigrationFailed(f"{reader.name} has no collection {collection!r}")
    if document.state_version < wanted:
        return _walk(document, collection, wanted, reader, where)
    for other in _newest_first(slot.generations.values()):
        known = other.manifest.state_version_of(collection)
        if known is not None and known >= document.state_version:
            return _walk(document, collection, wanted, other, where)
    raise DocumentTooNew(
        f"{where} of {slot.name} has the state version {document.state_version}; {reader.name} "
        f"writes {wanted}, and no newer version is loaded that could migrate it back"
    )


async def _all(documents: DocumentPages, collection: str, page: int) -> AsyncIterator[DocumentRow]:
    """Return all documents of a collection, ``page`` at a time."""
    after = ""
    while rows := await documents.page(collection, after, page):
        for row in rows:
            yield row
        after = rows[-1].key


def _newest_first(generations: Iterable[Generation]) -> list[Generation]:
    return sorted(generations, key=lambda one: -one.number)


def _walk(
    document: StoredDocument, collection: str, wanted: int, by: Generation, where: str
) -> StoredDocument:
    """Go from version to version until the wanted one."""
    version = document.state_version
    try:
        content = msgspec.json.decode(document.body)
    except msgspec.DecodeError as error:
        raise MigrationFailed(f"{where} is not JSON: {error}") from error
    while version != wanted:
        after = version + 1 if version < wanted else version - 1
        content = _step(content, collection, version, after, by, where)
        version = after
    try:
        body = _encode(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise MigrationFailed(
            f"{where}: {by.name} made of it what JSON cannot hold: {error}"
        ) from error
    if len(body) > by.manifest.limits.document_bytes:
        raise MigrationFailed(
            f"{where}: {by.name} made {len(body)} bytes of it; its manifest allows "
            f"{by.manifest.limits.document_bytes}"
        )
    return StoredDocument(wanted, body)


def _step(
    content: Any, collection: str, before: int, after: int, by: Generation, where: str
) -> dict[str, Any]:
    failure = ""
    result = None
    migrate = getattr(by.pack, "migrate", None)
    if migrate is None:
        failure = "it has no method `migrate`"
    else:
        try:
            result = migrate(collection, before, after, content)
        except Exception as error:  # noqa: BLE001 - whatever it does, it is its fault
            frame = traceback.extract_tb(error.__traceback__)[-1]
            failure = f"{frame.filename}:{frame.lineno}: {type(error).__name__}: {error}"
    if not failure and not isinstance(result, dict):
        failure = f"it returned a {type(result).__name__} and not a dict"
    if failure:
        # Not chained: a traceback would hold the generation.
        raise MigrationFailed(
            f"{where}: {by.name} cannot migrate it from state version {before} to {after}: "
            f"{failure}"
        )
    assert isinstance(result, dict)
    return result


async def migrate_all(
    generation: Generation, slot: Slot, documents: Documents, *, page: int = PAGE
) -> MigrationReport:
    """Write every document in the state version of a generation, forward or back.

    Those that fail stay as they are and are reported. Others may be written meanwhile: those are
    left to whoever writes them, and count as ``overtaken``.
    """
    counts = dict.fromkeys(("migrated", "unchanged", "overtaken", "failed"), 0)
    failures: list[str] = []
    for collection in generation.manifest.collections:
        async for row in _all(documents, collection.name, page):
            try:
                after = migrated(
                    row.document, collection=collection.name, key=row.key, reader=generation,
                    slot=slot,
                )  # fmt: skip
            except (MigrationFailed, DocumentTooNew) as error:
                counts["failed"] += 1
                if len(failures) < FAILURES_KEPT:
                    failures.append(error.message)
                continue
            if after is row.document:
                counts["unchanged"] += 1
            elif await documents.replace(collection.name, row, after):
                counts["migrated"] += 1
            else:
                counts["overtaken"] += 1
    return MigrationReport(failures=tuple(failures), **counts)


async def rehearse(generation: Generation, documents: DocumentPages, *, samples_max: int) -> int:
    """Migrate documents as they are now, there and back, and write nothing; return how many.

    At most ``samples_max`` of each collection.
    It is what to do before a generation is promoted. Raise :class:`MigrationFailed` for the first
    document that does not come back as it was: after a rollback, something would be lost.
    """
    done = 0
    for collection in generation.manifest.collections:
        wanted = generation.manifest.state_version_of(collection.name)
        assert wanted is not None
        for row in await documents.page(collection.name, "", samples_max):
            before = row.document.state_version
            if before >= wanted:
                # Written by a newer version; going back is rehearsed by that one.
                continue
            where = f"{collection.name}/{row.key}"
            there = _walk(row.document, collection.name, wanted, generation, where)
            back = _walk(there, collection.name, before, generation, where)
            if msgspec.json.decode(back.body) != msgspec.json.decode(row.document.body):
                raise MigrationFailed(
                    f"{where}: {generation.name} migrates it to state version {wanted} and back, "
                    f"and it is not what it was"
                )
            _check_shape(generation, collection.state, there, where)
            done += 1
            # A large document takes a millisecond or two; all of them together would be a stall.
            await anyio.lowlevel.checkpoint()
    return done


def _check_shape(
    generation: Generation, reference: str, document: StoredDocument, where: str
) -> None:
    """Check that what was migrated can be read."""
    failure = ""
    try:
        msgspec.json.decode(document.body, type=generation.find(reference))
    except msgspec.MsgspecError as error:
        failure = str(error)
    if failure:
        raise MigrationFailed(
            f"{where}: {generation.name} cannot read what it made of it: {failure}"
        )


async def still_needed(
    generation: Generation, slot: Slot, documents: DocumentPages, *, page: int = PAGE
) -> int:
    """Return how many documents nobody could read once this generation is unloaded.

    They were written by it, or by one as new, before a rollback. Migrate them back first, with
    :func:`migrate_all` by the generation that serves.
    """
    others = [one for one in slot.generations.values() if one is not generation]
    needed = 0
    for collection in generation.manifest.collections:
        known = (one.manifest.state_version_of(collection.name) for one in others)
        newest = max((version for version in known if version is not None), default=0)
        async for row in _all(documents, collection.name, page):
            needed += row.document.state_version > newest
    return needed
