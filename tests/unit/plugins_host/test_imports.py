"""What a pack may import, read from its text."""

import pytest

from kernel.plugins.errors import ImportRefused, LoadFailed
from kernel.plugins.imports import (
    ImportRules,
    Source,
    check_imports,
    loading_order,
    python_sources,
)

_RULES = ImportRules(
    public=("host.api", "shapes"), private=("host", "kernel", "shapes", "actors", "socket")
)


def _source(text: str, name: str = "pack", *, is_package: bool = False) -> Source:
    path = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
    return Source(name=name, path=path, text=text.encode(), is_package=is_package)


@pytest.mark.parametrize(
    "text",
    [
        "from host.api import Pack",
        "from host import api",
        "import host.api as api",
        "from shapes import anything",
        "from shapes.deep.down import x",
        "import json, math",
        "import msgspec",
        "from importlib.resources import files",
        "import importlib.resources as resources",
        "from . import state",
        "from .state import Book",
        "import hostess",
        "text = 'import kernel'",
    ],
)
def test_what_is_public_may_be_imported(text: str) -> None:
    """The plugin API, the contracts, libraries and the pack's own modules."""
    check_imports(_source(text), _RULES)


@pytest.mark.parametrize(
    ("text", "line", "target"),
    [
        ("import kernel", 1, "kernel"),
        ("x = 1\nimport kernel.node", 2, "kernel.node"),
        ("from kernel import node", 1, "kernel.node"),
        ("from kernel import *", 1, "kernel"),
        ("from host import client", 1, "host.client"),
        ("from host import api, client", 1, "host.client"),
        ("def f():\n    if True:\n        from actors.x import y", 3, "actors.x.y"),
        ("try:\n    import socket\nexcept ImportError:\n    pass", 2, "socket"),
        ("from _plugins.other.g1 import x", 1, "_plugins.other.g1.x"),
        ("import importlib", 1, "importlib"),
        ("from importlib import import_module", 1, "importlib.import_module"),
        ("import runpy", 1, "runpy"),
        ("__import__('kernel')", 1, "__import__"),
        ("f = __import__", 1, "__import__"),
        ("from .. import other", 1, ".."),
        ("from ...kernel import node", 1, "...kernel"),
    ],
)
def test_what_is_private_may_not(text: str, line: int, target: str) -> None:
    """Wherever the import stands, the error names file, line, target and what is allowed."""
    with pytest.raises(ImportRefused) as caught:
        check_imports(_source(text), _RULES)
    assert caught.value.message.startswith(f"pack.py:{line}: a pack may not import {target};")
    assert "host.api, shapes" in caught.value.message
    assert caught.value.field == "pack.py"


def test_an_import_may_not_bind_what_stands_above() -> None:
    """``import host.api`` would hand over all of ``host``; the error says how to write it."""
    with pytest.raises(ImportRefused, match=r"write `from host\.api import"):
        check_imports(_source("import host.api"), _RULES)


def test_relative_imports_end_at_the_package() -> None:
    """From a module two folders down, two levels up are the pack and three are not."""
    deep = _source("from ..state import Book\nfrom . import x", "rules.loans.late")
    assert check_imports(deep, _RULES) == {"rules.state", "rules.state.Book", "rules.loans",
                                           "rules.loans.x"}  # fmt: skip
    assert "" in check_imports(_source("from ... import state", "a.b.c"), _RULES)
    with pytest.raises(ImportRefused):
        check_imports(_source("from .... import state", "a.b.c"), _RULES)
    package = _source("from ..state import x", "rules", is_package=True)
    assert "state" in check_imports(package, _RULES)


@pytest.mark.parametrize("text", ["def", "x = \x00", "a = (" * 300])
def test_what_is_not_python_is_refused(text: str) -> None:
    """A module that cannot be read names its file."""
    with pytest.raises(LoadFailed, match=r"^pack\.py:"):
        check_imports(_source(text), _RULES)


def test_modules_are_found_among_the_files() -> None:
    """Folders are packages with or without an init; tests, samples and odd names are no code."""
    files = dict.fromkeys(
        ("pack.py", "a/b/c.py", "tests/test_x.py", "samples/s.py", "my-script.py", "data.txt"), b""
    )
    found = python_sources(files)
    assert sorted(found) == ["", "a", "a.b", "a.b.c", "pack"]
    assert [name for name, one in sorted(found.items()) if one.is_package] == ["", "a", "a.b"]


@pytest.mark.parametrize("paths", [("a.py", "a/__init__.py"), ("a.py", "a/b.py")])
def test_a_module_is_one_file(paths: tuple[str, ...]) -> None:
    """A name that could be two files is refused."""
    with pytest.raises(LoadFailed, match=r"a\.py"):
        python_sources(dict.fromkeys(paths, b""))


def test_modules_are_loaded_after_what_they_import() -> None:
    """Leaves come first, and a circle does not hang."""
    order = loading_order(
        {
            "": frozenset(),
            "pack": frozenset({"", "state", "rules.loans"}),
            "rules": frozenset(),
            "rules.loans": frozenset({"state", "state.Book"}),
            "state": frozenset(),
            "x": frozenset({"y"}),
            "y": frozenset({"x"}),
        }
    )
    assert sorted(order) == ["", "pack", "rules", "rules.loans", "state", "x", "y"]
    assert order.index("state") < order.index("rules.loans") < order.index("pack")
    assert order.index("rules") < order.index("rules.loans")
