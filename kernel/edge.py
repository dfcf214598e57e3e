"""The public edge: JSON requests in, JSON replies out, and a typed error for everything else."""

import logging
import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from kernel.bus import Bus
from kernel.clock import Clock
from kernel.node import Node
from schemas.envelope import Reply
from schemas.errors import (
    Busy,
    DeadlineExceeded,
    ErrorBody,
    Internal,
    InvalidField,
    MalformedMessage,
    MessageTooLarge,
    NotReady,
    Rejected,
    UnknownOperation,
    ZhihuiError,
)
from schemas.operation import Operation
from schemas.reply import encode_error, encode_result
from schemas.subjects import REQUEST_SUBJECTS, parse_request_subject, request_subject

__all__ = (
    "DEADLINE_HEADER",
    "DEADLINE_S_MAX",
    "QUEUE_GROUP",
    "SUBJECTS_MAX",
    "Edge",
    "EdgeLimits",
    "EdgeStatistics",
    "Endpoint",
)

_log = logging.getLogger(__name__)

QUEUE_GROUP = "zhihui"
DEADLINE_HEADER = b"Zh-Deadline-Ms:"
# Subjects are remembered with what they lead to; they come from outside, so not without end.
SUBJECTS_MAX = 10_000
# A caller that asks for an hour would hold a place for an hour.
DEADLINE_S_MAX = 60.0

# The types of msgpack's binary format, in which finished JSON travels.
_BINARY = (0xC4, 0xC5, 0xC6)
_FIELD = re.compile(r"`\$\.([^`\[.]+)|field `([^`]+)`")

_RESERVED = ("zh.", "$")

_encode = msgspec.msgpack.Encoder().encode
_error_decoder = msgspec.msgpack.Decoder(ErrorBody)
_bytes_decoder = msgspec.msgpack.Decoder(bytes)


class EdgeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the edge of one node."""

    # The largest request any operation needs is a few hundred bytes.
    body_bytes_max: int = 64 * 1024
    # Two seconds of the highest rate measured; what comes beyond is told to come back.
    in_flight_max: int = 16_384
    # A caller that names no deadline gets this one, seconds.
    deadline_s: float = 5.0


class EdgeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``misdirected`` answers had a reply subject that is reserved."""

    open: bool
    in_flight: int
    requests: int
    answered: int
    rejected: int
    shed: int
    misdirected: int


class Endpoint:
    """An operation with its decoders and its counts."""

    __slots__ = (
        "decode", "errors", "last_error", "operation", "processing_ms", "requests", "transcode",
    )  # fmt: skip

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.decode = msgspec.json.Decoder(operation.request).decode
        self.transcode = msgspec.msgpack.Decoder(operation.result).decode
        self.requests = 0
        self.errors = 0
        self.last_error = ""
        self.processing_ms = 0

    @property
    def subject(self) -> str:
        """The subject with a wildcard for the app."""
        return request_subject("*", self.operation.service, self.operation.verb)


class Edge:
    """Take requests from the bus, send each to its actor, and answer exactly once."""

    def __init__(
        self,
        node: Node,
        bus: Bus,
        clock: Clock,
        operations: Iterable[Operation],
        limits: EdgeLimits | None = None,
    ) -> None:
        self._node = node
        self._bus = bus
        self._clock = clock
        self._limits = limits or EdgeLimits()
        self.endpoints = {operation.name: Endpoint(operation) for operation in operations}
        self._routes: dict[str, tuple[str, Endpoint]] = {}
        self._subscription: int | None = None
        self.accepting = False
        self._in_flight = 0
        self._requests = 0
        self._answered = 0
        self._rejected = 0
        self._shed = 0
        self._misdirected = 0

    async def open(self) -> None:
        """Begin to take requests."""
        self._subscription = await self._bus.subscribe(
            REQUEST_SUBJECTS, self._on_request, queue=QUEUE_GROUP
        )
        self.accepting = True

    async def close_intake(self) -> None:
        """Take no more requests; those under way are still answered."""
        self.accepting = False
        if self._subscription is not None:
            await self._bus.unsubscribe(self._subscription)
            self._subscription = None

    def in_flight(self) -> int:
        """Return how many requests wait for their answer."""
        return self._in_flight

    def _on_request(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        self._requests += 1
        endpoint = None
        try:
            if not self.accepting:
                raise NotReady("the service is starting or stopping")
            app, endpoint = self._route(subject)
            self._admit(endpoint, data)
            now_ms = self._clock.now_ms()
            deadline_ms = self._deadline_ms(headers, now_ms)
            message = _decoded(endpoint, data)
            body = _encoded(message)
        except ZhihuiError as error:
            self._refuse(endpoint, reply, error)
            return
        operation = endpoint.operation
        self._in_flight += 1
        self._node.ask_nowait(
            operation.kind,
            getattr(message, operation.key) or "",
            operation.name,
            app,
            deadline_ms,
            body,
            partial(self._on_reply, endpoint, reply, now_ms),
        )

    def _route(self, subject: str) -> tuple[str, Endpoint]:
        route = self._routes.get(subject)
        if route is None:
            parsed = parse_request_subject(subject)
            endpoint = self.endpoints.get(parsed.operation)
            if endpoint is None:
                raise UnknownOperation(f"there is no operation {parsed.operation!r}")
            if len(self._routes) >= SUBJECTS_MAX:
                self._routes.clear()
            route = self._routes[subject] = (parsed.app, endpoint)
        return route

    def _admit(self, endpoint: Endpoint, data: bytes) -> None:
        endpoint.requests += 1
        if len(data) > self._limits.body_bytes_max:
            raise MessageTooLarge(
                f"the body has {len(data)} bytes; at most {self._limits.body_bytes_max} are taken"
            )
        if self._in_flight >= self._limits.in_flight_max:
            self._shed += 1
            raise Busy(f"{self._in_flight} requests are under way", retry_after_s=0.2)

    def _deadline_ms(self, headers: bytes, now_ms: int) -> int:
        if not headers:
            return now_ms + int(self._limits.deadline_s * 1000)
        start = headers.find(DEADLINE_HEADER)
        if start < 0:
            return now_ms + int(self._limits.deadline_s * 1000)
        text = headers[start + len(DEADLINE_HEADER) :].split(b"\r\n", 1)[0].strip()
        # At most 15 digits: Unix milliseconds have 13, and int() of a long text is slow.
        if not text.isdigit() or len(text) > 15:
            raise InvalidField(
                "the header Zh-Deadline-Ms must hold Unix milliseconds", field="Zh-Deadline-Ms"
            )
        deadline_ms = int(text)
        if deadline_ms <= now_ms:
            raise DeadlineExceeded("the deadline had passed when the request arrived")
        return min(deadline_ms, now_ms + int(DEADLINE_S_MAX * 1000))

    def _on_reply(self, endpoint: Endpoint, subject: str, began_ms: int, reply: Reply) -> None:
        self._in_flight -= 1
        endpoint.processing_ms += self._clock.now_ms() - began_ms
        try:
            if not reply.ok:
                self._refuse(endpoint, subject, _error_decoder.decode(reply.body))
                return
            answer = encode_result(_as_json(endpoint, reply.body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # Not the caller's fault, and no reason to lose the answers that came with it.
            _log.exception("%s was answered with nonsense", endpoint.operation.name)
            self._refuse(endpoint, subject, Internal("the service made no sense of its own answer"))
            return
        self._answered += 1
        if subject:
            self._send(subject, answer)

    def _refuse(
        self, endpoint: Endpoint | None, subject: str, error: ZhihuiError | ErrorBody
    ) -> None:
        self._rejected += 1
        if endpoint is not None:
            endpoint.errors += 1
            endpoint.last_error = error.code
        if subject:
            self._send(subject, encode_error(error))

    def _send(self, subject: str, payload: bytes) -> None:
        # A reply subject is chosen by the caller. It may be any inbox, but not a way to make the
        # service speak to its own nodes or to the broker's interfaces.
        if subject.startswith(_RESERVED):
            self._misdirected += 1
            return
        try:
            self._bus.publish(subject, payload)
        except (ZhihuiError, ValueError) as error:
            # The caller learns it by asking again with the same id.
            _log.debug("an answer was not sent: %s", error)

    def statistics(self) -> EdgeStatistics:
        """Return the counts so far."""
        return EdgeStatistics(
            open=self.accepting,
            in_flight=self._in_flight,
            requests=self._requests,
            answered=self._answered,
            rejected=self._rejected,
            shed=self._shed,
            misdirected=self._misdirected,
        )


def _decoded(endpoint: Endpoint, data: bytes) -> Any:
    try:
        return endpoint.decode(data)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"the body is not JSON in UTF-8: {error}") from error


def _encoded(message: Any) -> bytes:
    try:
        return _encode(message)
    except OverflowError as error:
        # JSON knows no limit; an integer of ours has 64 bits.
        raise InvalidField("an integer of the body is out of range") from error


def _invalid(error: msgspec.ValidationError) -> Rejected:
    """Return the rejection, with the field that msgspec's message names."""
    text = str(error)
    found = _FIELD.search(text)
    field = (found[1] or found[2]) if found else None
    return InvalidField(text, field=field)


def _as_json(endpoint: Endpoint, body: msgspec.Raw) -> bytes:
    """Return finished JSON as it is, and any other result turned into JSON."""
    view = memoryview(body)
    if view[0] in _BINARY:
        return _bytes_decoder.decode(body)
    return msgspec.json.encode(endpoint.transcode(body))
