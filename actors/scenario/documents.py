"""The state documents of packs, and what a pack can reach while it decides."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from kernel.clock import Clock
from kernel.journal import FactTable
from kernel.plugins.generation import Generation
from kernel.plugins.migration import StoredDocument, migrated
from kernel.plugins.slot import Slot
from kernel.store import Store
from schemas.change import Fact

__all__ = (
    "DOCUMENT_TABLE",
    "READ_AGE_S_MAX",
    "READ_DOCUMENTS_MAX",
    "Document",
    "Documents",
    "PackContext",
    "Reader",
    "document_fact",
    "document_key",
)

DOCUMENT_TABLE = FactTable(
    "document",
    ("pack", "collection", "key", "version", "state_version", "body"),
    ("text", "text", "text", "bigint", "integer", "text"),
    versioned=True,
    key=("pack", "collection", "key"),
)

# A new tariff of a lot shows after this, seconds.
READ_AGE_S_MAX = 1.0
READ_DOCUMENTS_MAX = 10_000

_json = msgspec.json.Encoder()


def document_key(app: str, key: str) -> str:
    """Return the key under which an app's document is kept: one backend never sees another's."""
    return f"{app}/{key}"


class Document:
    """A document as it is stored, at a version; 0 when it is not yet.

    It is bytes and stays with its identity, whichever version of the pack comes to read it.
    """

    __slots__ = ("__weakref__", "stored", "version")

    def __init__(self, version: int, stored: StoredDocument | None) -> None:
        self.version = version
        self.stored = stored


class Documents:
    """The documents as one generation reads and writes them: its classes stay in here."""

    def __init__(self, generation: Generation, slot: Slot, store: Store) -> None:
        self.pack = slot.name
        self._generation = generation
        self._slot = slot
        self._store = store
        self._states: WeakKeyDictionary[Document, msgspec.Struct] = WeakKeyDictionary()

    async def load(self, collection: str, app: str, key: str) -> Document:
        """Return a document as committed."""
        found = await self._store.load_document(self.pack, collection, document_key(app, key))
        if found is None:
            return Document(0, None)
        version, state_version, body = found
        return Document(version, StoredDocument(state_version, body.encode()))

    def state(self, document: Document, collection: str, key: str, state: type[Any]) -> Any:
        """Return what a document says to this generation, migrated if another one wrote it.

        Raise :class:`~kernel.plugins.errors.MigrationFailed` or
        :class:`~kernel.plugins.errors.DocumentTooNew`.
        """
        if document.stored is None:
            return None
        known = self._states.get(document)
        if known is None:
            stored = migrated(
                document.stored, collection=collection, key=key, reader=self._generation,
                slot=self._slot,
            )  # fmt: skip
            known = self._states[document] = msgspec.json.decode(stored.body, type=state)
        return known

    def is_current(self, document: Document, collection: str) -> bool:
        """Tell whether a document is written as this generation writes it."""
        wanted = self._generation.manifest.state_version_of(collection)
        return document.stored is None or document.stored.state_version == wanted

    def written(self, collection: str, version: int, state: msgspec.Struct) -> Document:
        """Return a document as this generation writes it.

        Raise :class:`~kernel.plugins.errors.DocumentTooLarge`.
        """
        body = _json.encode(state)
        self._generation.turns.check_document(body)
        state_version = self._generation.manifest.state_version_of(collection)
        assert state_version is not None, f"the manifest has no collection {collection!r}"
        document = Document(version, StoredDocument(state_version, body))
        self._states[document] = state
        return document


def document_fact(pack: str, collection: str, app: str, key: str, document: Document) -> Fact:
    """Return the row of a document's new version."""
    stored = document.stored
    assert stored is not None
    row = (pack, collection, document_key(app, key), document.version, stored.state_version)
    return Fact("document", (*row, stored.body.decode()))


class Reader:
    """Other identities' documents, as committed at most :data:`READ_AGE_S_MAX` ago.

    Thousands of vehicles read the same few lots; without this each entry would cost a query.
    """

    def __init__(self, documents: Documents, require: Callable[[str], None]) -> None:
        self._documents = documents
        self._require = require
        self._kept: dict[tuple[str, str, str], tuple[float, Any]] = {}

    async def read(
        self, app: str, collection: str, key: str, state: type[Any], now_s: float
    ) -> Any:
        """Return a document, or None.

        Raise :class:`~kernel.plugins.errors.CapabilityRefused` when the manifest asks for no reads.
        """
        self._require("read")
        name = (app, collection, key)
        kept = self._kept.get(name)
        if kept is not None and kept[0] > now_s:
            return kept[1]
        document = await self._documents.load(collection, app, key)
        # What is not there is not kept: it may be made at any moment, and then it is wanted.
        if document.stored is None:
            return None
        found = self._documents.state(document, collection, key, state)
        if len(self._kept) >= READ_DOCUMENTS_MAX:
            self._kept.clear()
        self._kept[name] = (now_s + READ_AGE_S_MAX, found)
        return found


class PackContext:
    """See :class:`kernel.pack.Context`."""

    def __init__(
        self, app: str, request_id: str, clock: Clock, log: logging.Logger, reader: Reader
    ) -> None:
        self.app = app
        self.request_id = request_id
        self.clock = clock
        self.log = log
        self._reader = reader

    @property
    def now(self) -> datetime:
        """What the clock says."""
        return self.clock.now()

    async def read(self, collection: str, key: str, state: type[Any]) -> Any:
        """Return another identity's document as committed a moment ago, or None."""
        return await self._reader.read(self.app, collection, key, state, self.clock.monotonic_s())
