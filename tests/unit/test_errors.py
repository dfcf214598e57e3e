"""The tree and the table of errors."""

import inspect
import re

import msgspec
import pytest

import schemas.errors
from schemas.errors import (
    ERRORS,
    ErrorBody,
    Internal,
    Rejected,
    Unavailable,
    ZhihuiError,
    error_from_body,
)

_KINDS = list(ERRORS.values())
_LEAF = re.compile(r"── (?P<name>\w+) +(?P<code>[a-z_]+)$")
_BRANCH = re.compile(r"^[├└]── (?P<name>\w+)")


def _classes() -> list[type[ZhihuiError]]:
    return [
        kind
        for _, kind in inspect.getmembers(schemas.errors, inspect.isclass)
        if issubclass(kind, ZhihuiError)
    ]


def _drawn() -> dict[str, tuple[str, str]]:
    """Return code → (class, branch) as the docstring of the module draws them."""
    drawn: dict[str, tuple[str, str]] = {}
    branch = ""
    for line in inspect.cleandoc(schemas.errors.__doc__ or "").splitlines():
        text = line.strip()
        if leaf := _LEAF.search(text):
            drawn[leaf["code"]] = (leaf["name"], branch)
        elif top := _BRANCH.match(text):
            branch = top["name"]
        elif branch and re.fullmatch(r"[a-z_]+", text):
            # A branch without leaves carries its own code on the line below it.
            drawn[text] = (branch, branch)
    return drawn


def test_no_code_is_used_twice() -> None:
    """Each class that can be raised has a code of its own."""
    leaves = [kind for kind in _classes() if not kind.__subclasses__()]
    assert len(leaves) == len(ERRORS)
    assert {kind.code for kind in leaves} == ERRORS.keys()
    assert all(ERRORS[kind.code] is kind for kind in leaves)


def test_the_tree_is_drawn_as_it_is() -> None:
    """The tree in the module's docstring is the tree of the classes, with their codes."""
    actual = {
        code: (kind.__name__, kind.__name__ if kind is Internal else kind.__mro__[1].__name__)
        for code, kind in ERRORS.items()
    }
    assert _drawn() == actual


@pytest.mark.parametrize("kind", _KINDS, ids=list(ERRORS))
def test_every_error_is_complete(kind: type[ZhihuiError]) -> None:
    """Each has a code in snake case, a meaning in sentences, and stands in one branch."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.meaning.endswith(".")
    assert sum(issubclass(kind, branch) for branch in (Rejected, Unavailable, Internal)) == 1
    assert kind.retryable == issubclass(kind, Unavailable)


@pytest.mark.parametrize("kind", _KINDS, ids=list(ERRORS))
@pytest.mark.parametrize("field", [None, "payer"])
@pytest.mark.parametrize("retry_after_s", [None, 0.25])
def test_an_error_travels(
    kind: type[ZhihuiError], field: str | None, retry_after_s: float | None
) -> None:
    """An error that is sent as JSON and as msgpack arrives as the same error."""
    error = kind("what happened", field=field, retry_after_s=retry_after_s)
    for codec in (msgspec.json, msgspec.msgpack):
        received = error_from_body(codec.decode(codec.encode(error.body()), type=ErrorBody))
        assert type(received) is kind
        assert received.body() == error.body()
        assert str(received) == "what happened"


def test_only_the_unavailable_say_when_to_retry() -> None:
    """By default what is unavailable names a delay, and what is rejected does not."""
    for kind in _KINDS:
        delay = kind("what happened").body().retry_after_s
        assert (delay is not None) == issubclass(kind, Unavailable)


def test_a_code_from_a_newer_service_is_internal() -> None:
    """A code that this version does not know is still an error, with its message."""
    received = error_from_body(ErrorBody(code="brand_new", message="something new"))
    assert type(received) is Internal
    assert received.message == "something new"
