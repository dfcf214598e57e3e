"""Streams over JetStream, spoken directly: its interface is requests on ``$JS.API``.

Answers come to one inbox, ``zh.relay.v1.<node>.<token>``, and fetched messages to one of their own
for each consumer, because a delivered message bears the subject under which it was published.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from kernel.bus import Bus
from kernel.randomness import IdFactory
from kernel.streams import (
    BATCH_MAX,
    ConsumerSettings,
    Outgoing,
    OutOfPlace,
    Published,
    Refused,
    StreamMessage,
    StreamSettings,
    StreamState,
)
from schemas.errors import NotReady, ZhihuiError

__all__ = ("ANSWER_TIMEOUT_S", "FETCH_MARGIN_S", "JetStreamStatistics", "JetStreams")

# JetStream answers in a millisecond; five seconds mean that it is gone or has no leader.
ANSWER_TIMEOUT_S = 5.0
# How much longer than the server a fetch waits for the server to say that its time is over.
FETCH_MARGIN_S = 1.0

_NS = 1_000_000_000
_HEADER_START = b"NATS/1.0"

# Error codes of JetStream.
_WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
_STREAM_NAME_IN_USE = 10058
_STREAM_NOT_FOUND = 10059
_MESSAGE_NOT_FOUND = frozenset({10037, 10043, 10057})
_CONSUMER_EXISTS = frozenset({10013, 10105, 10148})
# What waits for room, for a leader or for a restart is not refused for good.
_LATER = frozenset({503, 10008, 10009, 10023, 10028, 10039, 10074, 10076, 10118})


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _State(msgspec.Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0


class _Stored(msgspec.Struct, frozen=True):
    subject: str
    seq: int
    time: datetime
    # Base64 in the JSON, which msgspec reads for bytes.
    data: bytes = b""
    hdrs: bytes = b""


class _Answer(msgspec.Struct, frozen=True):
    """The parts of JetStream's answers that matter here."""

    error: _Error | None = None
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    success: bool = False
    state: _State | None = None
    message: _Stored | None = None


class JetStreamStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``answers_lost`` were to messages of a consumer and not sent."""

    requests: int
    refused: int
    unanswered: int
    answers_lost: int


class JetStreams:
    """See :class:`kernel.streams.Streams`."""

    def __init__(self, node: str, bus: Bus, ids: IdFactory) -> None:
        self._bus = bus
        self._ids = ids
        self._inbox = f"zh.relay.v1.{node}"
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[_Answer]] = {}
        # A former process of this name may still linger: what is told to one of the two must not be
        # taken for the other's.
        self._process = ids.new("ask")
        self._next_token = 0
        self._decoder = msgspec.json.Decoder(_Answer)
        self._requests = 0
        self._refused = 0
        self._unanswered = 0
        self.answers_lost = 0
        self.consumers: set[_Consumer] = set()
        bus.on_disconnect(self._on_disconnect)

    # Requests and answers.

    async def _listen(self) -> None:
        await self._bus.subscribe(f"{self._inbox}.*", self._on_answer)
        # Questions leave on another connection than the subscription: without a round trip the
        # first answer may come before it and be lost. When cut off, the first question says so.
        with contextlib.suppress(ZhihuiError):
            await self._bus.round_trip_s(ANSWER_TIMEOUT_S)

    async def ask(self, send: Callable[[str], None]) -> _Answer:
        """Call ``send`` with a reply subject, and return what JetStream answers to it."""
        listening = self._listening
        if listening is None or (listening.done() and _failed(listening)):
            listening = asyncio.get_running_loop().create_task(self._listen())
            self._listening = listening
        if not listening.done():
            # Who is cancelled here must not take the subscription from the others.
            await asyncio.shield(listening)
        self._next_token += 1
        token = f"{self._process}-{self._next_token}"
        future = self._waiting[token] = asyncio.get_running_loop().create_future()
        self._requests += 1
        try:
            send(f"{self._inbox}.{token}")
            return await asyncio.wait_for(future, ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            self._unanswered += 1
            # NATS tells a publisher that nobody listens only on the connection of his inbox, and
            # ours is another one: what no stream takes looks like this as well.
            raise NotReady("JetStream did not answer in time") from error
        finally:
            del self._waiting[token]

    def _on_answer(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        del reply
        future = self._waiting.get(subject.rsplit(".", 1)[1])
        if future is None or future.done():
            return
        try:
            future.set_result(self._decoder.decode(data))
        except msgspec.MsgspecError as error:
            future.set_exception(NotReady(f"JetStream answered nonsense: {error}"))

    def _on_disconnect(self) -> None:
        """What was asked may be lost with the connection, so nobody goes on waiting for it."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NotReady("the connection to JetStream was lost"))
        for consumer in self.consumers:
            consumer.on_disconnect()

    async def api(self, call: str, body: Any = None) -> _Answer:
        """Return the answer to a call of JetStream's interface, an error included."""
        data = b"" if body is None else msgspec.json.encode(body)
        return await self.ask(lambda reply: self._bus.publish(f"$JS.API.{call}", data, reply=reply))

    def checked(self, answer: _Answer, what: str) -> _Answer:
        """Return the answer, or raise what its error means."""
        if answer.error is None:
            return answer
        text = f"{what}: {answer.error.description} ({answer.error.err_code})"
        if answer.error.code == 503 or answer.error.err_code in _LATER:
            raise NotReady(f"JetStream cannot do it now, {text}")
        self._refused += 1
        if answer.error.err_code in _WRONG_LAST_SEQUENCE:
            raise OutOfPlace(text)
        raise Refused(text)

    # Streams.

    async def ensure(self, settings: StreamSettings) -> StreamState:
        """Create the stream unless it is there, and return its state."""
        # Asked first: to create one that is there counts its bytes twice against the server's
        # limit, and may be refused for want of room.
        found = await self.state(settings.name)
        if found is not None:
            return found
        config = {
            "name": settings.name,
            "subjects": settings.subjects,
            "description": settings.description,
            "storage": "file",
            "retention": "workqueue" if settings.work_queue else "limits",
            "discard": "new" if settings.when_full == "refuse" else "old",
            "max_msgs": settings.messages_max or -1,
            "max_bytes": settings.bytes_max or -1,
            "max_msg_size": settings.message_bytes_max or -1,
            "duplicate_window": int(settings.duplicate_window_s * _NS),
            "allow_atomic": settings.atomic,
        }
        answer = await self.api(f"STREAM.CREATE.{settings.name}", config)
        if answer.error is not None and answer.error.err_code == _STREAM_NAME_IN_USE:
            answer = await self.api(f"STREAM.INFO.{settings.name}")
        return _state(self.checked(answer, f"stream {settings.name}"))

    async def state(self, stream: str) -> StreamState | None:
        """Return what the stream holds, or None when there is no such stream."""
        answer = await self.api(f"STREAM.INFO.{stream}")
        if answer.error is not None and answer.error.err_code == _STREAM_NOT_FOUND:
            return None
        return _state(self.checked(answer, f"stream {stream}"))

    async def publish(self, message: Outgoing, *, after_seq: int | None = None) -> Published:
        """Publish and return where it stands."""
        return self._published(await self.ask(partial(self._send, message, _place(after_seq))))

    async def publish_batch(
        self, messages: Sequence[Outgoing], *, after_seq: int | None = None
    ) -> Published:
        """Publish all or none, in order; return where the last one stands."""
        assert 1 <= len(messages) <= BATCH_MAX
        batch = self._ids.new("batch")
        block = _place(after_seq)
        for number, message in enumerate(messages[:-1], 1):
            block += f"Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {number}\r\n"
            self._send(message, block, "")
            # Only of the first one is it said after which number it is to stand.
            block = ""
        block += (
            f"Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {len(messages)}\r\n"
            "Nats-Batch-Commit: 1\r\n"
        )
        return self._published(await self.ask(partial(self._send, messages[-1], block)))

    def _send(self, message: Outgoing, block: str, reply: str) -> None:
        if message.message_id:
            block += f"Nats-Msg-Id: {message.message_id}\r\n"
        for name, value in message.headers:
            block += f"{name}: {value}\r\n"
        headers = f"NATS/1.0\r\n{block}\r\n".encode() if block else b""
        self._bus.publish(message.subject, message.body, reply=reply, headers=headers)

    def _published(self, answer: _Answer) -> Published:
        answer = self.checked(answer, "publish")
        return Published(answer.stream, answer.seq, answer.duplicate)

    async def read(self, stream: str, seq: int) -> StreamMessage | None:
        """Return the message under a number, or None."""
        return await self._read(stream, {"seq": seq})

    async def read_next(self, stream: str, seq: int, *, subject: str = ">") -> StreamMessage | None:
        """Return the first message from ``seq`` on whose subject matches, or None."""
        return await self._read(stream, {"seq": max(seq, 1), "next_by_subj": subject})

    async def _read(self, stream: str, wanted: dict[str, Any]) -> StreamMessage | None:
        answer = await self.api(f"STREAM.MSG.GET.{stream}", wanted)
        if answer.error is not None and answer.error.err_code in _MESSAGE_NOT_FOUND:
            return None
        found = self.checked(answer, f"read {stream}").message
        if found is None:
            raise NotReady("JetStream answered a read without a message")
        return StreamMessage(
            stream=stream,
            seq=found.seq,
            subject=found.subject,
            body=found.data,
            headers=_headers(found.hdrs),
            at=found.time,
        )

    async def delete(self, stream: str, seq: int) -> bool:
        """Delete one message; tell whether it was there."""
        answer = await self.api(f"STREAM.MSG.DELETE.{stream}", {"seq": seq, "no_erase": True})
        if answer.error is not None and answer.error.err_code in _MESSAGE_NOT_FOUND:
            return False
        return self.checked(answer, f"message {seq} of {stream}").success

    async def consumer(self, stream: str, settings: ConsumerSettings) -> "_Consumer":
        """Join the consumer of that name, which is created unless it is there."""
        config = {
            "durable_name": settings.name,
            "name": settings.name,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(settings.ack_wait_s * _NS),
            "max_ack_pending": settings.unacknowledged_max,
            "max_deliver": -1,
        }
        body = {"stream_name": stream, "config": config, "action": "create"}
        answer = await self.api(f"CONSUMER.CREATE.{stream}.{settings.name}", body)
        # One that is there keeps its own settings, as with a stream.
        if answer.error is None or answer.error.err_code not in _CONSUMER_EXISTS:
            self.checked(answer, f"consumer {settings.name} of {stream}")
        self._next_token += 1
        inbox = f"{self._inbox}.pull.{self._process}-{self._next_token}"
        consumer = _Consumer(self, self._bus, stream, settings.name, inbox)
        try:
            await consumer.open()
        except BaseException:
            await consumer.close()
            raise
        return consumer

    def statistics(self) -> JetStreamStatistics:
        """Return the counts so far."""
        return JetStreamStatistics(
            requests=self._requests,
            refused=self._refused,
            unanswered=self._unanswered,
            answers_lost=self.answers_lost,
        )


class _Consumer:
    """See :class:`kernel.streams.Consumer`.

    At most one request of ours is open at the server. It sends what is there, and what comes until
    its time is over; what we have not taken yet waits here, bounded by that request.
    """

    def __init__(self, streams: JetStreams, bus: Bus, stream: str, name: str, inbox: str) -> None:
        self._streams = streams
        self._bus = bus
        self._stream = stream
        self._inbox = inbox
        self._next_message = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
        self._arrived: deque[StreamMessage] = deque()
        self._open = 0
        self._number = 0
        self._failure: NotReady | None = None
        self._news = asyncio.Event()
        self._subscription: int | None = None

    async def open(self) -> None:
        """Begin to listen for messages."""
        self._subscription = await self._bus.subscribe(f"{self._inbox}.*", self._on_message)
        self._streams.consumers.add(self)
        # As with the answers: the first request must not be quicker than the subscription.
        await self._bus.round_trip_s(ANSWER_TIMEOUT_S)

    async def fetch(self, limit: int, wait_s: float) -> list[StreamMessage]:
        """Return what is there, at most ``limit``; wait up to ``wait_s`` for the first."""
        if not self._arrived:
            if self._open <= 0:
                self._request(limit, wait_s)
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), wait_s + FETCH_MARGIN_S)
            except TimeoutError as error:
                # It says so when the time of a request is over, so nobody is there to say it.
                self._open = 0
                raise NotReady(f"the consumer of {self._stream} does not answer") from error
        if not self._arrived and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    def _request(self, limit: int, wait_s: float) -> None:
        self._number += 1
        self._failure = None
        body = msgspec.json.encode({"batch": limit, "expires": int(wait_s * _NS)})
        self._bus.publish(self._next_message, body, reply=f"{self._inbox}.{self._number}")
        self._open = limit

    def _on_message(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        status = _status(headers)
        if status:
            self._on_status(subject, status, headers)
            return
        parsed = _parsed_reply(reply)
        if parsed is None:
            return
        seq, deliveries, pending, at = parsed
        self._open -= 1
        self._arrived.append(
            StreamMessage(
                stream=self._stream,
                seq=seq,
                subject=subject,
                body=data,
                headers=_headers(headers),
                at=at,
                deliveries=deliveries,
                pending=pending,
                token=reply,
            )
        )
        self._news.set()

    def _on_status(self, subject: str, status: int, headers: bytes) -> None:
        """Note that a request is over: its time has passed, or the server says why not."""
        if status == 100 or subject != f"{self._inbox}.{self._number}":
            return
        self._open = 0
        if status not in (404, 408):
            text = headers.split(b"\r\n", 1)[0].decode(errors="replace")
            self._failure = NotReady(f"the consumer of {self._stream} does not serve: {text}")
        self._news.set()

    def on_disconnect(self) -> None:
        """Ask again: what was asked for may be lost with the connection."""
        self._open = 0
        self._failure = NotReady("the connection was lost")
        self._news.set()

    def ack(self, message: StreamMessage) -> None:
        """Say that the message is done."""
        self._answer(message, b"+ACK")

    def put_back(self, message: StreamMessage, delay_s: float) -> None:
        """Have the message delivered again, not before ``delay_s``."""
        self._answer(message, b'-NAK {"delay":%d}' % int(delay_s * _NS) if delay_s > 0 else b"-NAK")

    def terminate(self, message: StreamMessage, reason: str) -> None:
        """Say that the message must not come again, though it was not done."""
        self._answer(message, f"+TERM {reason}".encode())

    def _answer(self, message: StreamMessage, text: bytes) -> None:
        try:
            self._bus.publish(message.token, text)
        except ZhihuiError:
            # It comes again.
            self._streams.answers_lost += 1

    async def close(self) -> None:
        """Fetch no more; messages that were sent already and not fetched are put back."""
        self._streams.consumers.discard(self)
        if self._subscription is not None:
            await self._bus.unsubscribe(self._subscription)
            self._subscription = None
        while self._arrived:
            self.put_back(self._arrived.popleft(), 0.0)


def _failed(task: asyncio.Task[None]) -> bool:
    return task.cancelled() or task.exception() is not None


def _place(after_seq: int | None) -> str:
    return "" if after_seq is None else f"Nats-Expected-Last-Sequence: {after_seq}\r\n"


def _state(answer: _Answer) -> StreamState:
    state = answer.state or _State()
    return StreamState(
        messages=state.messages,
        bytes=state.bytes,
        first_seq=state.first_seq,
        last_seq=state.last_seq,
    )


def _status(headers: bytes) -> int:
    """Return the status of a message without a body of its own, or 0."""
    if not headers.startswith(_HEADER_START):
        return 0
    text = headers[len(_HEADER_START) : len(_HEADER_START) + 4].strip()
    return int(text) if text.isdigit() else 0


def _headers(block: bytes) -> dict[str, str]:
    found = {}
    for line in block.decode(errors="replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found


def _parsed_reply(reply: str) -> tuple[int, int, int, datetime] | None:
    """Return number, deliveries, pending and time, which stand in a message's reply subject.

    ``$JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<consumer seq>.<time>.<pending>``; newer
    servers put two more tokens in front of the stream, and may add tokens at the end.
    """
    tokens = reply.split(".")
    start = 4 if len(tokens) == 9 else 6
    try:
        deliveries, seq, _, at_ns, pending = map(int, tokens[start : start + 5])
    except ValueError:
        return None
    return seq, deliveries, pending, datetime.fromtimestamp(at_ns / _NS, UTC)
