"""The code of one generation: loaded from bytes, under a name of its own, and taken away again.

The modules of generation 7 of the plugin ``library`` are ``_plugins.library.g7`` and below. Each
generation has its own finder and loader, which know its own files and nothing else; nothing is ever
reloaded, put on ``sys.path`` or shared. So two generations live side by side, and one of them goes
without the other noticing.
"""

import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.resources.abc import TraversableResources
from importlib.util import spec_from_loader
from types import CodeType, ModuleType
from typing import Any

import anyio.lowlevel

from kernel.clock import Clock
from kernel.plugins.archive import Archive
from kernel.plugins.errors import LoadFailed
from kernel.plugins.imports import (
    ImportRules,
    Source,
    check_imports,
    loading_order,
    python_sources,
)
from kernel.plugins.remains import Remains
from kernel.plugins.resources import ArchiveResources

__all__ = ("ROOT", "LoadedCode", "load_code", "package_name")

ROOT = "_plugins"

# A step takes some milliseconds; others have the processor for twice as long then, and at most for
# this.
_PAUSE_SHARE = 2
_PAUSE_S_MAX = 0.05


def package_name(plugin: str, number: int, space: str = "") -> str:
    """Return the name of the package that holds the code of a generation.

    ``space`` tells nodes apart that live in one process, as in a simulated world.
    """
    return f"{ROOT}.{plugin}.g{number}" + (f"_{space}" if space else "")


class LoadedCode:
    """The modules of one generation, until :meth:`unload`."""

    def __init__(self, package: str, finder: "_Finder") -> None:
        self.package = package
        self._finder: _Finder | None = finder

    def find(self, reference: str) -> Any:
        """Return what ``module:Name`` names; raise :class:`LoadFailed` when there is no such."""
        module, _, attribute = reference.partition(":")
        loaded = sys.modules.get(f"{self.package}.{module}")
        if self._finder is None or loaded is None:
            raise LoadFailed(f"{reference!r} names no module of {self.package}")
        found = vars(loaded).get(attribute)
        if found is None:
            raise LoadFailed(f"{reference!r}: the module {module} has no {attribute!r}")
        return found

    def unload(self) -> Remains:
        """Take all modules away; whether the generation dies is for the result to prove.

        Whoever calls has let go of everything of the generation before.
        """
        assert self._finder is not None, f"{self.package} is unloaded twice"
        remains = Remains(self.package)
        _take_away(self.package, self._finder)
        self._finder = None
        remains.release()
        return remains


async def load_code(
    archive: Archive,
    *,
    number: int,
    rules: ImportRules,
    space: str = "",
    clock: Clock | None = None,
) -> LoadedCode:
    """Load all modules of an archive as generation ``number`` of its plugin.

    Checking, compiling and running a module each take some milliseconds; others are served in
    between, by the clock for twice as long. Raise :class:`LoadFailed`, or
    :class:`~kernel.plugins.errors.ImportRefused`, and then nothing stays.
    """
    pace = _Pace(clock)
    package = package_name(archive.manifest.name, number, space)
    if package in sys.modules:
        raise LoadFailed(f"{package} is loaded already; a generation has a number of its own")
    sources = python_sources(archive.files)
    sources.setdefault("", Source(name="", path="__init__.py", text=b"", is_package=True))
    imports: dict[str, frozenset[str]] = {}
    compiled: dict[str, CodeType] = {}
    for name, source in sources.items():
        imports[name] = check_imports(source, rules)
        await pace.rest()
        compiled[name] = _compile(package, source)
        await pace.rest()
    finder = _Finder(package, sources, compiled, archive.files)
    _make_room(package)
    sys.meta_path.insert(0, finder)
    try:
        for name in loading_order(imports):
            _import(package, sources[name])
            await pace.rest()
    except BaseException:
        LoadedCode(package, finder).unload()
        raise
    # Nobody finds a generation by way of another one's parent.
    vars(sys.modules[package.rpartition(".")[0]]).pop(package.rpartition(".")[2], None)
    return LoadedCode(package, finder)


class _Pace:
    """Leaves others their share of the processor.

    A message takes several turns of the loop and a pack many steps, so if only one turn passed
    after each, every message would wait for several steps.
    """

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock
        self._since_s = 0.0 if clock is None else clock.monotonic_s()

    async def rest(self) -> None:
        """Wait for twice as long as the step took that ends here."""
        took_s = 0.0 if self._clock is None else self._clock.monotonic_s() - self._since_s
        if self._clock is None or took_s <= 0:
            await anyio.lowlevel.checkpoint()
            return
        await self._clock.sleep(min(_PAUSE_SHARE * took_s, _PAUSE_S_MAX))
        self._since_s = self._clock.monotonic_s()


def _compile(package: str, source: Source) -> CodeType:
    try:
        # The name is what a traceback shows, and the key under which its lines are remembered.
        code: CodeType = compile(
            source.text, f"<{package}>/{source.path}", "exec", dont_inherit=True
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LoadFailed(f"{source.path}: {error}", field=source.path) from None
    return code


def _import(package: str, source: Source) -> None:
    """Run a module; raise :class:`LoadFailed`, which says where and why in words.

    It is not chained: a traceback would hold the modules.
    """
    failure = ""
    try:
        importlib.import_module(f"{package}.{source.name}" if source.name else package)
    # A pack that ends the program at its import must not end it.
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it does, it is its fault
        frames = [
            f"{frame.filename.removeprefix(f'<{package}>/')}:{frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith(f"<{package}>/")
        ]
        where = frames[-1] if frames else source.path
        failure = f"{where}: {type(error).__name__}: {error}"
    if failure:
        raise LoadFailed(failure, field=source.path)


def _make_room(package: str) -> None:
    """Let the packages above be there: empty, and with no place where anything could be found."""
    above = package.rpartition(".")[0]
    for name in (ROOT, above):
        if name not in sys.modules:
            module = ModuleType(name, "Holds the generations of plugins.")
            module.__path__ = []
            sys.modules[name] = module


def _take_away(package: str, finder: "_Finder") -> None:
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    prefix = f"{package}."
    for name in [name for name in sys.modules if name == package or name.startswith(prefix)]:
        module = sys.modules.pop(name)
        # Nobody runs it any more. Constants, such as structs of plain values, may hold the module
        # by ways that the collector of cycles does not see.
        vars(module).clear()
    above = package
    while above != ROOT:
        above, _, child = above.rpartition(".")
        parent = sys.modules.get(above)
        if parent is not None:
            vars(parent).pop(child, None)
        if any(name.startswith(f"{above}.") for name in sys.modules):
            break
        sys.modules.pop(above, None)


class _Finder(MetaPathFinder):
    """Finds the modules of one generation and of no other."""

    def __init__(
        self,
        package: str,
        sources: Mapping[str, Source],
        compiled: Mapping[str, CodeType],
        files: Mapping[str, bytes],
    ) -> None:
        self._package = package
        self._prefix = f"{package}."
        self._sources = sources
        self._loader = _Loader(package, sources, compiled, files)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if not fullname.startswith(self._package):
            return None
        if fullname == self._package:
            name = ""
        elif fullname.startswith(self._prefix):
            name = fullname[len(self._prefix) :]
        else:
            return None
        source = self._sources.get(name)
        if source is None:
            return None
        spec = spec_from_loader(
            fullname,
            self._loader,
            origin=f"<{self._package}>/{source.path}",
            is_package=source.is_package,
        )
        if spec is not None:
            # It has a `__file__`, without which `inspect` takes a class for one of the interpreter.
            spec.has_location = True
        return spec


class _Loader(InspectLoader):
    """Runs the modules of one generation."""

    def __init__(
        self,
        package: str,
        sources: Mapping[str, Source],
        compiled: Mapping[str, CodeType],
        files: Mapping[str, bytes],
    ) -> None:
        self._package = package
        self._sources = sources
        self._compiled = compiled
        self._files = files

    def _name(self, fullname: str) -> str:
        return fullname.removeprefix(self._package).removeprefix(".")

    def get_code(self, fullname: str) -> CodeType | None:
        return self._compiled.get(self._name(fullname))

    def get_source(self, fullname: str) -> str | None:
        source = self._sources.get(self._name(fullname))
        return None if source is None else source.text.decode("utf-8", errors="replace")

    def is_package(self, fullname: str) -> bool:
        source = self._sources.get(self._name(fullname))
        return source is not None and source.is_package

    def get_resource_reader(self, fullname: str) -> TraversableResources:
        path = self._name(fullname).replace(".", "/")
        return ArchiveResources(self._files, f"{path}/" if path else "")
