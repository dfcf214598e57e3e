"""The public edge: JSON requests in, JSON replies out, and a typed error for everything else."""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

import msgspec

from kernel.bus import Bus
from kernel.clock import Clock
from kernel.node import Node
from kernel.requests import (
    NONSENSE,
    Endpoint,
    check_allowed,
    made_no_sense,
    read_error,
    read_request,
    result_json,
)
from kernel.throttle import Throttle
from schemas.envelope import Reply
from schemas.errors import (
    Busy,
    DeadlineExceeded,
    ErrorBody,
    InvalidField,
    MessageTooLarge,
    NotReady,
    StaleOwner,
    UnknownOperation,
    ZhihuiError,
)
from schemas.operation import Operation
from schemas.reply import encode_error, encode_result
from schemas.subjects import (
    REQUEST_SUBJECTS,
    inbox_prefix,
    parse_request_subject,
)

__all__ = (
    "ASK_AGAIN_S",
    "DEADLINE_HEADER",
    "DEADLINE_S_MAX",
    "QUEUE_GROUP",
    "SUBJECTS_MAX",
    "Edge",
    "EdgeLimits",
    "EdgeStatistics",
)

_log = logging.getLogger(__name__)

QUEUE_GROUP = "zhihui"
DEADLINE_HEADER = b"Zh-Deadline-Ms:"
# Subjects are remembered with what they lead to; they come from outside, so not without end.
SUBJECTS_MAX = 10_000
# The pause before a question is repeated whose partition was on the move, seconds.
ASK_AGAIN_S = 0.05
# Ownership moved, or a node or a connection was lost on the way: nothing that the caller did.
_ASK_AGAIN = frozenset({StaleOwner.code, DeadlineExceeded.code})
# A caller that asks for an hour would hold a place for an hour.
DEADLINE_S_MAX = 60.0

_RESERVED = ("zh.", "$")
# What the inbox of every app begins with, and that of the nodes.
_APP_INBOXES = inbox_prefix("")


class EdgeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the edge of one node."""

    # The largest request any operation needs is a few hundred bytes.
    body_bytes_max: int = 64 * 1024
    # Two seconds of the highest rate measured; what comes beyond is told to come back.
    in_flight_max: int = 16_384
    # A caller that names no deadline gets this one, seconds.
    deadline_s: float = 5.0


class EdgeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start.

    ``asked_again`` counts questions repeated because ownership moved, ``misdirected`` answers whose
    reply subject is reserved or another app's inbox.
    """

    open: bool
    in_flight: int
    requests: int
    answered: int
    asked_again: int
    rejected: int
    shed: int
    misdirected: int


class _Pending:
    """A request on its way to its actor."""

    __slots__ = (
        "app", "began_ms", "body", "deadline_ms", "doubtful", "endpoint", "key", "subject",
    )  # fmt: skip

    def __init__(
        self, endpoint: Endpoint, app: str, key: str, body: bytes, subject: str, began_ms: int,
        deadline_ms: int,
    ) -> None:  # fmt: skip
        self.endpoint = endpoint
        self.app = app
        self.key = key
        self.body = body
        self.subject = subject
        self.began_ms = began_ms
        self.deadline_ms = deadline_ms
        # Once the outcome of an attempt is not known, no later one can say that nothing happened.
        self.doubtful = False


class Edge:
    """Take requests from the bus, send each to its actor, and answer exactly once.

    While a partition moves from node to node, a request is asked again until its deadline, so that
    a caller sees a slower answer and not an error. Every request that changes something carries its
    id, so asking twice does it once.
    """

    def __init__(
        self,
        node: Node,
        bus: Bus,
        clock: Clock,
        operations: Iterable[Operation],
        limits: EdgeLimits | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self._node = node
        self._bus = bus
        self._clock = clock
        self._limits = limits or EdgeLimits()
        self._throttle = throttle or Throttle(clock)
        self.endpoints = {operation.name: Endpoint(operation) for operation in operations}
        self._routes: dict[str, tuple[str, Endpoint]] = {}
        self._subscription: int | None = None
        self.accepting = False
        self._in_flight = 0
        # What pauses before it is asked again, with the answer it will have got if it never is.
        self._pausing: dict[_Pending, tuple[asyncio.TimerHandle, ErrorBody]] = {}
        self._requests = 0
        self._answered = 0
        self._asked_twice = 0
        self._gave_up = False
        self._rejected = 0
        # Refused before it was known which operation was meant, by code.
        self.refused_early: dict[str, int] = {}
        self._shed = 0
        self._misdirected = 0

    async def open(self) -> None:
        """Begin to take requests."""
        self._subscription = await self._bus.subscribe(
            REQUEST_SUBJECTS, self._on_request, queue=QUEUE_GROUP
        )
        self.accepting = True

    def set_operations(self, service: str, operations: Iterable[Operation]) -> None:
        """Replace the operations of one service; the counts of those that stay go on."""
        names = [name for name in self.endpoints if name.partition(".")[0] == service]
        replaced = {name: self.endpoints.pop(name) for name in names}
        for operation in operations:
            assert operation.service == service, f"{operation.name} is not of {service}"
            endpoint = Endpoint(operation)
            before = replaced.get(operation.name)
            if before is not None:
                endpoint.take_over(before)
            self.endpoints[operation.name] = endpoint
        self._routes.clear()

    async def close_intake(self) -> None:
        """Take no more requests; those under way are still answered."""
        self.accepting = False
        if self._subscription is not None:
            await self._bus.unsubscribe(self._subscription)
            self._subscription = None

    def give_up(self) -> None:
        """Ask nobody again: what is under way is answered with what comes now, or came last."""
        self._gave_up = True
        pausing, self._pausing = self._pausing, {}
        for pending, (timer, error) in pausing.items():
            timer.cancel()
            self._fail(pending, error)

    def in_flight(self) -> int:
        """Return how many requests wait for their answer."""
        return self._in_flight

    def _on_request(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        self._requests += 1
        endpoint = None
        admitted = ""
        if reply.startswith(_APP_INBOXES) and _is_foreign_inbox(subject, reply):
            self._misdirected += 1
            reply = ""
        try:
            if not self.accepting:
                raise NotReady("the service is starting or stopping")
            app, endpoint = self._route(subject)
            self._throttle.admit(app)
            admitted = app
            self._admit(endpoint, data)
            now_ms = self._clock.now_ms()
            deadline_ms = self._deadline_ms(headers, now_ms)
            key, _, body = read_request(endpoint, data)
        except ZhihuiError as error:
            if admitted:
                self._throttle.release(admitted)
            self._refuse(endpoint, reply, error)
            return
        self._in_flight += 1
        self._ask(_Pending(endpoint, app, key, body, reply, now_ms, deadline_ms))

    def _ask(self, pending: _Pending) -> None:
        operation = pending.endpoint.operation
        self._node.ask_nowait(
            operation.kind,
            pending.key,
            operation.name,
            pending.app,
            pending.deadline_ms,
            pending.body,
            partial(self._on_reply, pending),
        )

    def _will_ask_again(self, pending: _Pending, error: ErrorBody) -> bool:
        """Ask again soon, if that may help and there is time; tell whether it is so."""
        if error.code not in _ASK_AGAIN:
            return False
        if error.code == DeadlineExceeded.code:
            pending.doubtful = True
        if self._gave_up or self._clock.now_ms() + ASK_AGAIN_S * 1000 >= pending.deadline_ms:
            return False
        self._pause(pending, error)
        return True

    def _pause(self, pending: _Pending, error: ErrorBody) -> None:
        timer = asyncio.get_running_loop().call_later(ASK_AGAIN_S, self._ask_again, pending)
        self._pausing[pending] = (timer, error)

    def _ask_again(self, pending: _Pending) -> None:
        _, error = self._pausing.pop(pending)
        if self._clock.now_ms() >= pending.deadline_ms:
            # The pause was longer than it should have been.
            self._fail(pending, error)
        elif not self._bus.statistics().connected:
            # What is sent now is lost, and nobody would say so before the deadline.
            self._pause(pending, error)
        else:
            self._asked_twice += 1
            self._ask(pending)

    def _route(self, subject: str) -> tuple[str, Endpoint]:
        route = self._routes.get(subject)
        if route is None:
            parsed = parse_request_subject(subject)
            endpoint = self.endpoints.get(parsed.operation)
            if endpoint is None:
                raise UnknownOperation(f"there is no operation {parsed.operation!r}")
            check_allowed(endpoint.operation, parsed.app)
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
        # The caller's clock is not a sandbox's.
        deadline_ms = int(text) + getattr(self._clock, "ahead_ms", 0)
        if deadline_ms <= now_ms:
            raise DeadlineExceeded("the deadline had passed when the request arrived")
        return min(deadline_ms, now_ms + int(DEADLINE_S_MAX * 1000))

    def _on_reply(self, pending: _Pending, reply: Reply) -> None:
        endpoint = pending.endpoint
        if not reply.ok:
            error = read_error(endpoint, reply.body)
            if not self._will_ask_again(pending, error):
                self._fail(pending, error)
            return
        self._end(pending)
        try:
            answer = encode_result(result_json(endpoint, reply.body))
        except NONSENSE:
            self._refuse(endpoint, pending.subject, made_no_sense(endpoint))
            return
        self._answered += 1
        endpoint.answered += 1
        if pending.subject:
            self._send(pending.subject, answer)

    def _fail(self, pending: _Pending, error: ErrorBody) -> None:
        self._end(pending)
        if pending.doubtful and error.retryable and error.code != DeadlineExceeded.code:
            # What came last knows only of the last attempt.
            error = DeadlineExceeded(
                "no answer by the deadline; the outcome of an earlier attempt is not known",
                retry_after_s=error.retry_after_s,
            ).body()
        self._refuse(pending.endpoint, pending.subject, error)

    def _end(self, pending: _Pending) -> None:
        self._in_flight -= 1
        self._throttle.release(pending.app)
        elapsed_ms = self._clock.now_ms() - pending.began_ms
        pending.endpoint.processing_ms += elapsed_ms
        pending.endpoint.durations_s.add(elapsed_ms / 1000)

    def _refuse(
        self, endpoint: Endpoint | None, subject: str, error: ZhihuiError | ErrorBody
    ) -> None:
        self._rejected += 1
        if endpoint is not None:
            endpoint.errors += 1
            endpoint.last_error = error.code
        codes = self.refused_early if endpoint is None else endpoint.codes
        codes[error.code] = codes.get(error.code, 0) + 1
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
            asked_again=self._asked_twice,
            rejected=self._rejected,
            shed=self._shed,
            misdirected=self._misdirected,
        )


def _is_foreign_inbox(subject: str, reply: str) -> bool:
    """Tell whether the answer would go to another app than the one that the broker let ask."""
    app = subject.split(".", 3)[2]
    return not reply.startswith(f"{inbox_prefix(app)}.")
