"""The generated JSON Schemas: valid as schemas, and agreeing with what the service decodes."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from schemas.bank_events import BANK_EVENTS
from schemas.errors import ERRORS, Busy
from schemas.events import EVENT_TYPE_PREFIX, encode_cloud_event
from schemas.operation import Operation
from schemas.reply import encode_error, encode_result
from schemas.requests import REQUEST_EVENTS
from tests.conformance.samples import EVENTS, REQUESTS, RESULTS
from zhihui.packs import bundled_event_data
from zhihui.schema import public_operations, write_schema

_OPERATIONS = public_operations()
_EVENT_DATA = BANK_EVENTS | bundled_event_data()
_IDS = [operation.name for operation in _OPERATIONS]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All schema files, by the name of the message."""
    out = tmp_path_factory.mktemp("schema")
    return {
        path.name.removesuffix(".json"): json.loads(path.read_text())
        for path in write_schema(out)
        if path.parent == out / "json-schema"
    }


def _accepts(schema: Any, message: object) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(message))


def _decodes(operation: Operation, message: object) -> bool:
    try:
        msgspec.json.decode(json.dumps(message).encode(), type=operation.request)
    except msgspec.ValidationError:
        return False
    return True


_WRONG: tuple[object, ...] = (
    None, True, "", "a b", "*", ">", "x" * 65, "x" * 141, "a\n", "\x00", 0, -1, 1.5,
    501, 10**13 + 1, 2**53 + 1, 2**63, [], {},
)  # fmt: skip


def _variants(message: object) -> list[tuple[str, object]]:
    """Return the message spoiled in every simple way, at any depth, each with a word on how."""
    if isinstance(message, list):
        return [
            (f"{number}.{how}", [*message[:number], one, *message[number + 1 :]])
            for number, part in enumerate(message)
            for how, one in _variants(part)
        ]
    if not isinstance(message, dict):
        return []
    spoiled: list[tuple[str, object]] = [
        ("an unknown field", {**message, "surprise": 1}),
        ("a list", [message]),
        ("null", None),
        ("empty", {}),
    ]
    for field, value in message.items():
        spoiled.append((f"no {field}", {key: message[key] for key in message if key != field}))
        spoiled += [(f"{field}={wrong!r}", {**message, field: wrong}) for wrong in _WRONG]
        spoiled += [(f"{field}.{how}", {**message, field: one}) for how, one in _variants(value)]
    return spoiled


def _times(schema: Any) -> re.Pattern[str]:
    """Return how variants of a request begin that put another text in the place of a time."""
    fields = {
        name
        for struct in schema["$defs"].values()
        for name, one in struct.get("properties", {}).items()
        if '"format": "date' in json.dumps(one)
    }
    return (
        re.compile(rf"(?:.*\.)?(?:{'|'.join(sorted(fields))})='") if fields else re.compile("(?!)")
    )


def _is_written_as(data: dict[str, Any], type_: type[msgspec.Struct]) -> bool:
    try:
        decoded = msgspec.json.decode(json.dumps(data), type=type_)
    except msgspec.ValidationError:
        return False
    return bool(json.loads(msgspec.json.encode(decoded)) == data)


def test_every_file_is_a_valid_schema(documents: dict[str, Any]) -> None:
    """Each file is valid JSON Schema 2020-12, names itself, and resolves all its references."""
    expected = {f"{name}.{part}" for name in _IDS for part in ("request", "reply")}
    expected |= {f"event.{name}" for operation in _OPERATIONS for name in operation.events}
    # Those of timers and of messages between identities are nobody's answer.
    expected |= {f"event.{name}" for name in (*bundled_event_data(), *REQUEST_EVENTS)}
    assert documents.keys() == expected
    for name, schema in documents.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:zhihui:v1:{name}"


@pytest.mark.parametrize("operation", _OPERATIONS, ids=_IDS)
def test_requests_agree_with_the_decoder(documents: dict[str, Any], operation: Operation) -> None:
    """A request is valid by its schema exactly when the service decodes it."""
    schema = documents[f"{operation.name}.request"]
    sample = REQUESTS[operation.name]
    assert _accepts(schema, sample)
    assert _decodes(operation, sample)
    # The formats of times are notes in JSON Schema, which a validator may leave unchecked.
    times = _times(schema)
    disagreeing = [
        how
        for how, message in _variants(sample)
        if (not times.match(how) and _accepts(schema, message)) != _decodes(operation, message)
    ]
    assert disagreeing == []


@pytest.mark.parametrize("operation", _OPERATIONS, ids=_IDS)
def test_replies_fit_their_schema(documents: dict[str, Any], operation: Operation) -> None:
    """Both forms of the reply fit the schema, and a reply of neither form does not."""
    schema = documents[f"{operation.name}.reply"]
    sample = json.dumps(RESULTS[operation.name])
    result = msgspec.json.decode(sample, type=operation.result)
    assert json.loads(msgspec.json.encode(result)) == RESULTS[operation.name]
    reply = json.loads(encode_result(msgspec.json.encode(result)))
    assert _accepts(schema, reply)
    for kind in ERRORS.values():
        assert _accepts(schema, json.loads(encode_error(kind("it failed", field="payer"))))
    assert not _accepts(schema, {"ok": True})
    assert not _accepts(schema, {"ok": True, "error": json.loads(encode_error(Busy("x")))["error"]})
    assert not _accepts(schema, {"ok": False, "error": {"code": "no_such_code", "message": ""}})


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_events_fit_their_schema(documents: dict[str, Any], name: str) -> None:
    """An event as it is encoded fits the schema of its type and of no other."""
    assert any(_is_written_as(EVENTS[name], type_) for type_ in _EVENT_DATA[name])
    event = json.loads(
        encode_cloud_event(
            event_id="ZHIHUI_EVENTS-7",
            source="/zhihui/city-parking",
            event_type=f"{EVENT_TYPE_PREFIX}{name}",
            subject="subject-1",
            time=datetime(2026, 11, 23, 8, tzinfo=UTC),
            data_json=json.dumps(EVENTS[name]),
        )
    )
    fitting = [
        schema["$id"]
        for message, schema in documents.items()
        if message.startswith("event.") and _accepts(schema, event)
    ]
    assert fitting == [f"urn:zhihui:v1:event.{name}"]


def test_every_message_has_a_sample() -> None:
    """No operation and no event is without a sample here."""
    names = {operation.name for operation in _OPERATIONS}
    assert REQUESTS.keys() == names
    assert RESULTS.keys() == names
    events = {name for operation in _OPERATIONS for name in operation.events}
    events |= bundled_event_data().keys()
    assert EVENTS.keys() == events | REQUEST_EVENTS.keys()


def test_files_of_messages_that_are_gone_are_removed(tmp_path: Path) -> None:
    """Writing the schema again leaves no file of a message that does not exist any more."""
    stale = tmp_path / "json-schema" / "account.abolish.request.json"
    stale.parent.mkdir()
    stale.write_text("{}")
    written = write_schema(tmp_path)
    assert not stale.exists()
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == written
