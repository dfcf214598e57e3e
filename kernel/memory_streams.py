"""Streams in memory: for tests, and for a whole platform in one process.

It keeps the promises of the real ones: numbers in order, messages dropped by their ids within the
window, one consumer shared by all who fetch, and what is not acknowledged in time comes again.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from kernel.clock import Clock
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
from schemas.errors import NotReady

__all__ = ("MemoryStreams", "MemoryStreamsStatistics")

_PAUSE_S_MIN = 0.001


class MemoryStreamsStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start."""

    published: int
    duplicates: int
    delivered: int


class _Out:
    """A message that was delivered and has no answer yet; ``again_s`` is when it comes again."""

    __slots__ = ("again_s", "deliveries")

    def __init__(self) -> None:
        self.again_s = 0.0
        self.deliveries = 0


class _Place:
    """The state of one consumer, shared by all who fetch."""

    def __init__(self, settings: ConsumerSettings) -> None:
        self.settings = settings
        self.next_seq = 1
        self.out: dict[int, _Out] = {}


class _Stream:
    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.messages: dict[int, StreamMessage] = {}
        self.bytes = 0
        self.last_seq = 0
        # Message id → its number, and when it is forgotten.
        self.ids: dict[str, tuple[int, float]] = {}
        self.places: dict[str, _Place] = {}
        self.news = asyncio.Event()

    def takes(self, subject: str) -> bool:
        return any(_matches(pattern, subject) for pattern in self.settings.subjects)

    def state(self) -> StreamState:
        first = next(iter(self.messages), self.last_seq + 1)
        return StreamState(
            messages=len(self.messages),
            bytes=self.bytes,
            first_seq=first if self.last_seq else 0,
            last_seq=self.last_seq,
        )

    def known(self, message_id: str, now_s: float) -> int | None:
        """Return the number under which the id was seen within the window, or None."""
        for known_id, (_, forgotten_s) in list(self.ids.items()):
            if forgotten_s > now_s:
                break
            del self.ids[known_id]
        found = self.ids.get(message_id)
        return found[0] if found else None

    def check_room(self, messages: Sequence[Outgoing]) -> None:
        """Raise :class:`NotReady` when they do not fit into a stream that drops nothing."""
        settings = self.settings
        if settings.message_bytes_max and any(
            len(message.body) > settings.message_bytes_max for message in messages
        ):
            raise Refused(f"a message is larger than {settings.message_bytes_max} bytes")
        if settings.when_full != "refuse":
            return
        size = self.bytes + sum(len(message.body) for message in messages)
        too_many = settings.messages_max and (
            len(self.messages) + len(messages) > settings.messages_max
        )
        if too_many or (settings.bytes_max and size > settings.bytes_max):
            raise NotReady(f"stream {settings.name} is full")

    def check_place(self, after_seq: int | None) -> None:
        if after_seq is not None and after_seq != self.last_seq:
            raise OutOfPlace(f"stream {self.settings.name} ends at {self.last_seq}")

    def drop_oldest(self) -> None:
        settings = self.settings
        while (settings.messages_max and len(self.messages) > settings.messages_max) or (
            settings.bytes_max and self.bytes > settings.bytes_max
        ):
            self.remove(next(iter(self.messages)))

    def remove(self, seq: int) -> bool:
        message = self.messages.pop(seq, None)
        if message is None:
            return False
        self.bytes -= len(message.body)
        return True

    def tell(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()


class MemoryStreams:
    """See :class:`kernel.streams.Streams`. All who share one object are on one server."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._streams: dict[str, _Stream] = {}
        self._connected = True
        self._published = 0
        self._duplicates = 0
        self._delivered = 0

    def cut(self) -> None:
        """Be out of reach from now on; what is kept stays."""
        self._connected = False
        for stream in self._streams.values():
            stream.tell()

    def mend(self) -> None:
        """Be there again."""
        self._connected = True

    def lose(self, name: str) -> None:
        """Forget a stream with all that it holds, as when a server loses its disk."""
        stream = self._streams.pop(name, None)
        if stream is not None:
            stream.tell()

    def _check(self) -> None:
        if not self._connected:
            raise NotReady("the streams are out of reach", retry_after_s=0.5)

    def _stream(self, name: str) -> _Stream:
        self._check()
        stream = self._streams.get(name)
        if stream is None:
            raise Refused(f"there is no stream {name}")
        return stream

    async def ensure(self, settings: StreamSettings) -> StreamState:
        """Create the stream unless it is there, and return its state."""
        self._check()
        stream = self._streams.get(settings.name)
        if stream is None:
            stream = self._streams[settings.name] = _Stream(settings)
        return stream.state()

    async def state(self, stream: str) -> StreamState | None:
        """Return what the stream holds, or None when there is no such stream."""
        self._check()
        known = self._streams.get(stream)
        return known.state() if known else None

    async def publish(self, message: Outgoing, *, after_seq: int | None = None) -> Published:
        """Publish and return where it stands."""
        stream = self._taker(message.subject)
        stream.check_place(after_seq)
        if message.message_id:
            seq = stream.known(message.message_id, self.clock.monotonic_s())
            if seq is not None:
                self._duplicates += 1
                return Published(stream.settings.name, seq, duplicate=True)
        stream.check_room([message])
        return self._store(stream, [message])

    async def publish_batch(
        self, messages: Sequence[Outgoing], *, after_seq: int | None = None
    ) -> Published:
        """Publish all or none, in order; return where the last one stands."""
        assert 1 <= len(messages) <= BATCH_MAX
        stream = self._taker(messages[0].subject)
        if not stream.settings.atomic:
            raise Refused(f"stream {stream.settings.name} takes no batches")
        stream.check_place(after_seq)
        now_s = self.clock.monotonic_s()
        ids = [message.message_id for message in messages if message.message_id]
        if len(set(ids)) < len(ids) or any(stream.known(one, now_s) for one in ids):
            raise Refused("the batch holds a message that was seen before")
        if not all(stream.takes(message.subject) for message in messages):
            raise Refused("the batch holds a message of another stream")
        stream.check_room(messages)
        return self._store(stream, messages)

    def _taker(self, subject: str) -> _Stream:
        self._check()
        for stream in self._streams.values():
            if stream.takes(subject):
                return stream
        raise NotReady(f"no stream takes {subject!r}", retry_after_s=0.5)

    def _store(self, stream: _Stream, messages: Sequence[Outgoing]) -> Published:
        forgotten_s = self.clock.monotonic_s() + stream.settings.duplicate_window_s
        for message in messages:
            stream.last_seq += 1
            headers = dict(message.headers)
            if message.message_id:
                stream.ids[message.message_id] = (stream.last_seq, forgotten_s)
                headers["Nats-Msg-Id"] = message.message_id
            stream.messages[stream.last_seq] = StreamMessage(
                stream=stream.settings.name,
                seq=stream.last_seq,
                subject=message.subject,
                body=message.body,
                headers=headers,
                at=self.clock.now(),
            )
            stream.bytes += len(message.body)
        self._published += len(messages)
        stream.drop_oldest()
        stream.tell()
        return Published(stream.settings.name, stream.last_seq)

    async def consumer(self, stream: str, settings: ConsumerSettings) -> "_Consumer":
        """Join the consumer of that name, which is created unless it is there."""
        known = self._stream(stream)
        known.places.setdefault(settings.name, _Place(settings))
        return _Consumer(self, stream, settings.name)

    async def read(self, stream: str, seq: int) -> StreamMessage | None:
        """Return the message under a number, or None."""
        return self._stream(stream).messages.get(seq)

    async def read_next(self, stream: str, seq: int, *, subject: str = ">") -> StreamMessage | None:
        """Return the first message from ``seq`` on whose subject matches, or None."""
        messages = self._stream(stream).messages
        numbers = list(messages)
        for number in numbers[bisect_left(numbers, seq) :]:
            if _matches(subject, messages[number].subject):
                return messages[number]
        return None

    async def delete(self, stream: str, seq: int) -> bool:
        """Delete one message; tell whether it was there."""
        return self._stream(stream).remove(seq)

    def statistics(self) -> MemoryStreamsStatistics:
        """Return the counts so far."""
        return MemoryStreamsStatistics(
            published=self._published, duplicates=self._duplicates, delivered=self._delivered
        )

    # For the consumers.

    def take(self, name: str, place_name: str, limit: int) -> tuple[list[StreamMessage], _Stream]:
        """Deliver what is due at a place, in order."""
        stream = self._streams.get(name)
        if not self._connected or stream is None or place_name not in stream.places:
            raise NotReady(f"the consumer of {name} is gone")
        place = stream.places[place_name]
        now_s = self.clock.monotonic_s()
        for seq in [seq for seq in place.out if seq not in stream.messages]:
            del place.out[seq]
        due = sorted(seq for seq, out in place.out.items() if out.again_s <= now_s)[:limit]
        while len(due) < limit and place.next_seq <= stream.last_seq:
            if len(place.out) >= place.settings.unacknowledged_max:
                break
            if place.next_seq in stream.messages:
                place.out[place.next_seq] = _Out()
                due.append(place.next_seq)
            place.next_seq += 1
        pending = stream.last_seq + 1 - place.next_seq
        messages = []
        for seq in due:
            out = place.out[seq]
            out.deliveries += 1
            out.again_s = now_s + place.settings.ack_wait_s
            messages.append(
                msgspec.structs.replace(
                    stream.messages[seq], deliveries=out.deliveries, pending=pending
                )
            )
        self._delivered += len(messages)
        return messages, stream

    def next_due_s(self, name: str, place_name: str) -> float | None:
        """Return the seconds until a message comes again, or None."""
        place = self._streams[name].places[place_name]
        due_s = min((out.again_s for out in place.out.values()), default=None)
        return None if due_s is None else max(due_s - self.clock.monotonic_s(), 0.0)

    def finish(self, message: StreamMessage, place_name: str) -> None:
        """Note that a message is done with at a place."""
        stream = self._streams.get(message.stream)
        if not self._connected or stream is None or place_name not in stream.places:
            return
        stream.places[place_name].out.pop(message.seq, None)
        if stream.settings.work_queue:
            stream.remove(message.seq)
        stream.tell()

    def put_back(self, message: StreamMessage, place_name: str, delay_s: float) -> None:
        """Have a message come again at a place."""
        stream = self._streams.get(message.stream)
        if not self._connected or stream is None or place_name not in stream.places:
            return
        out = stream.places[place_name].out.get(message.seq)
        if out is not None and out.deliveries == message.deliveries:
            out.again_s = self.clock.monotonic_s() + delay_s
            stream.tell()


class _Consumer:
    """See :class:`kernel.streams.Consumer`."""

    def __init__(self, streams: MemoryStreams, stream: str, place: str) -> None:
        self._streams = streams
        self._stream = stream
        self._place = place

    async def fetch(self, limit: int, wait_s: float) -> list[StreamMessage]:
        """Return what is there, at most ``limit``; wait up to ``wait_s`` for the first."""
        waited_s = 0.0
        while True:
            messages, stream = self._streams.take(self._stream, self._place, limit)
            if messages or waited_s >= wait_s:
                return messages
            due_s = self._streams.next_due_s(self._stream, self._place)
            pause_s = wait_s - waited_s
            if due_s is not None:
                # At least a little, for a clock that stands still.
                pause_s = min(pause_s, max(due_s, _PAUSE_S_MIN))
            start_s = self._streams.clock.monotonic_s()
            try:
                await asyncio.wait_for(stream.news.wait(), pause_s)
            except TimeoutError:
                waited_s += pause_s
            else:
                waited_s += self._streams.clock.monotonic_s() - start_s

    def ack(self, message: StreamMessage) -> None:
        """Say that the message is done."""
        self._streams.finish(message, self._place)

    def put_back(self, message: StreamMessage, delay_s: float) -> None:
        """Have the message delivered again, not before ``delay_s``."""
        self._streams.put_back(message, self._place, delay_s)

    def terminate(self, message: StreamMessage, reason: str) -> None:
        """Say that the message must not come again, though it was not done."""
        self._streams.finish(message, self._place)

    async def close(self) -> None:
        """Fetch no more."""


def _matches(pattern: str, subject: str) -> bool:
    """Tell whether a pattern covers a subject, after the rules of NATS."""
    tokens = subject.split(".")
    wanted = pattern.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return index < len(tokens)
        if index >= len(tokens) or part not in ("*", tokens[index]):
            return False
    return len(wanted) == len(tokens)
