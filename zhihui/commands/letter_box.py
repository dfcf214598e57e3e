"""The dead letters of both kinds in one box: those of the intake's stream and those of actors.

A letter of the stream is a published request that nobody could process. A letter of the table is a
message that made an actor fail, whichever way it came.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any, Literal

import asyncpg
import msgspec

from kernel.clock import Clock, SystemClock
from kernel.jetstream import JetStreams
from kernel.nats_bus import NatsBus
from kernel.nats_security import NatsSecurity
from kernel.partition import partition_of
from kernel.randomness import IdFactory, SystemRandomness
from kernel.streams import Outgoing, Refused, StreamMessage
from schemas.envelope import FRAME_VERSION, Envelope, Frame, decode_frame, encode_frame
from schemas.errors import ErrorBody, Internal, NotReady
from schemas.requests import (
    CODE_HEADER,
    DELIVERIES_HEADER,
    MESSAGE_ID_HEADER,
    PUBLISHED_AT_HEADER,
    REASON_HEADER,
    RETRY_HEADER,
    SUBJECT_HEADER,
)
from schemas.subjects import DEAD_LETTER_STREAM, node_subject

__all__ = ("ANSWER_S", "Letter", "LetterBox", "Retried", "opened_letter_box")

# How long a message that is handed to its actor again may take.
ANSWER_S = 10.0
_DATABASE_S = 10.0
_STREAM_ID = "in-"
_LOOK_EVERY_S = 0.2
_LOOKS = 10

_TABLE = (
    "SELECT dead_letter_id, at, node, kind, key, type, app, reason, attempts, body"
    " FROM zhihui.dead_letter"
)
# A message that fails again is recorded again; then the newer letter stands for both.
_REPLACED = """
DELETE FROM zhihui.dead_letter AS old WHERE dead_letter_id = $1 AND EXISTS (
    SELECT FROM zhihui.dead_letter AS new
     WHERE (new.kind, new.key, new.type, new.app, new.body)
         = (old.kind, old.key, old.type, old.app, old.body) AND new.at > old.at)
"""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter. ``details`` are what else is known, by name."""

    letter_id: str
    source: Literal["intake", "actor"]
    at: datetime
    app: str
    operation: str
    code: str
    reason: str
    attempts: int
    details: dict[str, str]
    body: bytes


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a retry; ``settled`` says that the message is a dead letter no more."""

    letter_id: str
    outcome: str
    settled: bool


@contextlib.asynccontextmanager
async def opened_letter_box(
    nats_url: str, postgres_dsn: str, security: NatsSecurity
) -> "AsyncIterator[LetterBox]":
    """Connect to both servers; raise :class:`NotReady` when one does not answer."""
    clock = SystemClock()
    ids = IdFactory(clock, SystemRandomness())
    name = ids.new("letters")
    try:
        database = await asyncpg.connect(
            postgres_dsn, timeout=_DATABASE_S, command_timeout=_DATABASE_S
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise NotReady(f"cannot connect to Postgres: {error}") from error
    try:
        async with NatsBus(nats_url, name=name, clock=clock, security=security) as bus:
            yield LetterBox(name, bus, JetStreams(name, bus, ids), database, clock)
    finally:
        await database.close(timeout=_DATABASE_S)


class LetterBox:
    """List, read, retry and drop dead letters; made by :func:`opened_letter_box`."""

    def __init__(
        self,
        name: str,
        bus: NatsBus,
        streams: JetStreams,
        database: "asyncpg.Connection[Any]",
        clock: Clock,
    ) -> None:
        self._name = name
        self._bus = bus
        self._streams = streams
        self._database = database
        self._clock = clock

    async def letters(self, app: str, limit: int) -> list[Letter]:
        """Return the oldest letters, of one app or with '' of all, at most ``limit``."""
        rows = await self._database.fetch(
            f"{_TABLE} WHERE $1 IN ('', app) ORDER BY at, dead_letter_id LIMIT $2", app, limit
        )
        found = [_of_actor(*row) for row in rows]
        subject = f"zh.dead.v1.{app}.>" if app else ">"
        seq = 0
        for _ in range(limit):
            message = await self._next(seq + 1, subject)
            if message is None:
                break
            found.append(_of_intake(message))
            seq = message.seq
        return sorted(found, key=lambda letter: letter.at)[:limit]

    async def _next(self, seq: int, subject: str) -> StreamMessage | None:
        try:
            return await self._streams.read_next(DEAD_LETTER_STREAM, seq, subject=subject)
        except Refused:
            # The stream is made by the first node that opens its intake.
            return None

    async def letter(self, letter_id: str) -> Letter | None:
        """Return one letter, or None."""
        seq = _seq(letter_id)
        if seq is None:
            row = await self._database.fetchrow(f"{_TABLE} WHERE dead_letter_id = $1", letter_id)
            return None if row is None else _of_actor(*row)
        try:
            message = await self._streams.read(DEAD_LETTER_STREAM, seq)
        except Refused:
            return None
        return None if message is None else _of_intake(message)

    async def drop(self, letter: Letter) -> None:
        """Delete a letter for good."""
        seq = _seq(letter.letter_id)
        if seq is None:
            await self._database.execute(
                "DELETE FROM zhihui.dead_letter WHERE dead_letter_id = $1", letter.letter_id
            )
        else:
            await self._streams.delete(DEAD_LETTER_STREAM, seq)

    async def retry(self, letter: Letter) -> Retried:
        """Send a letter's message again, and delete the letter when it is safe to do so."""
        if letter.source == "intake":
            return await self._publish_again(letter)
        return await self._hand_over_again(letter)

    async def _publish_again(self, letter: Letter) -> Retried:
        """Publish to the intake again; it answers by an event, as the first time."""
        # The same for every retry of this letter: if we die before it is deleted, the next retry
        # is dropped as a duplicate or finds the answer of this one.
        token = f"retry-{letter.letter_id}-{letter.at.timestamp():.6f}"
        subject = letter.details["subject"]
        try:
            await self._streams.publish(
                Outgoing(subject, letter.body, token, ((RETRY_HEADER, token),))
            )
        except Refused as error:
            return Retried(letter_id=letter.letter_id, outcome=f"refused: {error}", settled=False)
        await self.drop(letter)
        return Retried(letter_id=letter.letter_id, outcome="published again", settled=True)

    async def _hand_over_again(self, letter: Letter) -> Retried:
        """Give a message to its actor again, as a node would, and wait for the answer."""
        error = await self._ask(letter)
        if error is not None and (error.retryable or error.code == Internal.code):
            outcome = f"{error.code}: {error.message}"
            if error.code == Internal.code and await self._replaced(letter):
                outcome += ", as a newer letter"
            return Retried(letter_id=letter.letter_id, outcome=outcome, settled=False)
        await self.drop(letter)
        outcome = "done" if error is None else f"rejected, {error.code}: {error.message}"
        return Retried(letter_id=letter.letter_id, outcome=outcome, settled=True)

    async def _ask(self, letter: Letter) -> ErrorBody | None:
        """Return the error that the actor answers, or None when it answers a result."""
        kind, key = letter.details["kind"], letter.details["key"]
        owner = await self._database.fetchval(
            "SELECT owner FROM zhihui.partition WHERE partition = $1", partition_of(kind, key)
        )
        if not owner:
            return NotReady("no node owns the partition; is the service running?").body()
        answered: asyncio.Future[ErrorBody | None] = asyncio.get_running_loop().create_future()
        subscription = await self._bus.subscribe(
            node_subject(self._name), partial(_on_frame, answered)
        )
        try:
            # Frames leave on another connection than the subscription.
            await self._bus.round_trip_s(ANSWER_S)
            deadline_ms = self._clock.now_ms() + int(ANSWER_S * 1000)
            envelope = Envelope(
                kind,
                key,
                letter.details["type"],
                letter.app,
                deadline_ms,
                self._name,
                1,
                msgspec.Raw(letter.body),
            )
            frame = encode_frame(Frame(FRAME_VERSION, self._name, [envelope], []))
            self._bus.publish(node_subject(owner), frame)
            return await asyncio.wait_for(answered, ANSWER_S + 1.0)
        except TimeoutError:
            return NotReady(f"node {owner} did not answer; it may have been done").body()
        finally:
            await self._bus.unsubscribe(subscription)

    async def _replaced(self, letter: Letter) -> bool:
        """Delete the letter once the node has recorded a newer one of the same message."""
        for _ in range(_LOOKS):
            await self._clock.sleep(_LOOK_EVERY_S)
            if await self._database.execute(_REPLACED, letter.letter_id) == "DELETE 1":
                return True
        return False


def _on_frame(
    answered: "asyncio.Future[ErrorBody | None]",
    subject: str,
    reply: str,
    data: bytes,
    headers: bytes,
) -> None:
    for one in decode_frame(data).replies:
        if not answered.done():
            answered.set_result(
                None if one.ok else msgspec.msgpack.decode(one.body, type=ErrorBody)
            )


def _seq(letter_id: str) -> int | None:
    """Return the number in the stream of a letter of the intake, or None."""
    digits = letter_id.removeprefix(_STREAM_ID)
    is_ours = letter_id.startswith(_STREAM_ID) and digits.isdecimal() and len(digits) < 19
    return int(digits) if is_ours else None


def _of_intake(message: StreamMessage) -> Letter:
    headers = message.headers
    tokens = message.subject.split(".")
    deliveries = headers.get(DELIVERIES_HEADER, "")
    return Letter(
        letter_id=f"{_STREAM_ID}{message.seq}",
        source="intake",
        at=message.at,
        app=tokens[3] if len(tokens) > 4 else "",
        operation=".".join(tokens[4:]),
        code=headers.get(CODE_HEADER, ""),
        reason=headers.get(REASON_HEADER, ""),
        attempts=int(deliveries) if deliveries.isdecimal() else 0,
        details={
            "subject": headers.get(SUBJECT_HEADER, message.subject),
            "message id": headers.get(MESSAGE_ID_HEADER, ""),
            "published at": headers.get(PUBLISHED_AT_HEADER, ""),
        },
        body=message.body,
    )


def _of_actor(
    letter_id: str, at: datetime, node: str, kind: str, key: str, type_: str, app: str,
    reason: str, attempts: int, body: bytes,
) -> Letter:  # fmt: skip
    return Letter(
        letter_id=letter_id,
        source="actor",
        at=at,
        app=app,
        operation=type_,
        code=Internal.code,
        reason=reason,
        attempts=attempts,
        details={"node": node, "kind": kind, "key": key, "type": type_},
        body=body,
    )
