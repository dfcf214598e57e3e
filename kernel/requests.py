"""Requests from outside in their two forms: JSON where they come from, msgpack where they go."""

import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec

from kernel.buckets import Buckets
from schemas.errors import (
    ErrorBody,
    Forbidden,
    Internal,
    InvalidField,
    MalformedMessage,
    Rejected,
)
from schemas.operation import Operation
from schemas.subjects import OPERATOR_APP, request_subject

__all__ = (
    "NONSENSE",
    "Endpoint",
    "check_allowed",
    "decode_json",
    "made_no_sense",
    "read_error",
    "read_request",
    "result_json",
)

_log = logging.getLogger(__name__)

# What decoding bytes that were not made by us may raise.
NONSENSE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# The types of msgpack's binary format, in which finished JSON travels.
_BINARY = (0xC4, 0xC5, 0xC6)
_FIELD = re.compile(r"`\$\.([^`\[.]+)|field `([^`]+)`")

_encode = msgspec.msgpack.Encoder().encode
_error_decoder = msgspec.msgpack.Decoder(ErrorBody)
_bytes_decoder = msgspec.msgpack.Decoder(bytes)


class Endpoint:
    """An operation with its decoders and its counts."""

    __slots__ = (
        "answered", "codes", "decode", "durations_s", "errors", "last_error", "operation",
        "processing_ms", "requests", "transcode",
    )  # fmt: skip

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        kind = _addressed(operation) if operation.late else operation.request
        self.decode = msgspec.json.Decoder(kind).decode
        self.transcode = msgspec.msgpack.Decoder(operation.result).decode
        self.requests = 0
        self.errors = 0
        self.last_error = ""
        self.processing_ms = 0
        self.answered = 0
        # How often each error was the answer, and how long the answers took, to the millisecond.
        self.codes: dict[str, int] = {}
        self.durations_s = Buckets()

    def take_over(self, before: "Endpoint") -> None:
        """Go on counting where another one of the same name stopped."""
        self.requests, self.errors = before.requests, before.errors
        self.last_error, self.processing_ms = before.last_error, before.processing_ms
        self.answered, self.codes = before.answered, before.codes
        self.durations_s = before.durations_s

    @property
    def subject(self) -> str:
        """The subject with a wildcard for the app."""
        return request_subject("*", self.operation.service, self.operation.verb)


def _addressed(operation: Operation) -> type[msgspec.Struct]:
    """Return a struct of nothing but where a request goes and under which id."""
    fields = {one.name: one for one in msgspec.structs.fields(operation.request)}
    wanted = [fields[operation.key]]
    if operation.mutates:
        wanted.append(fields["request_id"])
    return msgspec.defstruct(
        operation.request.__name__,
        [(one.name, one.type, _same_field(one)) for one in wanted],
        kw_only=True,
    )


def _same_field(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(name=field.encode_name, default_factory=field.default_factory)
    if field.default is not msgspec.NODEFAULT:
        return msgspec.field(name=field.encode_name, default=field.default)
    return msgspec.field(name=field.encode_name)


def check_allowed(operation: Operation, app: str) -> None:
    """Raise :class:`~schemas.errors.Forbidden` when the operation is not for this app."""
    if operation.operator and app != OPERATOR_APP:
        raise Forbidden(f"{operation.name} is for the back office, the app {OPERATOR_APP!r}")


def read_request(endpoint: Endpoint, data: bytes) -> tuple[str, str, bytes]:
    """Return key, request id ('' for a read) and the bytes that the actor gets.

    Raise the rejection that says what is wrong with the request.
    """
    message = decode_json(endpoint.decode, data)
    operation = endpoint.operation
    key = getattr(message, operation.key) or ""
    request_id = message.request_id if operation.mutates else ""
    try:
        return key, request_id, _encode(data if operation.late else message)
    except OverflowError as error:
        # JSON knows no limit; an integer of ours has 64 bits.
        raise InvalidField("an integer of the body is out of range") from error


def decode_json(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """Return what JSON from outside holds; raise the rejection that says what is wrong with it."""
    try:
        return decode(data)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"the body is not JSON in UTF-8: {error}") from error


def _invalid(error: msgspec.ValidationError) -> Rejected:
    """Return the rejection, with the field that msgspec's message names."""
    text = str(error)
    found = _FIELD.search(text)
    field = (found[1] or found[2]) if found else None
    return InvalidField(text, field=field)


def result_json(endpoint: Endpoint, body: msgspec.Raw) -> bytes:
    """Return finished JSON as it is, and any other result turned into JSON.

    Raise one of :data:`NONSENSE` when it is neither.
    """
    view = memoryview(body)
    if view[0] in _BINARY:
        return _bytes_decoder.decode(body)
    return msgspec.json.encode(endpoint.transcode(body))


def made_no_sense(endpoint: Endpoint) -> ErrorBody:
    """Return our own fault, which is no reason to lose the answers that came with it."""
    _log.exception("%s was answered with nonsense", endpoint.operation.name)
    return Internal("the service made no sense of its own answer").body()


def read_error(endpoint: Endpoint, body: msgspec.Raw) -> ErrorBody:
    """Return the error that an actor answered."""
    try:
        return _error_decoder.decode(body)
    except NONSENSE:
        return made_no_sense(endpoint)
