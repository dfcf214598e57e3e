"""The state documents of packs, and what a pack can reach while it decides."""

import logging
from datetime import datetime
from typing import Any

import msgspec

from kernel.clock import Clock
from kernel.journal import FactTable
from kernel.store import Store
from schemas.change import Fact

__all__ = (
    "DOCUMENT_BYTES_MAX",
    "DOCUMENT_TABLE",
    "READ_AGE_S_MAX",
    "READ_DOCUMENTS_MAX",
    "Document",
    "PackContext",
    "Reader",
    "document_fact",
    "load_document",
)

DOCUMENT_TABLE = FactTable(
    "document",
    ("pack", "collection", "key", "version", "body"),
    ("text", "text", "text", "bigint", "text"),
    versioned=True,
    key=("pack", "collection", "key"),
)

# A document travels with every change of its identity.
DOCUMENT_BYTES_MAX = 64 * 1024

# A new tariff of a lot shows after this, seconds.
READ_AGE_S_MAX = 1.0
READ_DOCUMENTS_MAX = 10_000

_json = msgspec.json.Encoder()


def _document_key(app: str, key: str) -> str:
    """Return the key under which an app's document is kept: one backend never sees another's."""
    return f"{app}/{key}"


class Document:
    """A state with the version under which it is stored; 0 when it is not yet."""

    __slots__ = ("state", "version")

    def __init__(self, version: int, state: msgspec.Struct | None) -> None:
        self.version = version
        self.state = state


async def load_document(
    store: Store, pack: str, collection: str, app: str, key: str, state: type[msgspec.Struct]
) -> Document:
    """Return an identity's document as committed."""
    found = await store.load_document(pack, collection, _document_key(app, key))
    if found is None:
        return Document(0, None)
    return Document(found[0], msgspec.json.decode(found[1], type=state))


def document_fact(
    pack: str, collection: str, app: str, key: str, version: int, state: msgspec.Struct
) -> Fact:
    """Return the row of a document's new version."""
    body = _json.encode(state)
    if len(body) > DOCUMENT_BYTES_MAX:
        raise ValueError(f"a document of {len(body)} bytes; at most {DOCUMENT_BYTES_MAX}")
    return Fact("document", (pack, collection, _document_key(app, key), version, body.decode()))


class Reader:
    """Other identities' documents, as committed at most :data:`READ_AGE_S_MAX` ago.

    Thousands of vehicles read the same few lots; without this each entry would cost a query.
    """

    def __init__(self, pack: str, store: Store) -> None:
        self._pack = pack
        self._store = store
        self._kept: dict[tuple[str, str], tuple[float, Any]] = {}

    async def read(
        self, app: str, collection: str, key: str, state: type[Any], now_s: float
    ) -> Any:
        """Return a document, or None."""
        name = (collection, _document_key(app, key))
        kept = self._kept.get(name)
        if kept is not None and kept[0] > now_s:
            return kept[1]
        found = await self._store.load_document(self._pack, *name)
        # What is not there is not kept: it may be made at any moment, and then it is wanted.
        if found is None:
            return None
        document = msgspec.json.decode(found[1], type=state)
        if len(self._kept) >= READ_DOCUMENTS_MAX:
            self._kept.clear()
        self._kept[name] = (now_s + READ_AGE_S_MAX, document)
        return document


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
