"""The shape of modules: what they export, how long they are, what they are called."""

import ast
from pathlib import Path

from tests.tidy.source import ROOMS, ROOT, Module, definitions, modules, test_modules

# A state machine may be longer than the 250 lines to aim at, if it is one state machine.
_FILE_LINES_MAX = 500
_FUNCTION_LINES_MAX = 70

# `__all__` comes after the module's docstring and its imports, and before anything else.
_MAY_STAND_BEFORE = (ast.Import, ast.ImportFrom, ast.If, ast.Expr)

_NAMES_THAT_SAY_NOTHING = {"util", "utils", "helper", "helpers", "common", "misc"}


def _exported(module: Module) -> ast.expr | None:
    for node in module.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return value
            case ast.AnnAssign(target=ast.Name(id="__all__"), value=value):
                return value
    return None


def _names(exported: ast.expr | None) -> list[str]:
    if not isinstance(exported, ast.Tuple):
        return []
    return [str(item.value) for item in exported.elts if isinstance(item, ast.Constant)]


def _bound(node: ast.stmt) -> list[str]:
    """Return the names that a statement of a module binds, other than by import."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
            # A type variable is read where it stands in a signature, and used nowhere else.
            return []
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _defined(module: Module) -> set[str]:
    return {name for node in module.tree.body for name in _bound(node)}


def _imported(module: Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def _sort_key(name: str) -> tuple[int, str]:
    # Constants, then classes, then functions, as ruff sorts them.
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_public_names_are_exported() -> None:
    """Every name that a module defines without an underscore is in its ``__all__``."""
    offenders = []
    for module in modules():
        public = {name for name in _defined(module) if not name.startswith("_")}
        missing = public - set(_names(_exported(module)))
        if missing:
            offenders.append(f"{module.path}: {', '.join(sorted(missing))}")
    assert offenders == [], "\n".join(offenders)


def test_exported_names_exist() -> None:
    """Every name in ``__all__`` is defined or imported there."""
    offenders = []
    for module in modules():
        unknown = set(_names(_exported(module))) - _defined(module) - _imported(module)
        if unknown:
            offenders.append(f"{module.path}: {', '.join(sorted(unknown))}")
    assert offenders == [], "\n".join(offenders)


def test_exports_are_a_sorted_tuple_at_the_top() -> None:
    """``__all__`` is a tuple of names in order, before the first definition."""
    offenders = []
    for module in modules():
        exported = _exported(module)
        if exported is None:
            continue
        if not isinstance(exported, ast.Tuple):
            offenders.append(f"{module.path}: not a tuple")
            continue
        names = _names(exported)
        if names != sorted(set(names), key=_sort_key):
            offenders.append(f"{module.path}: expected {sorted(set(names), key=_sort_key)}")
        before = [node for node in module.tree.body if node.lineno < exported.lineno]
        if not all(isinstance(node, _MAY_STAND_BEFORE) for node in before):
            offenders.append(f"{module.path}: not at the top")
    assert offenders == [], "\n".join(offenders)


def test_public_names_are_documented() -> None:
    """Every public module, class, function and method has a docstring."""
    offenders = []
    for module in modules():
        if module.text.strip() and ast.get_docstring(module.tree) is None:
            offenders.append(f"{module.path}: the module")
        for name, node in definitions(module):
            hidden = any(part.startswith("_") for part in name.split("."))
            if not hidden and not _is_nested(module, name) and ast.get_docstring(node) is None:
                offenders.append(f"{module.path}:{node.lineno} {name}")
    assert offenders == [], "\n".join(offenders)


def _is_nested(module: Module, name: str) -> bool:
    # A function inside a function is not public, whatever it is called.
    kinds = dict(definitions(module))
    parts = name.split(".")
    outer = [".".join(parts[:end]) for end in range(1, len(parts))]
    return any(not isinstance(kinds[path], ast.ClassDef) for path in outer)


def test_tests_state_their_claim() -> None:
    """Every test has a docstring whose first line is the claim it proves."""
    offenders = [
        f"{module.path}:{node.lineno} {name}"
        for module in test_modules()
        if Path(module.path).name.startswith("test_")
        for name, node in definitions(module)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert offenders == [], "\n".join(offenders)


def test_functions_are_short() -> None:
    """No function is longer than 70 lines, its docstring included."""
    offenders = []
    for module in (*modules(), *test_modules()):
        for name, node in definitions(module):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if not isinstance(node, ast.ClassDef) and lines > _FUNCTION_LINES_MAX:
                offenders.append(f"{module.path}:{node.lineno} {name}: {lines} lines")
    assert offenders == [], "\n".join(offenders)


def test_files_are_short() -> None:
    """No file of code is longer than 500 lines."""
    lengths = {
        module.path: len(module.text.splitlines()) for module in (*modules(), *test_modules())
    }
    offenders = [
        f"{path}: {lines} lines" for path, lines in lengths.items() if lines > _FILE_LINES_MAX
    ]
    assert offenders == [], "\n".join(offenders)


def test_files_are_named_for_what_they_hold() -> None:
    """No file and no folder is called utils, helpers or the like."""
    offenders = [
        path.relative_to(ROOT).as_posix()
        for room in (*ROOMS, "tests")
        for path in (ROOT / room).rglob("*")
        if path.stem in _NAMES_THAT_SAY_NOTHING and "__pycache__" not in path.parts
    ]
    assert offenders == [], "\n".join(offenders)
