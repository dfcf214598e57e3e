"""The archives of plugins as Postgres keeps them: in parts, with what they say of themselves.

The object store of the broker is where nodes fetch from; this is what they fall back to, since a
broker that starts anew has forgotten everything.
"""

import base64
import binascii
import zlib

import msgspec

from actors.entity import Record, RecordTable
from kernel.plugins.archive import Archive, read_archive
from kernel.plugins.archive_store import kept_under
from kernel.plugins.manifest import Manifest
from kernel.plugins.signature import Signature
from kernel.store import Store
from schemas.errors import InvalidField
from schemas.plugins import PART_BYTES, PartUploaded, PluginArchive

__all__ = (
    "ARCHIVE_TABLE",
    "PART_TABLE",
    "StoredArchive",
    "StoredPart",
    "deflated",
    "inflated",
    "load_archive",
    "parts_of",
    "progress_of",
    "read_parts",
    "said_by",
    "state_versions_of",
    "stored_under",
)

# More than this is only slower: an archive is text.
_LEVEL = 6


class StoredPart(msgspec.Struct, frozen=True):
    """One part as it came: compressed, in base64."""

    data: str


class StoredArchive(msgspec.Struct, frozen=True, kw_only=True):
    """An archive; ``about`` is None until all of its parts came and were found sound.

    ``signature`` is the one with which it was loaded last.
    """

    total: int
    received: tuple[int, ...] = ()
    about: PluginArchive | None = None
    signature: Signature | None = None


ARCHIVE_TABLE = RecordTable(
    name="plugin_archive",
    key="sha256",
    state=StoredArchive,
    columns=("name text", "plugin_version text"),
    values=lambda state: (
        ("", "") if state.about is None else (state.about.name, state.about.version)
    ),
)

PART_TABLE = RecordTable(name="plugin_archive_part", key="part", state=StoredPart)


def stored_under(sha256: str, index: int) -> str:
    """Return the key of a part."""
    return f"{sha256}/{index:03d}"


def parts_of(data: bytes) -> list[str]:
    """Return an archive in parts, each as it travels."""
    return [deflated(data[start : start + PART_BYTES]) for start in range(0, len(data), PART_BYTES)]


def deflated(part: bytes) -> str:
    """Return a part as it travels: compressed by zlib, in base64."""
    return base64.b64encode(zlib.compress(part, _LEVEL)).decode()


def inflated(data: str, *, is_last: bool) -> bytes:
    """Return a part as it was; raise :class:`~schemas.errors.InvalidField` when it is none."""
    decompressor = zlib.decompressobj()
    try:
        part = decompressor.decompress(base64.b64decode(data, validate=True), PART_BYTES + 1)
    except (zlib.error, binascii.Error) as error:
        raise InvalidField(f"not compressed by zlib, in base64: {error}", field="data") from None
    whole = decompressor.eof and not decompressor.unused_data
    sound = 0 < len(part) <= PART_BYTES if is_last else len(part) == PART_BYTES
    if not whole or not sound:
        raise InvalidField(
            f"a part holds {PART_BYTES} bytes of the archive, and the last one the rest",
            field="data",
        )
    return part


def progress_of(sha256: str, state: StoredArchive) -> PartUploaded:
    """Return how far an archive is."""
    received = set(state.received)
    return PartUploaded(
        sha256=sha256,
        total=state.total,
        missing=[index for index in range(state.total) if index not in received],
        complete=state.about is not None,
    )


async def read_parts(store: Store, sha256: str, total: int) -> dict[int, bytes]:
    """Return the parts that are there, by their indexes, as they were before they travelled."""
    keys = [stored_under(sha256, index) for index in range(total)]
    found = await PART_TABLE.load_many(store, keys)
    return {
        index: inflated(found[key].state.data, is_last=index == total - 1)
        for index, key in enumerate(keys)
        if key in found
    }


async def load_archive(store: Store, sha256: str) -> tuple[Record[StoredArchive], Archive]:
    """Return an archive, read and checked anew.

    Raise :class:`~schemas.errors.NotFound` when it is not there or lacks parts.
    """
    record = await ARCHIVE_TABLE.load(store, sha256)
    if record is None or record.state.about is None:
        raise kept_under(sha256)
    parts = await read_parts(store, sha256, record.state.total)
    data = b"".join(parts.get(index, b"") for index in range(record.state.total))
    return record, read_archive(data, sha256=sha256)


def said_by(archive: Archive) -> PluginArchive:
    """Return what an archive says of itself."""
    manifest = archive.manifest
    return PluginArchive(
        sha256=archive.sha256,
        name=manifest.name,
        version=manifest.version,
        size_bytes=len(archive.data),
        kernel_api=manifest.kernel_api,
        summary=manifest.summary,
        license=manifest.license,
        capabilities=list(manifest.capabilities),
        operations=[
            f"{manifest.name}.{one.verb}" for one in manifest.operations if not one.internal
        ],
        state_versions=state_versions_of(manifest),
    )


def state_versions_of(manifest: Manifest) -> dict[str, int]:
    """Return the versions in which a plugin writes its documents, by collection."""
    return {one.name: one.state_version or manifest.state_version for one in manifest.collections}
