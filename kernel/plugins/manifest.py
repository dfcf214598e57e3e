"""The manifest of a plugin: what a host must know before it runs any of its code.

It stands in ``plugin.toml`` at the root of the folder. The kernel gives no meaning to what a pack
asks for: capabilities are names, and the application that hosts the pack knows what they allow.
"""

import re
import tomllib
from collections.abc import Iterable
from keyword import iskeyword
from typing import Annotated

import msgspec
from msgspec import Meta

from kernel.plugins.errors import ManifestInvalid
from kernel.plugins.versions import Version, VersionRange

__all__ = (
    "MANIFEST_BYTES_MAX",
    "MANIFEST_NAME",
    "Collection",
    "Limits",
    "Manifest",
    "PublishedEvent",
    "ServedOperation",
    "read_manifest",
)

MANIFEST_NAME = "plugin.toml"
# The longest that is known has 2 KiB.
MANIFEST_BYTES_MAX = 64 * 1024
# More of either is not one scenario any more.
_ENTRIES_MAX = 200

# A name is a token of a NATS subject and part of a Python module's name.
_NAME = r"^[a-z][a-z0-9_]{0,31}(?!\n)$"
_FIELD = r"^[a-z][a-z0-9_]{0,63}(?!\n)$"
_REFERENCE = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*(?!\n)$"

_Name = Annotated[str, Meta(pattern=_NAME)]
_Reference = Annotated[str, Meta(pattern=_REFERENCE, max_length=128)]
_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_Capability = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.]{0,63}(?!\n)$")]
_StateVersion = Annotated[int, Meta(ge=1, le=10_000)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one generation may take on one node. The upper ends are what a node can bear."""

    # Messages that wait; two seconds of the highest rate measured on one node.
    mailbox: Annotated[int, Meta(ge=1, le=65_536)] = 16_384
    # Messages in work at once. At 50 ms a message these are 80,000 a second, which no pack needs.
    concurrency: Annotated[int, Meta(ge=1, le=16_384)] = 4_096
    # Deciding takes microseconds; what takes seconds waits for something that does not come.
    handler_ms: Annotated[int, Meta(ge=1, le=30_000)] = 2_000
    # A document travels with every change of its identity.
    document_bytes: Annotated[int, Meta(ge=64, le=262_144)] = 65_536


class Collection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents of one kind. ``key`` names the field of the requests that selects one."""

    name: _Name
    key: Annotated[str, Meta(pattern=_FIELD)]
    state: _Reference
    # None: the version that the manifest states for all its collections.
    state_version: _StateVersion | None = None


class ServedOperation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message that the plugin takes; an ``internal`` one only from its own identities."""

    verb: _Name
    collection: _Name
    mutates: bool
    internal: bool = False


class PublishedEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message that it sends; ``data`` names the structs that it may carry."""

    type: Annotated[str, Meta(max_length=96)]
    data: Annotated[tuple[_Reference, ...], Meta(min_length=1, max_length=16)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of ``plugin.toml``. Read it with :func:`read_manifest`, which checks the rest."""

    name: _Name
    version: str
    kernel_api: str
    entry: _Reference
    summary: _Text
    license: _Text = "unlicensed"
    state_version: _StateVersion = 1
    capabilities: Annotated[tuple[_Capability, ...], Meta(max_length=32)] = ()
    limits: Limits = Limits()
    collections: Annotated[tuple[Collection, ...], Meta(max_length=_ENTRIES_MAX)] = ()
    operations: Annotated[tuple[ServedOperation, ...], Meta(max_length=_ENTRIES_MAX)] = ()
    events: Annotated[tuple[PublishedEvent, ...], Meta(max_length=_ENTRIES_MAX)] = ()

    def state_version_of(self, collection: str) -> int | None:
        """Return the version in which documents of a collection are written; None: not its own."""
        for one in self.collections:
            if one.name == collection:
                return one.state_version or self.state_version
        return None

    def runs_on(self, api: Version) -> bool:
        """Tell whether the plugin was written for this version of the plugin API."""
        return api in VersionRange(self.kernel_api)


def read_manifest(text: bytes) -> Manifest:
    """Return the manifest; raise :class:`ManifestInvalid` with the place and what is expected."""
    if len(text) > MANIFEST_BYTES_MAX:
        raise _invalid("", f"{len(text)} bytes; at most {MANIFEST_BYTES_MAX} are read")
    try:
        data = tomllib.loads(text.decode())
    except UnicodeDecodeError as error:
        raise _invalid("", f"not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        # Also of an integer with more digits than Python converts.
        raise _invalid("", f"not TOML: {error}") from error
    try:
        manifest = msgspec.convert(data, Manifest)
    except msgspec.ValidationError as error:
        raise _as_toml(str(error)) from error
    _check(manifest)
    return manifest


def _invalid(place: str, problem: str) -> ManifestInvalid:
    where = f"{MANIFEST_NAME}, {place}" if place else MANIFEST_NAME
    return ManifestInvalid(f"{where}: {problem}", field=place or None)


def _as_toml(text: str) -> ManifestInvalid:
    """Return the error with the place as it is called in the file: ``$.limits`` is ``limits``."""
    problem, _, path = text.partition(" - at `")
    place = path.removesuffix("`").removeprefix("$").removeprefix(".")
    named = re.search(r"field `([^`]+)`", problem)
    if named is not None:
        place = f"{place}.{named[1]}" if place else named[1]
    return _invalid(place, problem[:1].lower() + problem[1:])


def _check(manifest: Manifest) -> None:
    """Check what a shape alone does not say."""
    if iskeyword(manifest.name):
        raise _invalid("name", f"{manifest.name!r} is a word of Python; take another name")
    try:
        Version(manifest.version)
    except ValueError as error:
        raise _invalid("version", str(error)) from error
    try:
        VersionRange(manifest.kernel_api)
    except ValueError as error:
        raise _invalid("kernel_api", str(error)) from error
    _check_unique("capabilities", manifest.capabilities)
    _check_unique("collections", (one.name for one in manifest.collections))
    _check_unique("operations", (one.verb for one in manifest.operations))
    _check_unique("events", (one.type for one in manifest.events))
    known = {one.name for one in manifest.collections}
    for number, operation in enumerate(manifest.operations):
        if operation.collection not in known:
            raise _invalid(
                f"operations[{number}].collection",
                f"{operation.collection!r} is none of the collections {', '.join(sorted(known))}",
            )
    # A plugin speaks in its own name: nobody may take its events for those of another.
    pattern = re.compile(rf"{manifest.name}\.[a-z][a-z0-9_]{{0,63}}")
    for number, event in enumerate(manifest.events):
        if not pattern.fullmatch(event.type):
            raise _invalid(
                f"events[{number}].type",
                f"{event.type!r} is not of the form {manifest.name}.<event>",
            )


def _check_unique(place: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _invalid(place, f"{name!r} stands there twice")
        seen.add(name)
