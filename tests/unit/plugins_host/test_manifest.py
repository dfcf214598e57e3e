"""The manifest: what it may say, and how exactly it is told what it may not."""

from pathlib import Path

import pytest

from kernel.plugins.errors import ManifestInvalid
from kernel.plugins.manifest import MANIFEST_BYTES_MAX, Limits, read_manifest
from kernel.plugins.versions import Version

_ROOT = Path(__file__).parents[3]
_LEAST = """
name = "library"
version = "1.0.0"
kernel_api = ">=0.1,<0.2"
entry = "pack:Library"
summary = "Books."
"""
_BOOKS = """
[[collections]]
name = "book"
key = "isbn"
state = "state:Book"
"""


def test_the_bundled_packs_are_readable() -> None:
    """Every plugin.toml in the repository is a manifest in this form."""
    paths = sorted((_ROOT / "plugins").glob("*/plugin.toml"))
    assert paths
    for path in paths:
        manifest = read_manifest(path.read_bytes())
        assert manifest.name == path.parent.name
        assert manifest.runs_on(Version("0.1.0"))


def test_the_least_manifest_asks_for_nothing() -> None:
    """What is not said is denied or has a limit."""
    manifest = read_manifest(_LEAST.encode())
    assert manifest.capabilities == ()
    assert manifest.limits == Limits()
    assert manifest.state_version == 1
    assert not manifest.runs_on(Version("0.2.0"))


def test_a_collection_may_have_a_state_version_of_its_own() -> None:
    """The version of the whole holds for collections that name none."""
    text = _LEAST + "state_version = 3\n" + _BOOKS
    text += _BOOKS.replace("book", "shelf") + "state_version = 7\n"
    manifest = read_manifest(text.encode())
    assert manifest.state_version_of("book") == 3
    assert manifest.state_version_of("shelf") == 7
    assert manifest.state_version_of("reader") is None


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("name = ", None, "not TOML"),
        (_LEAST.replace('name = "library"\n', ""), "name", "missing required field `name`"),
        (_LEAST + 'colour = "red"\n', "colour", "unknown field `colour`"),
        (_LEAST.replace('"library"', '"Library"'), "name", "matching regex"),
        (_LEAST.replace('"library"', '"class"'), "name", "a word of Python"),
        (_LEAST.replace("1.0.0", "1.0"), "version", "'1.0' is not a semantic version"),
        (_LEAST.replace(">=0.1,<0.2", "0.1"), "kernel_api", "is not a condition"),
        (_LEAST.replace("pack:Library", "pack.Library"), "entry", "matching regex"),
        (_LEAST + "state_version = 0\n", "state_version", "`int` >= 1"),
        (_LEAST + 'capabilities = ["a", "a"]\n', "capabilities", "'a' stands there twice"),
        (_LEAST + 'capabilities = ["*"]\n', "capabilities[0]", "matching regex"),
        (_LEAST + "[limits]\nmailbox = 0\n", "limits.mailbox", "`int` >= 1"),
        (_LEAST + "[limits]\nmailbox = 1e3\n", "limits.mailbox", "expected `int`, got `float`"),
        (_LEAST + "[limits]\nmailboxes = 5\n", "limits.mailboxes", "unknown field `mailboxes`"),
        (_LEAST + _BOOKS * 2, "collections", "'book' stands there twice"),
        (
            _LEAST + '[[operations]]\nverb = "lend"\ncollection = "book"\nmutates = true\n',
            "operations[0].collection",
            "'book' is none of the collections",
        ),
        (
            _LEAST + _BOOKS + '[[operations]]\nverb = "lend"\ncollection = "book"\nmutates = 1\n',
            "operations[0].mutates",
            "expected `bool`, got `int`",
        ),
        (
            _LEAST + '[[events]]\ntype = "other.lent"\ndata = ["messages:Lent"]\n',
            "events[0].type",
            "not of the form library.<event>",
        ),
        (_LEAST + "#" * MANIFEST_BYTES_MAX, None, "at most"),
    ],
)
def test_what_is_wrong_is_named(text: str, field: str | None, message: str) -> None:
    """The error names the place as it stands in the file, and what is expected there."""
    with pytest.raises(ManifestInvalid) as caught:
        read_manifest(text.encode())
    assert caught.value.field == field
    assert message in caught.value.message
    assert caught.value.body().code == "invalid_field"


def test_what_is_not_text_is_refused() -> None:
    """A manifest is UTF-8."""
    with pytest.raises(ManifestInvalid, match="not UTF-8 at byte 2"):
        read_manifest(b"# \xff")
