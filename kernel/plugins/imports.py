"""What the code of a pack may import, read from its text before any of it runs.

This is a fence, not a prison: Python has no sandbox, and a pack runs in our process as trusted
code. It keeps an author from building on what may change tomorrow, and a generation from another.
"""

import ast
from collections.abc import Iterator, Mapping

import msgspec

from kernel.plugins.errors import ImportRefused, LoadFailed

__all__ = ("ImportRules", "Source", "check_imports", "loading_order", "python_sources")

# Folders at the root that travel with a pack and are no part of the running code.
_NOT_CODE = ("tests/", "samples/")
# Ways around this file. `importlib.resources` reads the pack's own data, and is how to do that.
_MACHINERY = ("_plugins", "imp", "importlib", "pkgutil", "runpy", "zipimport")
_MACHINERY_ALLOWED = ("importlib.resources",)


class ImportRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a pack may see of the host.

    ``private`` modules are refused with all that is below them, except those that ``public`` names,
    again with all below. Any other module is of no concern here.
    """

    public: tuple[str, ...]
    private: tuple[str, ...]

    def allows(self, target: str) -> bool:
        """Tell whether a dotted name may be imported."""
        private = (*self.private, *_MACHINERY)
        return not _is_in(target, private) or _is_in(target, (*self.public, *_MACHINERY_ALLOWED))


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One module: its name below the pack's package ('' is the package itself), and its text."""

    name: str
    path: str
    text: bytes
    is_package: bool


def python_sources(files: Mapping[str, bytes]) -> dict[str, Source]:
    """Return the modules among the files of an archive, by name.

    A folder that holds modules is a package, whether it has an ``__init__.py`` or not.
    """
    found: dict[str, Source] = {}
    for path, text in sorted(files.items()):
        if not path.endswith(".py") or path.startswith(_NOT_CODE):
            continue
        parts = path.removesuffix(".py").split("/")
        is_package = parts[-1] == "__init__"
        if is_package:
            parts.pop()
        # Other scripts may travel along; nobody can import them.
        if all(part.isidentifier() for part in parts):
            name = ".".join(parts)
            if name in found:
                raise LoadFailed(f"{path}: the module {name} is there twice, as {found[name].path}")
            found[name] = Source(name=name, path=path, text=text, is_package=is_package)
    for name in list(found):
        for package in _packages_above(name):
            if package not in found:
                path = f"{package.replace('.', '/')}/__init__.py".removeprefix("/")
                found[package] = Source(name=package, path=path, text=b"", is_package=True)
            elif not found[package].is_package:
                raise LoadFailed(f"{found[package].path} is a module and a folder of modules")
    return found


def _packages_above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts))] if name else []


def check_imports(source: Source, rules: ImportRules) -> frozenset[str]:
    """Return the names below the pack's package that a module imports.

    Raise :class:`ImportRefused` with file, line and target for what is not allowed, wherever in the
    module it stands, and :class:`LoadFailed` when the text is not Python.
    """
    try:
        tree = ast.parse(source.text, filename=source.path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise LoadFailed(f"{source.path}:{line or 1}: {error}", field=source.path) from None
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                _check_target(source, node.lineno, alias.name, rules)
                if alias.asname is None:
                    # `import a.b` binds `a`, and with it all of it that is loaded already.
                    _check_bound(source, node.lineno, alias.name, rules)
        elif isinstance(node, ast.ImportFrom):
            own.update(_from_targets(source, node, rules))
        elif isinstance(node, ast.Name) and node.id == "__import__":
            raise _refused(source, node.lineno, "__import__", rules)
    return frozenset(own)


def _from_targets(source: Source, node: ast.ImportFrom, rules: ImportRules) -> Iterator[str]:
    if not node.level:
        for alias in node.names:
            # What is imported from a package may be a module of it.
            name = "" if alias.name == "*" else f".{alias.name}"
            _check_target(source, node.lineno, f"{node.module}{name}", rules)
        return
    package = source.name.split(".") if source.name else []
    if not source.is_package:
        package.pop()
    up = node.level - 1
    if up > len(package):
        raise _refused(source, node.lineno, "." * node.level + (node.module or ""), rules)
    base = package[: len(package) - up] + (node.module.split(".") if node.module else [])
    yield ".".join(base)
    for alias in node.names:
        yield ".".join([*base, alias.name])


def _check_target(source: Source, line: int, target: str, rules: ImportRules) -> None:
    if not rules.allows(target):
        raise _refused(source, line, target, rules)


def _check_bound(source: Source, line: int, target: str, rules: ImportRules) -> None:
    top = target.partition(".")[0]
    if top != target and not rules.allows(top):
        raise ImportRefused(
            f"{source.path}:{line}: `import {target}` binds all of {top}; write "
            f"`from {target} import ...`",
            field=source.path,
        )


def _refused(source: Source, line: int, target: str, rules: ImportRules) -> ImportRefused:
    return ImportRefused(
        f"{source.path}:{line}: a pack may not import {target}; of the host it may import "
        f"{', '.join(rules.public) or 'nothing'}, and its own modules as `from .module import ...`",
        field=source.path,
    )


def loading_order(imports: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the modules with what they import before them, as far as that goes.

    A host that loads them in this order runs one module at a time, and serves others in between.
    """
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in imports:
            return
        seen.add(name)
        for needed in (*_packages_above(name), *sorted(imports[name])):
            visit(needed)
        order.append(name)

    for name in sorted(imports):
        visit(name)
    return order


def _is_in(target: str, places: tuple[str, ...]) -> bool:
    return any(target == place or target.startswith(f"{place}.") for place in places)
