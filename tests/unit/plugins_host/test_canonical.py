"""One form for one request, whichever version of a pack reads it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kernel.plugins.canonical import CanonicalForm


class _Where(msgspec.Struct, frozen=True, kw_only=True):
    shelf: str
    room: str = "main"


class _Lend(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str
    isbn: str
    days: int = 28
    where: _Where | None = None
    tags: tuple[str, ...] = ()


class _NewWhere(_Where, frozen=True, kw_only=True):
    floor: int = 0


class _NewLend(_Lend, frozen=True, kw_only=True):
    where: _NewWhere | None = None
    urgent: bool = False
    notes: list[str] = msgspec.field(default_factory=list)
    limit: Decimal = Decimal(0)


_text = st.text(max_size=5)
_messages = st.fixed_dictionaries(
    {"request_id": _text, "isbn": _text},
    optional={
        "days": st.sampled_from((28, 7)),
        "tags": st.lists(_text, max_size=2),
        "where": st.none()
        | st.fixed_dictionaries(
            {"shelf": _text}, optional={"room": st.sampled_from(("main", "x"))}
        ),
    },
)


def _form(message: Mapping[str, object], kind: type[msgspec.Struct]) -> bytes:
    return CanonicalForm().encode(msgspec.json.decode(msgspec.json.encode(message), type=kind))


@given(_messages)
def test_a_version_with_more_optional_fields_makes_the_same_form(
    message: dict[str, object],
) -> None:
    """A request that was sent to the old version and comes again is known to the new one."""
    assert _form(message, _Lend) == _form(message, _NewLend)


@given(_messages, _messages)
def test_requests_that_differ_have_different_forms(
    one: dict[str, object], other: dict[str, object]
) -> None:
    """Two messages have the same form exactly when they mean the same."""
    same = msgspec.convert(one, _Lend) == msgspec.convert(other, _Lend)
    assert (_form(one, _Lend) == _form(other, _Lend)) == same


def test_what_is_said_and_equals_the_default_makes_no_difference() -> None:
    """Neither defaults written out, nor the order of fields, nor the form of a number do."""
    plain = {"request_id": "r", "isbn": "i"}
    full: dict[str, object] = {
        "tags": [],
        "where": None,
        "days": 28,
        "isbn": "i",
        "request_id": "r",
    }
    assert _form(plain, _Lend) == _form(full, _Lend) == b'{"isbn":"i","request_id":"r"}'
    assert _form({**plain, "limit": 0}, _NewLend) == _form({**plain, "limit": "0"}, _NewLend)
    assert _form({**plain, "urgent": True}, _NewLend) != _form(plain, _NewLend)


class _Red(msgspec.Struct, frozen=True, tag="red"):
    x: int = 0


class _Blue(msgspec.Struct, frozen=True, tag="blue"):
    x: int = 0


class _Rest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    colour_of_all: _Red | _Blue
    some_set: frozenset[str]
    by_name: dict[str, _Red]
    at_time: datetime


def test_tags_names_and_sets_are_kept() -> None:
    """Structs of a union stay apart, names are those of JSON, sets have one order."""
    made = [
        _Rest(
            colour_of_all=colour,
            some_set=frozenset(("b", "a")),
            by_name={"y": _Red(2), "x": _Red(0)},
            at_time=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for colour in (_Red(), _Blue())
    ]
    form = CanonicalForm()
    assert form.encode(made[0]) == (
        b'{"atTime":"2026-01-01T00:00:00Z","byName":{"x":{"type":"red"},"y":{"type":"red","x":2}},'
        b'"colourOfAll":{"type":"red"},"someSet":["a","b"]}'
    )
    assert form.encode(made[0]) != form.encode(made[1])
