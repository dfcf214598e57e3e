"""The threat model names tests that exist, and none of its boundaries is without one."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "security.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_BOUNDARY = re.compile(r"^### (.+)$", re.MULTILINE)
# What is asked of each boundary, in these words.
_PARTS = ("**Crosses:**", "**Checked:**", "**Shown by:**")


def _page() -> str:
    return _PAGE.read_text("utf-8")


def _boundaries() -> dict[str, str]:
    text = _page().partition("## Trust boundaries")[2].partition("\n## ")[0]
    _, *parts = _BOUNDARY.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((_ROOT / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize(("path", "name"), sorted(set(_TEST.findall(_page()))))
def test_every_test_that_is_named_exists(path: str, name: str) -> None:
    """A claim of the page is backed by a test that is there under that name."""
    assert (_ROOT / path).is_file()
    assert name in _functions(path)


@pytest.mark.parametrize("boundary", list(_boundaries()))
def test_every_boundary_says_what_is_checked_and_where_that_is_shown(boundary: str) -> None:
    """What crosses, what is checked, and at least two tests that show it."""
    text = _boundaries()[boundary]
    assert [part for part in _PARTS if part not in text] == []
    shown = text.partition("**Shown by:**")[2]
    assert len(set(_TEST.findall(shown))) >= 2


def test_no_boundary_is_forgotten() -> None:
    """Everything that listens or reads what others wrote has its place on the page."""
    assert len(_boundaries()) >= 8
    text = _page()
    for word in ("NATS", "Postgres", "callback", "archive", "frames", "files", "terminal", "log"):
        assert word in text
