"""From loaded code to a pack: the class that the manifest names, checked against the manifest."""

import sys

import msgspec

from kernel.pack import Pack
from kernel.plugins.errors import LoadFailed
from kernel.plugins.holders import is_below
from kernel.plugins.loader import LoadedCode
from kernel.plugins.manifest import Manifest

__all__ = ("make_pack",)


def make_pack(code: LoadedCode, manifest: Manifest) -> Pack:
    """Return an instance of the pack's class; raise :class:`LoadFailed` when it is not as said.

    Operators and backends read the manifest, so what it says is what the code does.
    """
    kind = code.find(manifest.entry)
    if not (isinstance(kind, type) and issubclass(kind, Pack)):
        raise LoadFailed(f"{manifest.entry!r} is not a class derived from Pack", field="entry")
    failure = ""
    pack = None
    try:
        pack = kind()
    except Exception as error:  # noqa: BLE001 - whatever it does, it is its fault
        failure = f"{manifest.entry!r} cannot be made: {type(error).__name__}: {error}"
    if pack is None:
        raise LoadFailed(failure, field="entry")
    failure = _held_by_a_default(code.package)
    if failure:
        raise LoadFailed(failure)
    failure = _difference(pack, manifest) or _timer_difference(pack, manifest)
    if failure:
        raise LoadFailed(f"the code is not as the manifest says: {failure}")
    pack.granted = frozenset(manifest.capabilities)
    return pack


def _held_by_a_default(package: str) -> str:
    """Return which field's default would keep the code in memory for ever, or nothing.

    A struct of plain values is not looked at by the collector of cycles, so a class that holds one
    of its own package as a default holds itself.
    """
    for name, module in list(sys.modules.items()):
        if not is_below(name, package):
            continue
        for struct in list(vars(module).values()):
            if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
                continue
            for field in msgspec.structs.fields(struct):
                default = type(field.default)
                if issubclass(default, msgspec.Struct) and is_below(default.__module__, package):
                    return (
                        f"{struct.__name__}.{field.name} has a {default.__name__} as its default, "
                        "which would keep this version in memory for ever; write "
                        f"msgspec.field(default_factory={default.__name__})"
                    )
    return ""


def _difference(pack: Pack, manifest: Manifest) -> str:
    """Return the first thing in which code and manifest differ, or nothing."""
    if getattr(pack, "name", None) != manifest.name:
        return f"the class has the name {getattr(pack, 'name', None)!r}, not {manifest.name!r}"
    marked = {one.verb: one for one in pack.pack_operations()}
    served = {one.verb: one for one in manifest.operations}
    if marked.keys() != served.keys():
        names = ", ".join(sorted(marked.keys() ^ served.keys()))
        return f"only one of them has the operations {names}"
    keys = {one.name: one.key for one in manifest.collections}
    published = {one.type for one in manifest.events}
    for verb, operation in marked.items():
        said = served[verb]
        for field in ("collection", "mutates", "internal"):
            if getattr(operation, field) != getattr(said, field):
                return f"operation {verb!r} has {field} {getattr(operation, field)!r}"
        if operation.key != keys[said.collection]:
            return (
                f"operation {verb!r} has the key {operation.key!r}, not {keys[said.collection]!r}"
            )
        if unknown := set(operation.events) - published:
            return f"operation {verb!r} sends {', '.join(sorted(unknown))}, which is not listed"
    return ""


def _timer_difference(pack: Pack, manifest: Manifest) -> str:
    known = {one.name for one in manifest.collections}
    published = {one.type for one in manifest.events}
    for timer in pack.pack_timers():
        if timer.collection not in known:
            return f"timer {timer.name!r} is of the collection {timer.collection!r}"
        if unknown := set(timer.events) - published:
            return f"timer {timer.name!r} sends {', '.join(sorted(unknown))}, which is not listed"
    return ""
