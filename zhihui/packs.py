"""The scenario packs that come with the program, found by their manifests.

First form: they are imported as ordinary modules of the ``plugins`` room.
"""

import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

import plugins
from kernel.pack import Pack
from schemas.effects import CAPABILITIES

__all__ = ("bundled_event_data", "bundled_packs")


class _Events(msgspec.Struct, frozen=True, kw_only=True):
    """One ``[[events]]`` of a manifest; ``data`` names structs as ``module:name``."""

    type: str
    data: tuple[str, ...]


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a ``plugin.toml`` here."""

    name: str
    entry: str
    capabilities: tuple[str, ...] = ()
    events: tuple[_Events, ...] = ()


def bundled_packs() -> tuple[Pack, ...]:
    """Return one instance of each bundled pack, in the order of their names.

    Each may ask for what its manifest asks for and for nothing else.
    """
    packs = []
    for folder, manifest in _manifests():
        kind = _load(folder, manifest.entry)
        if not (isinstance(kind, type) and issubclass(kind, Pack)):
            raise TypeError(f"{folder}/plugin.toml: entry {manifest.entry!r} is not a Pack")
        if unknown := set(manifest.capabilities) - CAPABILITIES:
            raise ValueError(
                f"{folder}/plugin.toml asks for the capabilities {', '.join(sorted(unknown))}; "
                f"there are {', '.join(sorted(CAPABILITIES))}"
            )
        pack = kind()
        pack.granted = frozenset(manifest.capabilities)
        packs.append(pack)
    return tuple(packs)


def bundled_event_data() -> dict[str, tuple[type[msgspec.Struct], ...]]:
    """Return what the events of the bundled packs carry, by type, as their manifests say."""
    found: dict[str, tuple[type[msgspec.Struct], ...]] = {}
    for folder, manifest in _manifests():
        for event in manifest.events:
            structs = []
            for name in event.data:
                struct = _load(folder, name)
                if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
                    raise TypeError(f"{folder}/plugin.toml: {name!r} is not a Struct")
                structs.append(struct)
            found[event.type] = tuple(structs)
    return found


def _manifests() -> Iterator[tuple[str, _Manifest]]:
    for room in plugins.__path__:
        for path in sorted(Path(room).glob("*/plugin.toml")):
            manifest = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Manifest)
            yield path.parent.name, manifest


def _load(folder: str, name: str) -> object:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(f"plugins.{folder}.{module}"), attribute)
