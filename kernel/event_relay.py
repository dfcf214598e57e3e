"""Bring events from the outbox to JetStream: in order, at least once, each with a stable id.

Nothing waits for this: an event stands when its change stands. The relay reads on from a cursor, so
after an outage it catches up by itself. What was committed a moment ago is handed to it in memory,
so that under load the outbox is written and not read.

It publishes in atomic batches (ADR-50 of NATS), which need one acknowledgement for hundreds of
events. A batch that JetStream refuses, as when some of it was published just before a crash, is
sent again message by message, where JetStream drops what it has already by ``Nats-Msg-Id``.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from kernel.bus import Bus
from kernel.clock import Clock
from kernel.randomness import IdFactory
from kernel.store import EventRow, Store
from schemas.errors import NotReady, ZhihuiError
from schemas.events import encode_cloud_event
from schemas.subjects import EVENT_STREAM, EVENT_SUBJECTS, event_subject

__all__ = (
    "ACK_TIMEOUT_S",
    "CHUNK",
    "CURSOR_EVERY_S",
    "DUPLICATE_WINDOW_S",
    "HANDED_OVER_MAX",
    "IDLE_S",
    "LINGER_S",
    "RETRY_S",
    "EventRelay",
    "EventRelayStatistics",
)

_log = logging.getLogger(__name__)

# JetStream takes at most 1,000 messages in an atomic batch; half of it keeps the pauses short.
CHUNK = 500
ACK_TIMEOUT_S = 5.0
# A pause after a chunk that was not full: events of a few commits share the next one. Nobody waits
# for an event as for an answer.
LINGER_S = 0.02
# The cursor is written at this interval under load, and at once when all is relayed. After a crash
# the events since then are published again, and JetStream drops them by their ids.
CURSOR_EVERY_S = 0.5
# Events handed over in memory. Beyond it they are read from the outbox when their turn comes.
HANDED_OVER_MAX = 20_000
# How often the outbox is looked at although nobody said that something was committed.
IDLE_S = 1.0
RETRY_S = 0.5
# The window in which JetStream knows an id again; it must outlast a restart of this node.
DUPLICATE_WINDOW_S = 120


class _Ack(msgspec.Struct, frozen=True):
    """The part of a JetStream answer that matters here."""

    error: dict[str, Any] | None = None
    seq: int = 0


class EventRelayStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``cursor`` is the number of the last event relayed."""

    cursor: int
    relayed: int
    batches: int
    single: int
    failures: int


class EventRelay:
    """One relay for one outbox. Run it on one node at a time; a second one does no harm."""

    def __init__(self, node: str, bus: Bus, store: Store, clock: Clock, ids: IdFactory) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._ids = ids
        self._inbox = f"zh.relay.v1.{node}"
        self._acks: dict[str, asyncio.Future[_Ack]] = {}
        self._next_token = 0
        self._wanted = asyncio.Event()
        self._decoder = msgspec.json.Decoder(_Ack)
        self._cursor = 0
        self._cursor_saved = 0
        self._cursor_saved_s = 0.0
        self._handed_over: deque[EventRow] = deque()
        self._relayed = 0
        self._batches = 0
        self._single = 0
        self._failures = 0

    def wake(self) -> None:
        """Say that there may be something to relay."""
        self._wanted.set()

    def hand_over(self, events: list[EventRow]) -> None:
        """Take the events of a commit, in order; the outbox holds them as well."""
        handed_over = self._handed_over
        if handed_over and handed_over[-1].seq + 1 != events[0].seq:
            handed_over.clear()
        if len(handed_over) + len(events) <= HANDED_OVER_MAX:
            handed_over.extend(events)
        self._wanted.set()

    async def run(self) -> None:
        """Relay until cancelled."""
        await self._bus.subscribe(f"{self._inbox}.*", self._on_ack)
        # Questions leave on another connection than the subscription: without a round trip the
        # first answer may come before it and be lost. When cut off, the first attempt says so.
        with contextlib.suppress(ZhihuiError):
            await self._bus.round_trip_s(ACK_TIMEOUT_S)
        prepared = False
        while True:
            try:
                if not prepared:
                    await self._ensure_stream()
                    self._cursor = await self._store.event_cursor(EVENT_STREAM)
                    self._cursor_saved = self._cursor
                    prepared = True
                count = await self.relay_once()
                unsaved_s = self._clock.monotonic_s() - self._cursor_saved_s
                if count == 0 or unsaved_s >= CURSOR_EVERY_S:
                    await self.save_cursor()
                if count:
                    if count < CHUNK:
                        await self._clock.sleep(LINGER_S)
                    continue
            except ZhihuiError as error:
                self._failures += 1
                _log.warning("events wait in the outbox: %s", error.message)
                prepared = False
                await self._clock.sleep(RETRY_S)
                continue
            await self._wait_wanted()

    async def _wait_wanted(self) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), IDLE_S)
        except TimeoutError:
            return
        self._wanted.clear()

    async def relay_once(self) -> int:
        """Relay the next chunk; return how many events it held."""
        self._wanted.clear()
        events = self._take_handed_over() or await self._store.events_after(self._cursor, CHUNK)
        if not events:
            return 0
        ack = await self._publish_batch(events)
        if ack.error is not None:
            _log.info("JetStream refused a batch: %s", ack.error)
            await self._publish_singly(events)
        self._cursor = events[-1].seq
        self._relayed += len(events)
        return len(events)

    def _take_handed_over(self) -> list[EventRow]:
        """Return the next events if memory holds them; what is behind the cursor is dropped."""
        handed_over = self._handed_over
        while handed_over and handed_over[0].seq <= self._cursor:
            handed_over.popleft()
        if not handed_over or handed_over[0].seq != self._cursor + 1:
            return []
        return [handed_over.popleft() for _ in range(min(CHUNK, len(handed_over)))]

    async def save_cursor(self) -> None:
        """Note durably how far the relay is."""
        if self._cursor != self._cursor_saved:
            cursor = self._cursor
            await self._store.move_event_cursor(EVENT_STREAM, cursor)
            self._cursor_saved = cursor
        self._cursor_saved_s = self._clock.monotonic_s()

    async def _publish_batch(self, events: list[EventRow]) -> _Ack:
        self._batches += 1
        batch = self._ids.new("events")
        for number, event in enumerate(events[:-1], 1):
            headers = f"Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {number}\r\n"
            self._publish(event, headers, "")
        headers = (
            f"Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {len(events)}\r\n"
            "Nats-Batch-Commit: 1\r\n"
        )
        return await self._acknowledged(partial(self._publish, events[-1], headers))

    async def _publish_singly(self, events: list[EventRow]) -> None:
        # Each waits for the one before: after a refusal in the middle the later ones would
        # otherwise stand in the stream before it.
        for event in events:
            ack = await self._acknowledged(partial(self._publish, event, ""))
            if ack.error is not None:
                raise NotReady(f"JetStream refused an event: {ack.error}")
            self._cursor = event.seq
            self._single += 1

    def _publish(self, event: EventRow, headers: str, reply: str) -> None:
        event_id = f"{EVENT_STREAM}-{event.seq}"
        body = encode_cloud_event(
            event_id=event_id,
            source=f"/zhihui/{event.app}",
            event_type=f"zhihui.{event.type}",
            subject=event.subject,
            time=event.at,
            data_json=event.data,
        )
        block = f"NATS/1.0\r\nNats-Msg-Id: {event_id}\r\n{headers}\r\n".encode()
        self._bus.publish(event_subject(event.app, event.type), body, reply=reply, headers=block)

    async def _acknowledged(self, publish: Callable[[str], None]) -> _Ack:
        """Publish with a reply subject of its own, and return what JetStream answers to it."""
        self._next_token += 1
        token = str(self._next_token)
        future = self._acks[token] = asyncio.get_running_loop().create_future()
        try:
            publish(f"{self._inbox}.{token}")
            return await asyncio.wait_for(future, ACK_TIMEOUT_S)
        except TimeoutError as error:
            raise NotReady("JetStream did not acknowledge in time") from error
        finally:
            del self._acks[token]

    def _on_ack(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        del reply, headers
        future = self._acks.get(subject.rsplit(".", 1)[1])
        if future is None or future.done():
            return
        try:
            future.set_result(self._decoder.decode(data))
        except msgspec.MsgspecError as error:
            future.set_exception(NotReady(f"JetStream answered nonsense: {error}"))

    async def _ensure_stream(self) -> None:
        """Create the stream unless it is there; its settings are then the operator's."""
        config = {
            "name": EVENT_STREAM,
            "subjects": [EVENT_SUBJECTS],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "allow_atomic": True,
            "duplicate_window": DUPLICATE_WINDOW_S * 1_000_000_000,
        }
        subject = f"$JS.API.STREAM.CREATE.{EVENT_STREAM}"
        body = msgspec.json.encode(config)
        ack = await self._acknowledged(lambda reply: self._bus.publish(subject, body, reply=reply))
        # 10058: a stream of this name exists with other settings.
        if ack.error is not None and ack.error.get("err_code") != 10058:
            raise NotReady(f"JetStream refused the event stream: {ack.error}")

    def statistics(self) -> EventRelayStatistics:
        """Return the counts so far."""
        return EventRelayStatistics(
            cursor=self._cursor,
            relayed=self._relayed,
            batches=self._batches,
            single=self._single,
            failures=self._failures,
        )
