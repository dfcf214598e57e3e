"""Dead letters of the durable intake: a stream of the messages that nobody could process."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import anyio

from kernel.streams import Outgoing, Refused, StreamMessage, Streams, StreamSettings
from schemas.errors import ErrorBody, ZhihuiError
from schemas.requests import (
    CODE_HEADER,
    DELIVERIES_HEADER,
    MESSAGE_ID_HEADER,
    PUBLISHED_AT_HEADER,
    REASON_HEADER,
    SUBJECT_HEADER,
    dead_letter_subject,
)
from schemas.subjects import DEAD_LETTER_STREAM, DEAD_LETTER_SUBJECTS

__all__ = ("BURY_MAX", "DEAD_LETTER_SETTINGS", "REASON_CHARACTERS_MAX", "StreamLetters")

_log = logging.getLogger(__name__)

# Dead letters on their way at a time: a flood of poison should not take seconds for each thousand.
BURY_MAX = 100
# A header is for people, who read the first sentence.
REASON_CHARACTERS_MAX = 500

_MIB = 1024 * 1024

DEAD_LETTER_SETTINGS = StreamSettings(
    name=DEAD_LETTER_STREAM,
    subjects=(DEAD_LETTER_SUBJECTS,),
    description="Published requests that could not be processed.",
    # When it is full, poison stays in the intake, where it waits and harms nobody.
    when_full="refuse",
    bytes_max=256 * _MIB,
    # It has to outlast the time between a crash and the next node, in which a letter stands and its
    # message is still in the queue.
    duplicate_window_s=3_600.0,
)


class StreamLetters:
    """Publish dead letters in the background, and tell when each of them stands."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._waiting: deque[tuple[StreamMessage, ErrorBody, Callable[[bool], None]]] = deque()
        self._there = asyncio.Event()

    def bury(
        self, message: StreamMessage, error: ErrorBody, buried: Callable[[bool], None]
    ) -> None:
        """Publish the letter of a message; ``buried`` is told whether it stands.

        The same message, buried twice within the stream's window, has one letter.
        """
        self._waiting.append((message, error, buried))
        self._there.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._there.wait()
            self._there.clear()
            while self._waiting:
                count = min(BURY_MAX, len(self._waiting))
                async with anyio.create_task_group() as tasks:
                    for message, error, buried in [self._waiting.popleft() for _ in range(count)]:
                        tasks.start_soon(self._publish, message, error, buried)

    async def _publish(
        self, message: StreamMessage, error: ErrorBody, buried: Callable[[bool], None]
    ) -> None:
        try:
            await self._streams.publish(_letter(message, error))
        except (ZhihuiError, Refused) as problem:
            _log.warning("a dead letter was not published: %s", problem)
            buried(False)
            return
        _log.error(
            "dead letter: message %d on %s: %s: %s",
            message.seq,
            message.subject,
            error.code,
            error.message,
        )
        buried(True)


def _letter(message: StreamMessage, error: ErrorBody) -> Outgoing:
    headers = (
        (CODE_HEADER, error.code),
        (REASON_HEADER, _one_line(error.message)),
        (DELIVERIES_HEADER, str(message.deliveries)),
        (SUBJECT_HEADER, message.subject),
        (MESSAGE_ID_HEADER, _one_line(message.headers.get("Nats-Msg-Id", ""))),
        (PUBLISHED_AT_HEADER, message.at.isoformat()),
    )
    # With the time: numbers begin anew when a stream was lost.
    letter_id = f"{message.stream}-{message.seq}-{message.at.timestamp():.6f}"
    return Outgoing(dead_letter_subject(message.subject), message.body, letter_id, headers)


def _one_line(text: str) -> str:
    """Return the text without what could end a header or the line of a terminal."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(printable.split())[:REASON_CHARACTERS_MAX]
