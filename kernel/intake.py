"""The durable intake: requests that a stream keeps until they are done, answered by events.

A message is treated like a request at the edge. Its answer is committed as one event, by a second
change under an id of its own, and only after that commit is the message acknowledged. So it is done
at least once, its effect and its answer stand once, and a crash at any moment loses nothing.

What comes and goes (full, paused, moved, too late) puts a message back for a while, however often.
What cannot be processed is poison: it becomes a dead letter, and only when that stands is the
message taken from the queue. A message that no later attempt could save, because nobody can read
it, goes there at once; one that makes an actor fail goes there after several attempts.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b

import anyio
import msgspec

from kernel.clock import Clock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
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
from kernel.stream_letters import DEAD_LETTER_SETTINGS, StreamLetters
from kernel.streams import (
    Consumer,
    ConsumerSettings,
    Refused,
    StreamMessage,
    Streams,
    StreamSettings,
)
from schemas.change import Alternative, Change, Event
from schemas.envelope import Reply
from schemas.errors import (
    Busy,
    Conflict,
    ErrorBody,
    Internal,
    MessageTooLarge,
    Rejected,
    UnknownOperation,
    ZhihuiError,
)
from schemas.identifiers import RequestId
from schemas.requests import (
    REQUEST_REJECTED,
    REQUEST_SUCCEEDED,
    RETRY_HEADER,
    RequestRejected,
    RequestSucceeded,
    asked_subject,
)
from schemas.subjects import (
    INTAKE_STREAM,
    INTAKE_SUBJECTS,
    PLATFORM_APP,
    RequestSubject,
    parse_request_subject,
)

__all__ = (
    "ACK_WAIT_S",
    "ATTEMPTS_KEPT_MAX",
    "FETCH_S",
    "INTAKE_CONSUMER",
    "INTAKE_SETTINGS",
    "PUT_BACK_S",
    "PUT_BACK_S_MAX",
    "REQUEST_S",
    "RETRY_S",
    "Intake",
    "IntakeLimits",
    "IntakeStatistics",
)

_log = logging.getLogger(__name__)

# What an actor, and then the journal, have for their answers. A message that was never answered is
# put back and comes again.
REQUEST_S = 4.0
# After the two of them; it is also how long the messages of a node that was killed stay away.
ACK_WAIT_S = 10.0
# How long a fetch waits for the first message; only as long as a lost one may go unnoticed.
FETCH_S = 5.0
# The pause after the streams could not be reached.
RETRY_S = 0.5
# Messages whose failures are counted at a time.
ATTEMPTS_KEPT_MAX = 10_000
# The first pause of a message that is put back; it doubles with each delivery up to the second.
PUT_BACK_S = 0.2
PUT_BACK_S_MAX = 30.0
_MIB = 1024 * 1024

INTAKE_SETTINGS = StreamSettings(
    name=INTAKE_STREAM,
    subjects=(INTAKE_SUBJECTS,),
    description="Requests that are kept until they are done.",
    work_queue=True,
    # A publisher is told when it is full, and nothing that was accepted is ever dropped. About two
    # million requests of the usual size.
    when_full="refuse",
    bytes_max=1024 * _MIB,
    # A little more than the body of a request may have, for its headers.
    message_bytes_max=80 * 1024,
    duplicate_window_s=120.0,
)

# One for all nodes: the server gives each message to one of those who fetch.
INTAKE_CONSUMER = ConsumerSettings(
    name="zhihui",
    ack_wait_s=ACK_WAIT_S,
    # Also counts what was put back for later, so that an outage stops the fetching instead of
    # going through the whole queue.
    unacknowledged_max=20_000,
)

_encode = msgspec.msgpack.Encoder().encode
_to_json = msgspec.json.Encoder()


class IntakeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the intake of one node."""

    # A commit of a thousand is as good as they get, and requests that somebody waits for find at
    # most one such batch before them.
    in_flight_max: int = 1_000
    fetch_max: int = 500
    body_bytes_max: int = 64 * 1024
    # Attempts at a message that makes an actor fail, before it is a dead letter.
    attempts_max: int = 5


class IntakeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start.

    ``pending`` is how many messages waited for all nodes when the last one was fetched here.
    ``put_back`` counts messages that come again, ``dead`` those that became dead letters.
    """

    open: bool
    fetched: int
    in_flight: int
    pending: int
    succeeded: int
    rejected: int
    put_back: int
    dead: int
    failures: int


class _Identified(msgspec.Struct, frozen=True):
    request_id: RequestId | None = None


_identified = msgspec.json.Decoder(_Identified)


class _Work:
    """A message on its way.

    ``request_id`` is empty when there is nobody to answer. ``letter`` is the error for which it is
    to be a dead letter.
    """

    __slots__ = ("answer_id", "app", "endpoint", "letter", "message", "operation", "request_id")

    def __init__(self, message: StreamMessage) -> None:
        self.message = message
        self.endpoint: Endpoint | None = None
        self.app = ""
        self.operation = ""
        self.request_id = ""
        self.answer_id = ""
        self.letter: ErrorBody | None = None


class Intake:
    """Fetch what was published, have it done, answer by an event. One for each node."""

    def __init__(
        self,
        node: Node,
        streams: Streams,
        clock: Clock,
        endpoints: Mapping[str, Endpoint],
        no_moves: msgspec.Raw,
        limits: IntakeLimits | None = None,
    ) -> None:
        """Make one that is still closed; ``no_moves`` is how the book says that nothing moves."""
        self._node = node
        self._streams = streams
        self._clock = clock
        self._endpoints = endpoints
        self._no_moves = no_moves
        self._limits = limits or IntakeLimits()
        self._consumer: Consumer | None = None
        self._pulling = anyio.CancelScope()
        self._closing = False
        self._in_flight = 0
        self._room = asyncio.Event()
        self._hold_until_s = 0.0
        self._attempts: dict[int, int] = {}
        self._letters = StreamLetters(streams)
        self._counts = {
            "fetched": 0, "pending": 0, "succeeded": 0, "rejected": 0, "put_back": 0, "dead": 0,
            "failures": 0,
        }  # fmt: skip

    async def run(self) -> None:
        """Serve until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._letters.run)
            with self._pulling:
                while not self._closing:
                    await self._pull()

    async def stop(self) -> None:
        """Fetch no more; what is under way goes on while :meth:`run` does."""
        self._closing = True
        self._pulling.cancel()

    def in_flight(self) -> int:
        """Return how many messages are under way."""
        return self._in_flight

    # Fetching.

    async def _pull(self) -> None:
        """Fetch and take messages until something goes wrong."""
        consumer = None
        try:
            await self._streams.ensure(INTAKE_SETTINGS)
            await self._streams.ensure(DEAD_LETTER_SETTINGS)
            consumer = await self._streams.consumer(INTAKE_STREAM, INTAKE_CONSUMER)
            self._consumer = consumer
            while not self._closing:
                await self._fetch(consumer)
        except (ZhihuiError, Refused) as error:
            self._counts["failures"] += 1
            _log.warning("the intake is out of reach: %s", error)
            await self._clock.sleep(RETRY_S)
        finally:
            if consumer is not None:
                with anyio.CancelScope(shield=True):
                    await consumer.close()

    async def _fetch(self, consumer: Consumer) -> None:
        hold_s = self._hold_until_s - self._clock.monotonic_s()
        if hold_s > 0:
            await self._clock.sleep(hold_s)
            return
        room = self._limits.in_flight_max - self._in_flight
        # Many at a time: with every message that is done one place becomes free.
        if room < min(self._limits.in_flight_max // 4 + 1, self._limits.fetch_max):
            self._room.clear()
            await self._room.wait()
            return
        for message in await consumer.fetch(min(room, self._limits.fetch_max), FETCH_S):
            self._take(message)

    def _take(self, message: StreamMessage) -> None:
        self._counts["fetched"] += 1
        self._counts["pending"] = message.pending
        self._in_flight += 1
        work = _Work(message)
        try:
            endpoint = self._route(work)
            key, request_id, body = read_request(endpoint, message.body)
        except Rejected as error:
            self._give_up(work, error.body())
            return
        work.endpoint = endpoint
        work.request_id = request_id
        operation = endpoint.operation
        endpoint.requests += 1
        self._node.ask_nowait(
            operation.kind,
            key,
            operation.name,
            work.app,
            self._deadline_ms(),
            body,
            partial(self._on_answer, work),
        )

    def _route(self, work: _Work) -> Endpoint:
        """Return what the subject leads to; raise what is wrong with it or with the size."""
        message = work.message
        parsed = _parsed(message.subject)
        work.app, work.operation = parsed.app, parsed.operation
        endpoint = self._endpoints.get(parsed.operation)
        if endpoint is None:
            raise UnknownOperation(f"there is no operation {parsed.operation!r}")
        if not endpoint.operation.mutates:
            raise UnknownOperation(f"{parsed.operation} is a read: ask, and do not publish")
        check_allowed(endpoint.operation, parsed.app)
        if endpoint.operation.sensitive:
            # Its dead letter must not keep it either.
            work.request_id = _request_id(message.body)
            work.message = msgspec.structs.replace(message, body=b"")
            raise UnknownOperation(
                f"{parsed.operation} carries data of a person: ask, and do not publish what is kept"
            )
        if len(message.body) > self._limits.body_bytes_max:
            raise MessageTooLarge(
                f"the body has {len(message.body)} bytes; at most {self._limits.body_bytes_max} "
                "are taken"
            )
        return endpoint

    def _deadline_ms(self) -> int:
        return self._clock.now_ms() + int(REQUEST_S * 1000)

    # Answers.

    def _on_answer(self, work: _Work, reply: Reply) -> None:
        endpoint = work.endpoint
        assert endpoint is not None
        error = None
        if reply.ok:
            try:
                result = result_json(endpoint, reply.body)
            except NONSENSE:
                error = made_no_sense(endpoint)
            else:
                data = RequestSucceeded(
                    request_id=work.request_id,
                    operation=work.operation,
                    result=msgspec.Raw(result),
                )
                self._commit(work, REQUEST_SUCCEEDED, data, "")
                return
        else:
            error = read_error(endpoint, reply.body)
        endpoint.errors += 1
        endpoint.last_error = error.code
        if error.retryable:
            self._put_back(work, error)
        elif error.code == Internal.code:
            self._failed(work, error)
        else:
            self._commit_rejection(work, error)

    def _failed(self, work: _Work, error: ErrorBody) -> None:
        """Try again what made an actor fail, and give it up when it has failed often enough."""
        seq = work.message.seq
        attempts = self._attempts.get(seq, 0) + 1
        if attempts < self._limits.attempts_max:
            self._attempts[seq] = attempts
            if len(self._attempts) > ATTEMPTS_KEPT_MAX:
                # The oldest: it was done by another node, or is tried a few times more.
                del self._attempts[next(iter(self._attempts))]
            self._put_back(work, error, failed=attempts)
        else:
            self._give_up(work, error)

    def _commit_rejection(self, work: _Work, error: ErrorBody) -> None:
        data = RequestRejected(request_id=work.request_id, operation=work.operation, error=error)
        self._commit(work, REQUEST_REJECTED, data, error.code)

    def _commit(self, work: _Work, type_: str, data: msgspec.Struct, code: str) -> None:
        """Commit the answer as an event, in a change of its own.

        Its id is made of the request's. The digest covers what was asked and how it turned out: the
        same message again finds its answer there. Another message under the same request id, which
        is a conflict or a mended one, has another answer, whose id gets the digest as well.
        """
        digest = blake2b(f"{work.operation}\0{code}\0".encode(), digest_size=16)
        digest.update(work.message.headers.get(RETRY_HEADER, "").encode() + b"\0")
        digest.update(work.message.body)
        request_id = f"~intake.{work.request_id}"
        if work.answer_id:
            request_id += f"~{digest.hexdigest()}"
        work.answer_id = request_id
        event = Event(type_, work.request_id, _to_json.encode(data).decode())
        change = Change(
            work.app,
            request_id,
            type_,
            digest.digest(),
            (Alternative(self._no_moves, (), (event,), "{}"),),
        )
        self._node.ask_nowait(
            JOURNAL_KIND,
            JOURNAL_KEY,
            JOURNAL_TYPE,
            work.app,
            self._deadline_ms(),
            _encode(change),
            partial(self._on_committed, work, type_, data, code),
        )

    def _on_committed(
        self, work: _Work, type_: str, data: msgspec.Struct, code: str, reply: Reply
    ) -> None:
        if not reply.ok:
            error = msgspec.msgpack.decode(reply.body, type=ErrorBody)
            if error.code == Conflict.code and "~" not in work.answer_id[1:]:
                self._commit(work, type_, data, code)
            elif error.retryable:
                self._put_back(work, error)
            elif work.letter is not None:
                # Nobody can be told; what is left is to keep it for the operators.
                self._bury(work)
            else:
                self._failed(work, error)
            return
        if work.letter is not None:
            self._bury(work)
            return
        self._counts["succeeded" if type_ == REQUEST_SUCCEEDED else "rejected"] += 1
        assert self._consumer is not None
        self._consumer.ack(work.message)
        self._finish(work)

    # Ways out.

    def _finish(self, work: _Work, *, keep_attempts: bool = False) -> None:
        if not keep_attempts:
            self._attempts.pop(work.message.seq, None)
        self._in_flight -= 1
        self._room.set()

    def _put_back(self, work: _Work, error: ErrorBody, *, failed: int = 0) -> None:
        """Have it come again later; the longer, the more often it came already."""
        self._counts["put_back"] += 1
        doublings = min((failed or work.message.deliveries) - 1, 10)
        delay_s = min(max(PUT_BACK_S * 2**doublings, error.retry_after_s or 0.0), PUT_BACK_S_MAX)
        assert self._consumer is not None
        self._consumer.put_back(work.message, delay_s)
        if error.code == Busy.code:
            # Most likely it is full for the next ones as well. They stay where they are.
            self._hold_until_s = self._clock.monotonic_s() + PUT_BACK_S
        self._finish(work, keep_attempts=True)

    def _give_up(self, work: _Work, error: ErrorBody) -> None:
        """Make it a dead letter, after telling the one who published it if that can be done."""
        work.letter = error
        if not work.request_id:
            work.request_id = _request_id(work.message.body)
        if work.request_id and work.app and work.app != PLATFORM_APP:
            self._commit_rejection(work, error)
        else:
            self._bury(work)

    def _bury(self, work: _Work) -> None:
        assert work.letter is not None
        self._letters.bury(work.message, work.letter, partial(self._on_buried, work))

    def _on_buried(self, work: _Work, stands: bool) -> None:
        assert self._consumer is not None
        assert work.letter is not None
        if stands:
            self._counts["dead"] += 1
            self._consumer.terminate(work.message, work.letter.code)
        else:
            self._counts["put_back"] += 1
            self._consumer.put_back(work.message, PUT_BACK_S_MAX)
        self._finish(work, keep_attempts=not stands)

    def statistics(self) -> IntakeStatistics:
        """Return the counts so far."""
        return IntakeStatistics(
            open=self._consumer is not None and not self._closing,
            in_flight=self._in_flight,
            **self._counts,
        )


def _parsed(subject: str) -> RequestSubject:
    return parse_request_subject(asked_subject(subject))


def _request_id(body: bytes) -> str:
    """Return the request id of a body that is wrong in another place, or ''."""
    try:
        return _identified.decode(body).request_id or ""
    except NONSENSE:
        return ""
