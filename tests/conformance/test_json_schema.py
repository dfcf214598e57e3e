"""The generated JSON Schemas: valid as schemas, and agreeing with what the service decodes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from schemas.errors import ERRORS, Busy
from schemas.events import EVENT_TYPE_PREFIX, encode_cloud_event
from schemas.operation import Operation
from schemas.reply import encode_error, encode_result
from schemas.requests import REQUEST_EVENTS
from zhihui.schema import public_operations, write_schema

Samples = dict[str, dict[str, Any]]

_PLATE = "粤B12345"
_TARIFF = {"hour_minor": 500, "night_hour_minor": 200, "daily_cap_minor": 4000}
_STAY = {
    "plate": _PLATE,
    "lot_id": "lot-1",
    "entered_at": "2026-11-23T08:00:00+08:00",
    "left_at": "2026-11-23T10:30:00+08:00",
    "fee_minor": 1500,
    "paid_minor": 1500,
    "collected_minor": 0,
    "arrears_minor": 0,
    "status": "paid",
}
_PAYMENT = {
    "payment_id": "pay-1",
    "request_id": "request-1",
    "method": "quick",
    "status": "succeeded",
    "payer": "anna",
    "payee": "mall",
    "amount_minor": 1250,
    "currency": "CNY",
    "reference": "",
    "created_at": "2026-11-23T08:00:00Z",
}

_REQUESTS: Samples = {
    "account.open": {"request_id": "request-1", "holder": "李雷", "type": "merchant"},
    "account.get": {"account_id": "anna"},
    "account.statement": {"account_id": "anna", "after": 100, "limit": 500},
    "account.deposit": {
        "request_id": "request-1",
        "account_id": "anna",
        "amount_minor": 10**13,
        "source": "external:unionpay",
    },
    "account.freeze": {
        "request_id": "request-1",
        "account_id": "anna",
        "reason": "法院冻结",
        "amount_minor": 100,
    },
    "account.unfreeze": {"request_id": "request-1", "hold_id": "hold-1"},
    "account.close": {"request_id": "request-1", "account_id": "anna", "transfer_to": "mall"},
    "hold.place": {
        "request_id": "request-1",
        "account_id": "anna",
        "amount_minor": 500,
        "payee": "mall",
        "expires_in_s": 3600,
        "reference": "押金",
    },
    "hold.capture": {
        "request_id": "request-1",
        "hold_id": "hold-1",
        "amount_minor": 200,
        "payee": "mall",
        "final": True,
    },
    "hold.void": {"request_id": "request-1", "hold_id": "hold-1"},
    "hold.get": {"hold_id": "hold-1"},
    "payment.create": {
        "request_id": "request-1",
        "payer": "anna",
        "payee": "mall",
        "amount_minor": 1250,
        "currency": "CNY",
        "reference": "早餐",
    },
    "payment.get": {"payment_id": "pay-1"},
    "event.list": {"after": 100, "limit": 500},
    "parking.open_lot": {
        "request_id": "request-1",
        "lot_id": "lot-1",
        "payee": "mall",
        "tariff": _TARIFF,
    },
    "parking.bind": {"request_id": "request-1", "plate": _PLATE, "account_id": "anna"},
    "parking.enter": {
        "request_id": "request-1",
        "plate": _PLATE,
        "lot_id": "lot-1",
        "entered_at": "2026-11-23T08:00:00+08:00",
    },
    "parking.exit": {
        "request_id": "request-1",
        "plate": _PLATE,
        "lot_id": "lot-1",
        "left_at": "2026-11-23T10:30:00+08:00",
    },
    "parking.settle": {"request_id": "request-1", "plate": _PLATE},
    "parking.get": {"plate": _PLATE},
}

_OPENED = {
    "account_id": "anna",
    "holder": "Anna",
    "type": "customer",
    "currency": "CNY",
    "status": "open",
    "opened_at": "2026-11-23T08:00:00Z",
}

_HOLD = {
    "hold_id": "hold-1",
    "account_id": "anna",
    "payee": "mall",
    "status": "open",
    "purpose": "hold",
    "amount_minor": 500,
    "captured_minor": 200,
    "released_minor": 0,
    "remaining_minor": 300,
    "currency": "CNY",
    "reference": "押金",
    "created_at": "2026-11-23T08:00:00Z",
    "expires_at": None,
}

_RESULTS: Samples = {
    "account.open": _OPENED,
    "account.get": {**_OPENED, "posted_minor": 100, "available_minor": 90, "held_minor": 10},
    "account.freeze": {
        "account_id": "anna",
        "status": "open",
        "hold_id": "hold-1",
        "amount_minor": 100,
        "reason": "法院冻结",
        "frozen_at": "2026-11-23T08:00:00Z",
    },
    "account.unfreeze": {
        "account_id": "anna",
        "hold_id": None,
        "amount_minor": None,
        "unfrozen_at": "2026-11-23T08:00:00Z",
    },
    "account.close": {
        "account_id": "anna",
        "status": "closed",
        "transfer_to": "mall",
        "transferred_minor": 100,
        "closed_at": "2026-11-23T08:00:00Z",
    },
    "hold.place": _HOLD,
    "hold.capture": {
        "hold_id": "hold-1",
        "account_id": "anna",
        "payee": "mall",
        "status": "open",
        "captured_minor": 200,
        "released_minor": 0,
        "remaining_minor": 300,
        "currency": "CNY",
        "captured_at": "2026-11-23T08:00:00Z",
    },
    "hold.void": {**_HOLD, "status": "voided"},
    "hold.get": {**_HOLD, "expires_at": "2026-11-23T08:00:00Z"},
    "account.statement": {
        "account_id": "anna",
        "currency": "CNY",
        "entries": [
            {
                "number": 1,
                "amount_minor": -5,
                "balance_after_minor": 95,
                "operation": "payment.create",
                "request_id": "request-1",
                "at": "2026-11-23T08:00:00Z",
            }
        ],
        "next_after": None,
    },
    "account.deposit": {
        "deposit_id": "dep-1",
        "account_id": "anna",
        "source": "external:unionpay",
        "amount_minor": 100,
        "currency": "CNY",
        "created_at": "2026-11-23T08:00:00Z",
    },
    "payment.create": _PAYMENT,
    "payment.get": _PAYMENT,
    "event.list": {
        "events": [
            {
                "specversion": "1.0",
                "id": "ZHIHUI_EVENTS-101",
                "source": "/zhihui/shop",
                "type": "zhihui.payment.succeeded",
                "subject": "pay-1",
                "time": "2026-11-23T08:00:00Z",
                "datacontenttype": "application/json",
                "data": _PAYMENT,
            }
        ],
        "next_after": 101,
        "more": False,
    },
    "parking.open_lot": {
        "lot_id": "lot-1",
        "payee": "mall",
        "tariff": _TARIFF,
        "status": "opened",
    },
    "parking.bind": {
        "plate": _PLATE,
        "account_id": "anna",
        "arrears_minor": 0,
        "status": "bound",
    },
    "parking.enter": {
        "plate": _PLATE,
        "lot_id": "lot-1",
        "entered_at": "2026-11-23T08:00:00+08:00",
        "arrears_minor": 0,
        "lost_exit": None,
        "status": "entered",
    },
    "parking.exit": _STAY,
    "parking.settle": {"plate": _PLATE, "paid_minor": 1500, "status": "settled"},
    "parking.get": {
        "plate": _PLATE,
        "status": "outside",
        "account_id": None,
        "arrears_minor": 0,
        "stay": None,
        "last": _STAY,
    },
}

_EVENTS: Samples = {
    "account.opened": _OPENED,
    "account.frozen": _RESULTS["account.freeze"],
    "account.unfrozen": _RESULTS["account.unfreeze"],
    "account.closed": _RESULTS["account.close"],
    "hold.placed": _HOLD,
    "hold.captured": _RESULTS["hold.capture"],
    "hold.voided": _RESULTS["hold.void"],
    "hold.expired": {**_HOLD, "status": "expired"},
    "deposit.succeeded": _RESULTS["account.deposit"],
    "payment.succeeded": _PAYMENT,
    "request.succeeded": {
        "request_id": "request-1",
        "operation": "payment.create",
        "result": _PAYMENT,
    },
    "request.rejected": {
        "request_id": "request-1",
        "operation": "payment.create",
        "error": {
            "code": "insufficient_funds",
            "message": "not enough",
            "field": "payer",
            "retryable": False,
            "retry_after_s": None,
        },
    },
    "parking.lot_opened": _RESULTS["parking.open_lot"],
    "parking.vehicle_bound": _RESULTS["parking.bind"],
    "parking.entered": _RESULTS["parking.enter"],
    "parking.exited": _STAY,
    "parking.arrears_recorded": _STAY,
    "parking.arrears_collected": _RESULTS["parking.settle"],
    "parking.exit_lost": {
        "lot_id": "lot-1",
        "entered_at": "2026-11-23T08:00:00+08:00",
        "fee_minor": 4000,
    },
}

_OPERATIONS = public_operations()
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


def _variants(message: dict[str, Any]) -> list[tuple[str, object]]:
    """Return the message spoiled in every simple way, each with a word on how."""
    spoiled: list[tuple[str, object]] = [
        ("an unknown field", {**message, "surprise": 1}),
        ("a list", [message]),
        ("null", None),
        ("empty", {}),
    ]
    wrong: tuple[object, ...] = (
        None,
        True,
        "",
        "a b",
        "*",
        ">",
        "x" * 65,
        "x" * 141,
        "a\n",
        "\x00",
        0,
        -1,
        1.5,
    )
    larger: tuple[object, ...] = (501, 10**13 + 1, 2**53 + 1, 2**63, [], {})
    for field in message:
        spoiled.append((f"no {field}", {key: message[key] for key in message if key != field}))
        spoiled += [(f"{field}={value!r}", {**message, field: value}) for value in wrong + larger]
    return spoiled


def test_every_file_is_a_valid_schema(documents: dict[str, Any]) -> None:
    """Each file is valid JSON Schema 2020-12, names itself, and resolves all its references."""
    expected = {f"{name}.{part}" for name in _IDS for part in ("request", "reply")}
    expected |= {f"event.{name}" for operation in _OPERATIONS for name in operation.events}
    expected |= {f"event.{name}" for name in REQUEST_EVENTS}
    assert documents.keys() == expected
    for name, schema in documents.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:zhihui:v1:{name}"


@pytest.mark.parametrize("operation", _OPERATIONS, ids=_IDS)
def test_requests_agree_with_the_decoder(documents: dict[str, Any], operation: Operation) -> None:
    """A request is valid by its schema exactly when the service decodes it."""
    schema = documents[f"{operation.name}.request"]
    sample = _REQUESTS[operation.name]
    assert _accepts(schema, sample)
    assert _decodes(operation, sample)
    # The formats of times are notes in JSON Schema, which a validator may leave unchecked.
    disagreeing = [
        how
        for how, message in _variants(sample)
        if not how.startswith(("entered_at=", "left_at="))
        and _accepts(schema, message) != _decodes(operation, message)
    ]
    assert disagreeing == []


@pytest.mark.parametrize("operation", _OPERATIONS, ids=_IDS)
def test_replies_fit_their_schema(documents: dict[str, Any], operation: Operation) -> None:
    """Both forms of the reply fit the schema, and a reply of neither form does not."""
    schema = documents[f"{operation.name}.reply"]
    sample = json.dumps(_RESULTS[operation.name])
    result = msgspec.json.decode(sample, type=operation.result)
    reply = json.loads(encode_result(msgspec.json.encode(result)))
    assert _accepts(schema, reply)
    for kind in ERRORS.values():
        assert _accepts(schema, json.loads(encode_error(kind("it failed", field="payer"))))
    assert not _accepts(schema, {"ok": True})
    assert not _accepts(schema, {"ok": True, "error": json.loads(encode_error(Busy("x")))["error"]})
    assert not _accepts(schema, {"ok": False, "error": {"code": "no_such_code", "message": ""}})


@pytest.mark.parametrize("name", sorted(_EVENTS))
def test_events_fit_their_schema(documents: dict[str, Any], name: str) -> None:
    """An event as it is encoded fits the schema of its type and of no other."""
    event = json.loads(
        encode_cloud_event(
            event_id="ZHIHUI_EVENTS-7",
            source="/zhihui/city-parking",
            event_type=f"{EVENT_TYPE_PREFIX}{name}",
            subject="subject-1",
            time=datetime(2026, 11, 23, 8, tzinfo=UTC),
            data_json=json.dumps(_EVENTS[name]),
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
    assert _REQUESTS.keys() == names
    assert _RESULTS.keys() == names
    events = {name for operation in _OPERATIONS for name in operation.events}
    assert _EVENTS.keys() == events | REQUEST_EVENTS.keys()


def test_files_of_messages_that_are_gone_are_removed(tmp_path: Path) -> None:
    """Writing the schema again leaves no file of a message that does not exist any more."""
    stale = tmp_path / "json-schema" / "account.abolish.request.json"
    stale.parent.mkdir()
    stale.write_text("{}")
    written = write_schema(tmp_path)
    assert not stale.exists()
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == written
