"""The scenario packs that come with the program: archives to serve, modules to look at."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

import plugins
from kernel.pack import Pack
from kernel.plugins.archive import Archive, pack_files, pack_folder, read_archive
from kernel.plugins.manifest import MANIFEST_NAME, Manifest, read_manifest
from schemas.effects import CAPABILITIES

__all__ = ("bundled_archives", "bundled_event_data", "bundled_packs")

# What an author brings along for others and no node needs.
_LEFT_OUT = ("samples/", "tests/")


def bundled_archives() -> tuple[Archive, ...]:
    """Return the archives of the bundled packs, without their samples and tests."""
    archives = []
    for folder, _ in _folders():
        files = pack_folder(folder).files
        kept = {name: data for name, data in files.items() if not name.startswith(_LEFT_OUT)}
        archives.append(read_archive(pack_files(kept)))
    return tuple(archives)


def bundled_packs() -> tuple[Pack, ...]:
    """Return one instance of each bundled pack, imported as any module, by name.

    They are for looking at: what a node serves is loaded from archives.
    """
    packs = []
    for folder, manifest in _folders():
        kind = _load(folder, manifest.entry)
        if not (isinstance(kind, type) and issubclass(kind, Pack)):
            raise TypeError(f"{folder.name}/plugin.toml: entry {manifest.entry!r} is not a Pack")
        if unknown := set(manifest.capabilities) - CAPABILITIES:
            raise ValueError(
                f"{folder.name}/plugin.toml asks for the capabilities "
                f"{', '.join(sorted(unknown))}; there are {', '.join(sorted(CAPABILITIES))}"
            )
        pack = kind()
        pack.granted = frozenset(manifest.capabilities)
        packs.append(pack)
    return tuple(packs)


def bundled_event_data() -> dict[str, tuple[type[msgspec.Struct], ...]]:
    """Return what the events of the bundled packs carry, by type, as their manifests say."""
    found: dict[str, tuple[type[msgspec.Struct], ...]] = {}
    for folder, manifest in _folders():
        for event in manifest.events:
            structs = []
            for name in event.data:
                struct = _load(folder, name)
                if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
                    raise TypeError(f"{folder.name}/plugin.toml: {name!r} is not a Struct")
                structs.append(struct)
            found[event.type] = tuple(structs)
    return found


def _folders() -> Iterator[tuple[Path, Manifest]]:
    for room in plugins.__path__:
        for path in sorted(Path(room).glob(f"*/{MANIFEST_NAME}")):
            yield path.parent, read_manifest(path.read_bytes())


def _load(folder: Path, name: str) -> object:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(f"plugins.{folder.name}.{module}"), attribute)
