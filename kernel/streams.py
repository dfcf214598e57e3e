"""Durable streams as a port: messages that are kept, each under a number, and read by consumers.

A stream keeps what is published to its subjects, in order. A consumer is a shared place in a
stream: each message goes to one of those who fetch, and comes again until it is acknowledged. So
everything here is at least once, and a message's id is only a filter for what is published twice
within the stream's window.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

__all__ = (
    "BATCH_MAX",
    "Consumer",
    "ConsumerSettings",
    "OutOfPlace",
    "Outgoing",
    "Published",
    "Refused",
    "StreamMessage",
    "StreamSettings",
    "StreamState",
    "Streams",
)

# JetStream takes at most so many messages in an atomic batch.
BATCH_MAX = 1_000


class Refused(Exception):
    """The server said no, and nothing was done; asking the same again will not help."""


class OutOfPlace(Refused):
    """Nothing was published: the stream does not end at the number expected."""


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream is made.

    ``work_queue`` drops a message once it is acknowledged; else messages stay until a limit is
    reached. ``when_full`` refuses new messages or drops the oldest ones. Limits of 0 are none;
    that of a message covers its headers too.
    ``atomic`` allows :meth:`Streams.publish_batch`.
    """

    name: str
    subjects: tuple[str, ...]
    description: str = ""
    work_queue: bool = False
    when_full: Literal["refuse", "drop_oldest"] = "drop_oldest"
    messages_max: int = 0
    bytes_max: int = 0
    message_bytes_max: int = 0
    duplicate_window_s: float = 120.0
    atomic: bool = False


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream holds. ``last_seq`` is the last number it gave, 0 if it never took anything."""

    messages: int
    bytes: int
    first_seq: int
    last_seq: int


class ConsumerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a consumer is made.

    What is not acknowledged within ``ack_wait_s`` is delivered again. At most
    ``unacknowledged_max`` messages are out at a time, those put back for later among them.
    """

    name: str
    ack_wait_s: float
    unacknowledged_max: int


class Outgoing(msgspec.Struct, frozen=True):
    """A message to publish; one whose id the stream has seen in its window is dropped."""

    subject: str
    body: bytes
    message_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Published(msgspec.Struct, frozen=True):
    """Where a message stands; ``duplicate`` says that it stood there before."""

    stream: str
    seq: int
    duplicate: bool = False


class StreamMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it stands in a stream.

    ``deliveries`` counts from 1 for a message that was fetched and is 0 for one that was read;
    ``pending`` is how many more waited for the consumer at that moment. ``token`` is the adapter's.
    """

    stream: str
    seq: int
    subject: str
    body: bytes
    headers: dict[str, str]
    at: datetime
    deliveries: int = 0
    pending: int = 0
    token: str = ""


class Consumer(Protocol):
    """One who fetches at a shared place in a stream.

    The three answers to a message are sent and not waited for. One that is lost means that the
    message comes again.
    """

    async def fetch(self, limit: int, wait_s: float) -> list[StreamMessage]:
        """Return what is there, at most ``limit``; wait up to ``wait_s`` for the first.

        Raise :class:`~schemas.errors.NotReady` when the server or the consumer is gone.
        """

    def ack(self, message: StreamMessage) -> None:
        """Say that the message is done."""

    def put_back(self, message: StreamMessage, delay_s: float) -> None:
        """Have the message delivered again, not before ``delay_s``."""

    def terminate(self, message: StreamMessage, reason: str) -> None:
        """Say that the message must not come again, though it was not done."""

    async def close(self) -> None:
        """Fetch no more; messages that were sent already and not fetched are put back."""


class Streams(Protocol):
    """Every method raises :class:`~schemas.errors.NotReady` when the server is out of reach."""

    async def ensure(self, settings: StreamSettings) -> StreamState:
        """Create the stream unless it is there, and return its state.

        One that is there keeps its own settings: they are then the operator's. Raise
        :class:`Refused` when the server does not want it.
        """

    async def state(self, stream: str) -> StreamState | None:
        """Return what the stream holds, or None when there is no such stream."""

    async def publish(self, message: Outgoing, *, after_seq: int | None = None) -> Published:
        """Publish and return where it stands; raise :class:`Refused` when it does not.

        With ``after_seq`` the stream must end at that number, else :class:`OutOfPlace` is raised,
        for a duplicate as well.
        """

    async def publish_batch(
        self, messages: Sequence[Outgoing], *, after_seq: int | None = None
    ) -> Published:
        """Publish all or none, in order; return where the last one stands.

        At most :data:`BATCH_MAX`. Raise :class:`Refused` when none stands, as when one of the ids
        was seen before, and :class:`OutOfPlace` as with :meth:`publish`.
        """

    async def consumer(self, stream: str, settings: ConsumerSettings) -> Consumer:
        """Join the consumer of that name, which is created unless it is there.

        Raise :class:`Refused` when the server does not want it.
        """

    async def read(self, stream: str, seq: int) -> StreamMessage | None:
        """Return the message under a number, or None."""

    async def read_next(self, stream: str, seq: int, *, subject: str = ">") -> StreamMessage | None:
        """Return the first message from ``seq`` on whose subject matches, or None."""

    async def delete(self, stream: str, seq: int) -> bool:
        """Delete one message; tell whether it was there."""

    def statistics(self) -> msgspec.Struct:
        """Return the counts so far, in the adapter's own terms."""
