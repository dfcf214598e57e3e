"""Proof that an unloaded generation is gone.

Classes refer to themselves, so only Python's collector of cycles can free them. It stops the
process while it looks, some 50 ms for half a million objects, so when it runs is up to the caller.
"""

import gc
import inspect
import linecache
import logging
import sys
import types
import typing
import weakref
from collections.abc import Iterator
from typing import Any

import msgspec

from kernel.plugins.holders import is_below, search_holders

__all__ = ("Remains",)


class Remains:
    """What was a generation: weak references to its modules, classes and functions."""

    def __init__(self, package: str) -> None:
        self.package = package
        self._references: list[tuple[str, weakref.ref[Any]]] = []
        for name, module in list(sys.modules.items()):
            if is_below(name, self.package):
                self._watch(module, name)
        for struct in self._structs():
            self._watch(struct, f"{struct.__module__}.{struct.__qualname__}")

    def _watch(self, thing: Any, name: str) -> None:
        self._references.append((name, weakref.ref(thing)))
        if not isinstance(thing, types.ModuleType):
            return
        for key, value in vars(thing).items():
            if isinstance(value, type | types.FunctionType) and is_below(
                value.__module__, self.package
            ):
                self._references.append((f"{name}.{key}", weakref.ref(value)))

    def _structs(self) -> Iterator[type[msgspec.Struct]]:
        """Return all structs of the generation, those made inside of functions too."""
        waiting: list[type[Any]] = [msgspec.Struct]
        while waiting:
            for kind in waiting.pop().__subclasses__():
                waiting.append(kind)
                if is_below(kind.__module__, self.package):
                    yield kind

    def release(self) -> None:
        """Clear what libraries remember of the generation without anybody having asked them to."""
        for cache in (linecache.cache, getattr(inspect, "modulesbyfile", {})):
            for key in [key for key in cache if key.startswith(f"<{self.package}>/")]:
                del cache[key]
        names = getattr(inspect, "_filesbymodname", {})
        for name in [name for name in names if is_below(name, self.package)]:
            del names[name]
        self._forget_loggers()
        # `Optional[A]` and its like stand in a cache of 128 entries for each kind of generic.
        for clear in getattr(typing, "_cleanups", ()):
            clear()
        # msgspec keeps the last 64 unions of tagged structs ...
        unions = getattr(msgspec._core, "_struct_lookup_cache", None)
        if unions is not None:
            unions.clear()
        # ... and never gives back the annotations of a struct, which name other classes
        # (msgspec 0.22, issue 1193 there). An empty dict is all that stays.
        for struct in list(self._structs()):
            annotations = vars(struct).get("__annotations__")
            if annotations is not None:
                annotations.clear()

    def _forget_loggers(self) -> None:
        loggers = logging.Logger.manager.loggerDict
        for name in [name for name in loggers if is_below(name, self.package)]:
            logger = loggers.pop(name)
            # Names above it stand for loggers that nobody asked for, and list those below.
            above = name.rpartition(".")[0]
            while above:
                holder = loggers.get(above)
                if isinstance(holder, logging.PlaceHolder) and isinstance(logger, logging.Logger):
                    holder.loggerMap.pop(logger, None)
                above = above.rpartition(".")[0]

    def alive(self) -> tuple[str, ...]:
        """Return the names of what still lives."""
        return tuple(sorted({name for name, reference in self._references if reference()}))

    def collect(self, *, thaw: bool = True) -> bool:
        """Run the collector of cycles; tell whether all is gone.

        What was frozen, as a node does once it has started, is thawed when it has to be; without
        ``thaw`` only what came since is looked through, which takes a fraction of the time.
        """
        if not self._collected() and thaw and gc.get_freeze_count():
            gc.unfreeze()
            self._collected()
            gc.freeze()
        return not self.alive()

    def _collected(self) -> bool:
        """Run the collector as long as that helps; tell whether all is gone.

        It does not see structs that hold nothing but plain values, nor that they hold their class.
        When one of them goes, as a constant of a module, its class is only free for the next run.
        """
        before = len(self.alive())
        while before:
            gc.collect()
            after = len(self.alive())
            if after == before:
                return False
            before = after
        return True

    def holders(self) -> tuple[str, ...]:
        """Return what holds the generation from outside, as far as Python can tell.

        It looks through the whole heap several times: only for when something is wrong.
        """
        alive = [thing for _, reference in self._references if (thing := reference())]
        return search_holders(self.package, alive)
