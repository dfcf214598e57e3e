"""Who holds what should be gone: a search through the heap, for when something is wrong."""

import gc
import sys
import types
from typing import Any

__all__ = ("HOLDERS_MAX", "is_below", "search_holders")

# Enough to see what is wrong.
HOLDERS_MAX = 8
# Beyond these the search gives up: it asks the collector about the whole heap at each step.
_DEPTH_MAX = 6
_OBJECTS_MAX = 5_000

# Lists, cells, partials and the like say nothing by their kind.
_NAMELESS = ("builtins", "collections", "functools", "msgspec._core", "types", "weakref")


def is_below(module: object, package: str) -> bool:
    """Tell whether a module's name is the package's or below it."""
    return isinstance(module, str) and (module == package or module.startswith(f"{package}."))


def search_holders(package: str, things: list[Any]) -> tuple[str, ...]:
    """Return in words what holds modules, classes or functions of a package from outside of it."""
    if not things:
        return ()
    search = _Search(package, things)
    search.outwards(things)
    if not search.found:
        search.outwards(_instances([one for one in things if isinstance(one, type)]))
    return tuple(search.found)[:HOLDERS_MAX] or ("nothing that the collector sees",)


def _instances(kinds: list[type]) -> list[Any]:
    """Return what is made of these classes, such as documents.

    The collector leaves out instances whose fields are plain numbers and texts, so nobody can be
    asked who holds the classes by way of them; but what refers to them can.
    """
    own = set(kinds)
    found = {
        id(one): one
        for thing in gc.get_objects()
        for one in gc.get_referents(thing)
        if type(one) in own
    }
    return list(found.values())


class _Search:
    """Goes from reference to reference until each way ends at something with a name of its own.

    On its way it passes objects that are held in turn. Such an object is named when the way ends
    there, for then it is held by a variable of running code or by a library's own memory.
    """

    def __init__(self, package: str, things: list[Any]) -> None:
        self._package = package
        self._seen = {id(things)}
        self.found: dict[str, None] = {}

    def outwards(self, things: list[Any]) -> None:
        """Search from these things on."""
        held = [(thing, "") for thing in things]
        for _ in range(_DEPTH_MAX):
            if not held or len(self._seen) > _OBJECTS_MAX:
                return
            held = self._step(held)

    def _step(self, held: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
        """Return what holds these things, each with the last name on the way there."""
        things = [thing for thing, _ in held]
        names = {id(thing): name for thing, name in held}
        outer: list[tuple[Any, str]] = []
        # The pairs refer to the things as well.
        self._seen.update((id(things), *map(id, held), *names))
        left = set(names)
        for thing in gc.get_referrers(*things):
            if id(thing) in (id(things), id(outer)) or _is_of_this_search(thing):
                continue
            referred = [id(one) for one in gc.get_referents(thing) if id(one) in names]
            if not isinstance(thing, tuple) or id(thing) not in self._seen:
                left.difference_update(referred)
            if id(thing) in self._seen:
                continue
            self._seen.add(id(thing))
            root = self._root(thing, referred)
            if root is not None:
                self.found[root] = None
                continue
            passed = next((names[one] for one in referred if names[one]), "")
            pair = (thing, self._passing(thing, passed))
            self._seen.add(id(pair))
            outer.append(pair)
        for one in left:
            if names[one]:
                self.found[names[one]] = None
        return outer

    def _root(self, thing: Any, referred: list[int]) -> str | None:
        """Return the name of what stands for itself; None for what is held by something else."""
        if isinstance(thing, types.FrameType):
            return f"the running code {thing.f_code.co_qualname} at line {thing.f_lineno}"
        if isinstance(thing, types.CoroutineType | types.GeneratorType | types.AsyncGeneratorType):
            return f"the {type(thing).__name__} {thing.__qualname__}"
        if isinstance(thing, dict):
            return _module_of(thing, referred)
        if self._is_own(thing):
            return None
        if isinstance(thing, types.ModuleType):
            return f"the module {thing.__name__}"
        if isinstance(thing, type | types.FunctionType):
            return f"{thing.__module__}.{thing.__qualname__}"
        return None

    def _passing(self, thing: Any, passed: str) -> str:
        if self._is_own(thing):
            # Back inside, where everything holds everything.
            return ""
        kind = type(thing)
        if kind.__module__ in _NAMELESS:
            return passed
        return f"an object of {kind.__module__}.{kind.__qualname__}"

    def _is_own(self, thing: Any) -> bool:
        """Tell whether the thing is itself a part of the package."""
        if isinstance(thing, types.ModuleType):
            return is_below(thing.__name__, self._package)
        if isinstance(thing, type | types.FunctionType):
            return is_below(thing.__module__, self._package)
        owner = getattr(thing, "__objclass__", None) or type(thing)
        return is_below(owner.__module__, self._package)


def _module_of(thing: dict[Any, Any], referred: list[int]) -> str | None:
    """Return the module whose names these are, or None when it is some other dict."""
    name = thing.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or vars(module) is not thing:
        return None
    keys = [str(key) for key, value in thing.items() if id(value) in referred]
    return f"the module {name}, as {', '.join(keys)}"


def _is_of_this_search(thing: Any) -> bool:
    return isinstance(thing, types.FrameType) and thing.f_code.co_filename == __file__
