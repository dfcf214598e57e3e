"""The public interface as one AsyncAPI 3.0 document, built from the catalogue of operations."""

from collections.abc import Sequence

from schemas.errors import ERRORS
from schemas.identifiers import APP_PATTERN
from schemas.json_schema import EventData, Json, MessageSchemas, error_table, message_schemas
from schemas.operation import Operation
from schemas.subjects import event_subject, request_subject

__all__ = ("ASYNCAPI_VERSION", "COMMON_ERRORS", "asyncapi_document", "possible_errors")

ASYNCAPI_VERSION = "3.0.0"

# What any operation may answer, whatever it does; those that change something also `conflict`.
COMMON_ERRORS = (
    "malformed_message",
    "invalid_field",
    "message_too_large",
    "busy",
    "not_ready",
    "stale_owner",
    "deadline_exceeded",
    "internal",
)

_DESCRIPTION = """\
Scenario backends send requests over NATS and receive replies and events, all in JSON.

Requests go to `zh.v1.<app>.<service>.<verb>` with a reply subject, as every NATS client's request
does. `<app>` is the backend's own token, which its credentials allow and no other.

A request that changes something carries a `request_id` of the caller's choice. Delivery is at least
once and effects are once: send the same request again until it is answered, and it is answered with
the first answer.

Events are CloudEvents 1.0 in a JetStream stream, on `zh.evt.v1.<app>.<entity>.<event>`.
"""


def asyncapi_document(
    operations: Sequence[Operation], event_data: EventData, *, version: str
) -> Json:
    """Return the document for the operations and for the events that they may emit."""
    schemas = message_schemas(operations, event_data, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "zhihui",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": _channels(operations, schemas),
        "operations": _operations(operations, schemas),
        "components": {
            "parameters": {
                "app": {
                    "description": "The token of the calling backend; it matches "
                    f"`{APP_PATTERN}`. An account belongs to the app that opened it.",
                    "examples": ["city-parking"],
                }
            },
            "messages": _messages(operations, schemas),
            "schemas": schemas.components,
        },
        "x-errors": error_table(),
    }


def possible_errors(operation: Operation) -> tuple[str, ...]:
    """Return the codes that the operation may answer, in the order of the table of errors."""
    possible = {*COMMON_ERRORS, *operation.errors}
    if operation.mutates:
        possible.add("conflict")
    return tuple(code for code in ERRORS if code in possible)


def _channels(operations: Sequence[Operation], schemas: MessageSchemas) -> Json:
    channels: Json = {}
    for operation in operations:
        channels[operation.name] = {
            "address": request_subject("{app}", operation.service, operation.verb),
            "parameters": {"app": {"$ref": "#/components/parameters/app"}},
            "messages": {"request": _message(f"{operation.name}.request")},
        }
        channels[f"{operation.name}.reply"] = {
            # NATS puts the reply subject beside the message, where AsyncAPI has no word for it.
            "address": None,
            "description": "The reply subject of the request.",
            "messages": {
                "result": _message(f"{operation.name}.result"),
                "error": _message("error"),
            },
        }
    for name in schemas.events:
        channels[f"event.{name}"] = {
            "address": event_subject("{app}", name),
            "parameters": {"app": {"$ref": "#/components/parameters/app"}},
            "messages": {"event": _message(f"event.{name}")},
        }
    return channels


def _operations(operations: Sequence[Operation], schemas: MessageSchemas) -> Json:
    described: Json = {}
    for operation in operations:
        request = f"#/channels/{operation.name}"
        reply = f"{request}.reply"
        described[operation.name] = {
            "action": "receive",
            "title": operation.name,
            "summary": operation.summary,
            "tags": [{"name": operation.service}],
            "channel": {"$ref": request},
            "messages": [{"$ref": f"{request}/messages/request"}],
            "reply": {
                "channel": {"$ref": reply},
                "messages": [
                    {"$ref": f"{reply}/messages/result"},
                    {"$ref": f"{reply}/messages/error"},
                ],
            },
            "x-mutates": operation.mutates,
            "x-errors": list(possible_errors(operation)),
            "x-events": list(operation.events),
        }
    for name in schemas.events:
        channel = f"#/channels/event.{name}"
        described[f"event.{name}"] = {
            "action": "send",
            "title": f"event {name}",
            "summary": f"Tell that `{name}` was committed.",
            "tags": [{"name": "event"}],
            "channel": {"$ref": channel},
            "messages": [{"$ref": f"{channel}/messages/event"}],
        }
    return described


def _messages(operations: Sequence[Operation], schemas: MessageSchemas) -> Json:
    messages: Json = {
        "error": {
            "name": "error",
            "title": "failure",
            "summary": "The operation failed; the code says why.",
            "payload": schemas.failure,
        }
    }
    for operation in operations:
        messages[f"{operation.name}.request"] = {
            "name": f"{operation.name}.request",
            "title": f"{operation.name} request",
            "payload": schemas.requests[operation.name],
        }
        messages[f"{operation.name}.result"] = {
            "name": f"{operation.name}.result",
            "title": f"{operation.name} success",
            "payload": schemas.results[operation.name],
        }
    for name, event in schemas.events.items():
        messages[f"event.{name}"] = {
            "name": f"event.{name}",
            "title": f"event {name}",
            "contentType": "application/cloudevents+json",
            "payload": event,
        }
    return messages


def _message(name: str) -> Json:
    return {"$ref": f"#/components/messages/{name}"}
