"""The sources that the rules of the house are checked against."""

import ast
from functools import cache
from pathlib import Path

import msgspec

__all__ = ("ROOMS", "ROOT", "Module", "definitions", "imports", "modules", "test_modules")

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "kernel", "actors", "plugins", "loadtest", "zhihui")

# Revisions are scripts that the migration tool loads by path; their shape is its own.
_NOT_OURS = ("zhihui/migrations/versions/", "zhihui/migrations/env.py")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed file; ``path`` is relative to the root, ``name`` dotted."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """Return the top-level folder."""
        return self.path.split("/", 1)[0]


@cache
def modules(*rooms: str) -> tuple[Module, ...]:
    """Return all modules of the rooms, or of every room."""
    return tuple(module for room in rooms or ROOMS for module in _read(room))


@cache
def test_modules() -> tuple[Module, ...]:
    """Return all files under ``tests``."""
    return tuple(_read("tests"))


# pytest would take the name for a test where it is imported.
test_modules.__test__ = False  # type: ignore[attr-defined]


def imports(module: Module) -> list[tuple[int, str]]:
    """Return the line and the dotted target of every import, relative ones resolved.

    ``from a import b`` gives ``a.b``, for ``b`` may be a module.
    """
    found: list[tuple[int, str]] = []
    package = module.name.split(".")
    if not module.path.endswith("/__init__.py"):
        package = package[:-1]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            found += [(node.lineno, f"{source}.{alias.name}") for alias in node.names]
    return found


def definitions(module: Module) -> list[tuple[str, Definition]]:
    """Return every function, method and class with its qualified name, nested ones too."""
    found: list[tuple[str, Definition]] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                found.append((f"{prefix}{child.name}", child))
                visit(child, f"{prefix}{child.name}.")
            else:
                visit(child, prefix)

    visit(module.tree, "")
    return found


def _read(room: str) -> list[Module]:
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        relative = path.relative_to(ROOT).as_posix()
        if relative.startswith(_NOT_OURS):
            continue
        text = path.read_text(encoding="utf-8")
        name = relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found.append(
            Module(path=relative, name=name, text=text, tree=ast.parse(text, filename=relative))
        )
    return found
