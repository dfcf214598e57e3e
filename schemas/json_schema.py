"""JSON Schema of the public messages: requests, replies, events."""

import inspect
from collections.abc import Mapping, Sequence

import msgspec

from schemas.errors import ERRORS, ErrorBody, Rejected, Unavailable
from schemas.events import EVENT_TYPE_PREFIX, CloudEvent
from schemas.operation import Operation

__all__ = (
    "JSON_SCHEMA_DIALECT",
    "EventData",
    "Json",
    "MessageSchemas",
    "error_table",
    "message_documents",
    "message_schemas",
)

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Json = dict[str, object]

# Event type → the structs that its `data` may be.
EventData = Mapping[str, Sequence[type[msgspec.Struct]]]


class MessageSchemas(msgspec.Struct, frozen=True, kw_only=True):
    """Schemas by message.

    ``requests`` and ``results`` go by operation, ``events`` by event type; ``failure`` is the reply
    of any operation that failed. All refer to the named structs in ``components``.
    """

    requests: dict[str, Json]
    results: dict[str, Json]
    failure: Json
    events: dict[str, Json]
    components: dict[str, Json]


def message_schemas(
    operations: Sequence[Operation], event_data: EventData, *, ref_template: str
) -> MessageSchemas:
    """Return the schemas of all messages; ``ref_template`` places the components by ``{name}``.

    An event type that ``event_data`` does not know carries any object.
    """
    # Those that belong to no operation, as the answers to published requests, are in the data only.
    named_by_operations = {name for operation in operations for name in operation.events}
    types = sorted({*named_by_operations, *event_data})
    roots: list[object] = [ErrorBody, CloudEvent]
    roots += [operation.request for operation in operations]
    roots += [operation.result for operation in operations]
    roots += [struct for name in types for struct in event_data.get(name, ())]
    references, components = msgspec.json.schema_components(roots, ref_template=ref_template)
    reference = iter([_tidy(schema) for schema in references])
    named = {name: _tidy(schema) for name, schema in components.items()}
    error, _ = next(reference), next(reference)
    requests = {operation.name: next(reference) for operation in operations}
    results = {operation.name: _success(next(reference)) for operation in operations}
    cloud_event = named["CloudEvent"]
    events = {
        name: _event(cloud_event, name, [next(reference) for _ in event_data.get(name, ())])
        for name in types
    }
    _enumerate_codes(named["ErrorBody"])
    return MessageSchemas(
        requests=requests,
        results=results,
        failure=_failure(error),
        events=events,
        components=dict(sorted(named.items())),
    )


def message_documents(operations: Sequence[Operation], event_data: EventData) -> dict[str, Json]:
    """Return one complete JSON Schema document per message, by the message's name.

    The names are ``<operation>.request``, ``<operation>.reply`` and ``event.<type>``.
    """
    schemas = message_schemas(operations, event_data, ref_template="#/$defs/{name}")
    messages: dict[str, Json] = {}
    for name, request in schemas.requests.items():
        messages[f"{name}.request"] = request
        messages[f"{name}.reply"] = {"oneOf": [schemas.results[name], schemas.failure]}
    for name, event in schemas.events.items():
        messages[f"event.{name}"] = event
    return {
        name: {
            "$schema": JSON_SCHEMA_DIALECT,
            "$id": f"urn:zhihui:v1:{name}",
            **schema,
            "$defs": _reachable(schema, schemas.components),
        }
        for name, schema in messages.items()
    }


def error_table() -> list[Json]:
    """Return every error code with its branch of the tree, whether to retry, and its meaning."""
    return [
        {
            "code": code,
            "branch": "rejected"
            if issubclass(kind, Rejected)
            else "unavailable"
            if issubclass(kind, Unavailable)
            else "internal",
            "retryable": kind.retryable,
            "meaning": kind.meaning,
        }
        for code, kind in ERRORS.items()
    ]


def _success(result: Json) -> Json:
    return {
        "type": "object",
        "properties": {"ok": {"const": True}, "result": result},
        "required": ["ok", "result"],
    }


def _failure(error: Json) -> Json:
    return {
        "type": "object",
        "properties": {"ok": {"const": False}, "error": error},
        "required": ["ok", "error"],
    }


def _event(cloud_event: Json, name: str, data: list[Json]) -> Json:
    properties = cloud_event["properties"]
    assert isinstance(properties, dict)
    return {
        "title": f"{EVENT_TYPE_PREFIX}{name}",
        "type": "object",
        "properties": {
            **properties,
            "specversion": {"const": "1.0"},
            "type": {"const": f"{EVENT_TYPE_PREFIX}{name}"},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": _any_of(data),
        },
        "required": list(properties),
    }


def _any_of(schemas: list[Json]) -> Json:
    match schemas:
        case []:
            return {"type": "object"}
        case [only]:
            return only
        case _:
            return {"anyOf": schemas}


def _enumerate_codes(error_body: Json) -> None:
    properties = error_body["properties"]
    assert isinstance(properties, dict)
    properties["code"] = {
        "type": "string",
        "enum": list(ERRORS),
        "description": "\n".join(f"- `{code}`: {kind.meaning}" for code, kind in ERRORS.items()),
    }


def _reachable(schema: Json, components: Mapping[str, Json]) -> Json:
    reached: Json = {}
    waiting = [schema]
    while waiting:
        for name in _references(waiting.pop()):
            if name not in reached:
                reached[name] = components[name]
                waiting.append(components[name])
    return dict(sorted(reached.items()))


def _references(value: object) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in _references(item)}
    if not isinstance(value, dict):
        return set()
    found = {name for item in value.values() for name in _references(item)}
    reference = value.get("$ref")
    return found | {reference.rpartition("/")[2]} if isinstance(reference, str) else found


def _tidy(schema: Json) -> Json:
    # Descriptions are docstrings, so their second line on is indented as in the source.
    # `discriminator` is OpenAPI's word for a tagged union; in AsyncAPI it means something else, and
    # the constant `type` of each member says it all.
    return {
        key: _tidy_value(key, value)
        for key, value in schema.items()
        if not (key == "discriminator" and isinstance(value, dict))
    }


def _tidy_value(key: str, value: object) -> object:
    if key == "description" and isinstance(value, str):
        return inspect.cleandoc(value).replace("``", "`")
    if isinstance(value, dict):
        return _tidy(value)
    if isinstance(value, list):
        return [_tidy_value("", item) for item in value]
    return value
