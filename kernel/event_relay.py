"""Bring events from the outbox to their stream: in order, at least once, each with a stable id.

Nothing waits for this: an event stands when its change stands. The relay reads on from a cursor, so
after an outage it catches up by itself. What was committed a moment ago is handed to it in memory,
so that under load the outbox is written and not read.

It publishes in atomic batches, which need one acknowledgement for hundreds of events. A batch that
is refused, as when some of it was published just before a crash, is sent again message by message,
where the stream drops what it has already by its id.

Where to begin is read from the last event that stands in the stream; the cursor that is kept in the
store is for a stream that does not tell. So a stream that was lost is filled again from the outbox,
and a stream that holds more than the cursor says gets nothing twice.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import msgspec

from kernel.clock import Clock
from kernel.store import EventRow, Store
from kernel.streams import Outgoing, OutOfPlace, Refused, Streams, StreamSettings
from schemas.errors import NotReady, ZhihuiError
from schemas.events import encode_cloud_event, event_id, event_number
from schemas.subjects import EVENT_STREAM, EVENT_SUBJECTS, event_subject

__all__ = (
    "CHUNK",
    "CURSOR_EVERY_S",
    "DUPLICATE_WINDOW_S",
    "EVENT_BYTES_MAX",
    "EVENT_STREAM_SETTINGS",
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
# A pause after a chunk that was not full: events of a few commits share the next one. Nobody waits
# for an event as for an answer.
LINGER_S = 0.05
# The cursor is written at this interval under load, and at once when all is relayed. After a crash
# the stream itself tells where it ends.
CURSOR_EVERY_S = 0.5
# Events handed over in memory. Beyond it they are read from the outbox when their turn comes.
HANDED_OVER_MAX = 20_000
# How often the outbox is looked at although nobody said that something was committed.
IDLE_S = 1.0
RETRY_S = 0.5
# The window in which the stream knows an id again; it must outlast a restart of this node.
DUPLICATE_WINDOW_S = 120

# A full JetStream store refuses everything, published requests among it. Events are the one thing
# that Postgres holds as well, so they make room, the oldest first: 2 GiB are some four million.
EVENT_BYTES_MAX = 2 * 1024**3

EVENT_STREAM_SETTINGS = StreamSettings(
    name=EVENT_STREAM,
    subjects=(EVENT_SUBJECTS,),
    description="Events as CloudEvents, in the order of the commits.",
    bytes_max=EVENT_BYTES_MAX,
    duplicate_window_s=DUPLICATE_WINDOW_S,
    atomic=True,
)


class EventRelayStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start.

    ``cursor`` is the number of the last event relayed and ``lag`` how many events are known to wait
    behind it; both say nothing while ``active`` is false, for then another node relays.
    ``refilled`` counts how often a stream that was lost was filled again.
    """

    active: bool
    cursor: int
    lag: int
    relayed: int
    batches: int
    single: int
    refilled: int
    failures: int


class EventRelay:
    """One relay for one outbox, at work on the node that owns the journal.

    ``epoch`` returns under which epoch this node owns it, or None when it does not. With another
    epoch everything is looked at anew, because others may have relayed meanwhile. Two relays at one
    time, as for the moment in which a former owner finishes its chunk, do no harm: each chunk names
    the number after which it is to stand, and one of the two is refused.
    """

    def __init__(
        self,
        streams: Streams,
        store: Store,
        clock: Clock,
        *,
        epoch: Callable[[], int | None] = lambda: 0,
    ) -> None:
        self._streams = streams
        self._store = store
        self._clock = clock
        self._epoch = epoch
        # Under which epoch where to begin was found out; None when it has to be.
        self._prepared: int | None = None
        self._wanted = asyncio.Event()
        self._cursor = 0
        self._cursor_saved = 0
        self._cursor_saved_s = 0.0
        self._newest = 0
        self._stream_seq = 0
        self._handed_over: deque[EventRow] = deque()
        self._relayed = 0
        self._batches = 0
        self._single = 0
        self._refilled = 0
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
        self._newest = events[-1].seq
        self._wanted.set()

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            epoch = self._epoch()
            if epoch is None:
                self._prepared = None
                self._handed_over.clear()
                await self._wait_wanted()
                continue
            try:
                if self._prepared != epoch:
                    await self._prepare()
                    self._prepared = epoch
                count = await self.relay_once()
                unsaved_s = self._clock.monotonic_s() - self._cursor_saved_s
                if count == 0 or unsaved_s >= CURSOR_EVERY_S:
                    await self.save_cursor()
            except ZhihuiError as error:
                self._failures += 1
                _log.warning("events wait in the outbox: %s", error.message)
                self._prepared = None
                await self._clock.sleep(RETRY_S)
                continue
            if count == 0:
                await self._wait_wanted()
            elif count < CHUNK:
                await self._clock.sleep(LINGER_S)

    async def _wait_wanted(self) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), IDLE_S)
        except TimeoutError:
            return
        self._wanted.clear()

    # Where to begin.

    async def _prepare(self) -> None:
        """Make sure of the stream, and find out how far it goes."""
        try:
            state = await self._streams.ensure(EVENT_STREAM_SETTINGS)
        except Refused as error:
            raise NotReady(f"the event stream cannot be made: {error}") from error
        saved = await self._store.event_cursor(EVENT_STREAM)
        newest = (await self._store.position()).event_seq
        self._cursor = await self._begin(state.last_seq, saved, newest)
        if self._cursor < saved:
            self._refilled += 1
            _log.warning(
                "the event stream ends at event %d and was at %d: what the outbox holds is "
                "published again",
                self._cursor,
                saved,
            )
        self._cursor_saved = saved
        self._stream_seq = state.last_seq
        self._newest = max(self._newest, newest)

    async def _begin(self, last_seq: int, saved: int, newest: int) -> int:
        """Return the number of the last event that stands in the stream."""
        if last_seq == 0:
            # It never held anything: it is new, or the server lost what it had.
            return 0
        last = await self._streams.read(EVENT_STREAM, last_seq)
        number = event_number(last.headers.get("Nats-Msg-Id", "")) if last else None
        # Purged by its operator, not ours, or ahead of a database that was restored: then only our
        # own note can tell.
        return saved if number is None or number > newest else number

    # Relaying.

    async def relay_once(self) -> int:
        """Relay the next chunk; return how many events it held."""
        self._wanted.clear()
        events = self._take_handed_over() or await self._store.events_after(self._cursor, CHUNK)
        if not events:
            return 0
        self._newest = max(self._newest, events[-1].seq)
        self._batches += 1
        try:
            published = await self._streams.publish_batch(
                [_outgoing(event) for event in events], after_seq=self._stream_seq
            )
        except OutOfPlace as error:
            raise _changed_hands(error) from error
        except Refused as error:
            _log.info("a batch of events was refused: %s", error)
            await self._publish_singly(events)
        else:
            self._stream_seq = published.seq
            self._relayed += len(events)
            self._cursor = events[-1].seq
        return len(events)

    async def _publish_singly(self, events: list[EventRow]) -> None:
        # Each waits for the one before: after a refusal in the middle the later ones would
        # otherwise stand in the stream before it.
        for event in events:
            try:
                published = await self._streams.publish(
                    _outgoing(event), after_seq=self._stream_seq
                )
            except OutOfPlace as error:
                raise _changed_hands(error) from error
            except Refused as error:
                raise NotReady(f"an event was refused: {error}") from error
            if not published.duplicate:
                self._stream_seq = published.seq
            self._cursor = event.seq
            self._relayed += 1
            self._single += 1

    def _take_handed_over(self) -> list[EventRow]:
        """Return the next events if memory holds them; what is behind the cursor is dropped."""
        handed_over = self._handed_over
        while handed_over and handed_over[0].seq <= self._cursor:
            handed_over.popleft()
        if not handed_over or handed_over[0].seq != self._cursor + 1:
            return []
        return [handed_over.popleft() for _ in range(min(CHUNK, len(handed_over)))]

    async def save_cursor(self) -> None:
        """Note durably how far the relay is; the note never goes back."""
        if self._cursor > self._cursor_saved:
            cursor = self._cursor
            await self._store.move_event_cursor(EVENT_STREAM, cursor)
            self._cursor_saved = cursor
        self._cursor_saved_s = self._clock.monotonic_s()

    def statistics(self) -> EventRelayStatistics:
        """Return the counts so far."""
        active = self._epoch() is not None
        return EventRelayStatistics(
            active=active,
            cursor=self._cursor,
            lag=max(self._newest - self._cursor, 0) if active else 0,
            relayed=self._relayed,
            batches=self._batches,
            single=self._single,
            refilled=self._refilled,
            failures=self._failures,
        )


def _changed_hands(error: OutOfPlace) -> NotReady:
    """Return why we have to look again: another relay was here, or the stream was made anew."""
    return NotReady(f"the event stream is not as it was left: {error}")


def _outgoing(event: EventRow) -> Outgoing:
    name = event_id(event.seq)
    body = encode_cloud_event(
        event_id=name,
        source=f"/zhihui/{event.app}",
        event_type=f"zhihui.{event.type}",
        subject=event.subject,
        time=event.at,
        data_json=event.data,
    )
    return Outgoing(event_subject(event.app, event.type), body, name)
