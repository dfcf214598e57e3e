"""Reading on in the stream of events, as `zhihui events tail` does."""

from collections.abc import AsyncIterator

from kernel.clock import Clock
from kernel.streams import Refused, StreamMessage, Streams
from schemas.errors import ZhihuiError
from schemas.events import event_number
from schemas.subjects import EVENT_STREAM, EVENT_SUBJECTS

__all__ = ("LOOK_EVERY_S", "EventTail", "events_of")

# How late an event may be shown that has just been published.
LOOK_EVERY_S = 0.2


def events_of(app: str, type_: str) -> str:
    """Return the subjects of an app's events of a type; '' is any.

    A type of one part, such as ``payment``, is all events of that entity.
    """
    prefix = EVENT_SUBJECTS.removesuffix(">")
    kind = type_ if "." in type_ or not type_ else f"{type_}.*"
    return f"{prefix}{app or '*'}.{kind or '>'}"


class EventTail:
    """A place in the stream of events that moves on with what is read."""

    def __init__(self, streams: Streams, clock: Clock, subject: str) -> None:
        """Begin at the first event of ``subject``, which may hold wildcards."""
        self._streams = streams
        self._clock = clock
        self._subject = subject
        self._seq = 1

    async def since(self, number: int) -> None:
        """Go behind the event of this number, which is the last part of its id."""
        state = await self._streams.state(EVENT_STREAM)
        low = state.first_seq if state else 1
        high = state.last_seq + 1 if state else 1
        while low < high:
            middle = (low + high) // 2
            message = await self._streams.read_next(EVENT_STREAM, middle)
            if message is None:
                high = middle
                continue
            found = event_number(message.headers.get("Nats-Msg-Id", ""))
            if found is None or found > number:
                high = middle
            else:
                low = message.seq + 1
        self._seq = max(low, 1)

    async def last(self, count: int) -> None:
        """Go where ``count`` events that match still follow, or to the first when they are fewer.

        0 goes to the end.
        """
        state = await self._streams.state(EVENT_STREAM)
        if state is None:
            return
        if count == 0:
            self._seq = state.last_seq + 1
            return
        reach = count
        while True:
            # Matching events may be rare: each time twice as far back.
            start = max(state.last_seq + 1 - reach, state.first_seq)
            seqs = await self._matching(start, state.last_seq)
            if len(seqs) >= count or start <= state.first_seq:
                self._seq = seqs[-count:][0] if seqs else state.last_seq + 1
                return
            reach *= 2

    async def _matching(self, start: int, end: int) -> list[int]:
        seqs = []
        while start <= end:
            message = await self._streams.read_next(EVENT_STREAM, start, subject=self._subject)
            if message is None or message.seq > end:
                break
            seqs.append(message.seq)
            start = message.seq + 1
        return seqs

    async def events(self, *, follow: bool) -> AsyncIterator[StreamMessage]:
        """Yield what stands from here on; with ``follow`` wait for more, through outages too."""
        while True:
            message = None
            try:
                message = await self._streams.read_next(
                    EVENT_STREAM, self._seq, subject=self._subject
                )
            except Refused:
                # There is no stream yet: it is made when the first node starts.
                pass
            except ZhihuiError:
                if not follow:
                    raise
            if message is not None:
                self._seq = message.seq + 1
                yield message
            elif follow:
                await self._clock.sleep(LOOK_EVERY_S)
            else:
                return
