"""Actors: what a kind of actor is, and what it receives.

An :class:`Actor` has one instance for each key and takes its messages one by one, one turn at a
time. A :class:`BatchActor` has one instance for each node and takes all that waits at once.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from kernel.clock import Clock
from kernel.randomness import IdFactory
from schemas.envelope import Envelope, Reply
from schemas.errors import ErrorBody, ZhihuiError

__all__ = ("Actor", "ActorContext", "BatchActor", "BoundHandler", "Delivery", "Sender", "receive")

_encode = msgspec.msgpack.Encoder().encode
_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))


class Sender(Protocol):
    """Where answers and forwarded messages go; the node is one."""

    def send_reply(self, node: str, reply: Reply) -> None:
        """Send an answer to the node that asked."""

    def send(self, envelope: Envelope) -> None:
        """Send a message to the owner of its key."""


class Delivery:
    """One message on its way through an actor."""

    __slots__ = ("_sender", "answered", "attempts", "envelope", "prepared")

    def __init__(self, envelope: Envelope, sender: Sender) -> None:
        self.envelope = envelope
        self.answered = False
        self.attempts = envelope.attempt
        # What an actor that foresaw it has made of it.
        self.prepared: Any = None
        self._sender = sender

    def reply(self, result: msgspec.Struct | bytes | None = None, *, note: int = 0) -> None:
        """Answer with a struct, or with finished JSON as bytes. The first answer counts."""
        self._answer(True, _NOTHING if result is None else msgspec.Raw(_encode(result)), note)

    def fail(self, error: ZhihuiError | ErrorBody, *, note: int = 0) -> None:
        """Answer with an error."""
        body = error.body() if isinstance(error, ZhihuiError) else error
        self._answer(False, msgspec.Raw(_encode(body)), note)

    def _answer(self, ok: bool, body: msgspec.Raw, note: int) -> None:
        envelope = self.envelope
        if self.answered:
            return
        self.answered = True
        if envelope.reply_to:
            self._sender.send_reply(envelope.reply_to, Reply(envelope.reply_id, ok, body, note))

    def forward(self, kind: str, key: str, type_: str, message: msgspec.Struct) -> None:
        """Hand the question on: whoever receives ``message`` answers the one who asked here."""
        envelope = self.envelope
        self.answered = True
        self._sender.send(
            Envelope(
                kind,
                key,
                type_,
                envelope.app,
                envelope.deadline_ms,
                envelope.reply_to,
                envelope.reply_id,
                msgspec.Raw(_encode(message)),
            )
        )


class ActorContext(Protocol):
    """What the kernel hands to an actor. The time and all randomness come from here."""

    clock: Clock
    ids: IdFactory
    log: logging.Logger
    key: str

    @property
    def partition(self) -> int:
        """The partition of this identity."""

    @property
    def epoch(self) -> int:
        """The epoch under which this node owned the partition when the actor was made."""

    def is_current(self) -> bool:
        """Tell whether this node still owns the partition under :attr:`epoch`."""

    async def ask(
        self,
        kind: str,
        key: str,
        type_: str,
        message: msgspec.Struct,
        *,
        app: str,
        deadline_ms: int,
    ) -> Reply:
        """Ask another actor; return its reply, or raise the error that it answered."""

    def tell(
        self,
        kind: str,
        key: str,
        type_: str,
        message: msgspec.Struct,
        *,
        app: str,
        deadline_ms: int,
    ) -> None:
        """Send without waiting for an answer."""


_Handler = Callable[[Any, Any, Delivery], Awaitable[msgspec.Struct | bytes | None]]
_H = TypeVar("_H", bound=_Handler)

# How to decode a message, and what to call with it and its delivery.
BoundHandler = tuple[
    Callable[[msgspec.Raw], Any],
    Callable[[Any, Delivery], Awaitable[msgspec.Struct | bytes | None]],
]


def receive(type_: str, message: type[msgspec.Struct]) -> Callable[[_H], _H]:
    """Mark a method as the handler of messages named ``type_`` with the shape ``message``."""

    def mark(method: _H) -> _H:
        method.__zhihui_receives__ = (type_, message)  # type: ignore[attr-defined]
        return method

    return mark


class Actor:
    """One identity. Derive, and mark methods with :func:`receive`."""

    kind: ClassVar[str]

    def __init__(self, context: ActorContext) -> None:
        self.context = context

    async def start(self) -> None:
        """Load what the identity needs; called before the first message and after a crash."""

    def handler(self, type_: str) -> BoundHandler | None:
        """Return how messages named ``type_`` are decoded and handled, or None."""
        known = _handlers(type(self)).get(type_)
        if known is None:
            return None
        name, decode = known
        return decode, getattr(self, name)


_Handlers = dict[str, tuple[str, Callable[[msgspec.Raw], Any]]]
_handlers_by_class: dict[type[Actor], _Handlers] = {}


def _handlers(actor: type[Actor]) -> _Handlers:
    """Return type → (method, decode) of a class, found once."""
    known = _handlers_by_class.get(actor)
    if known is None:
        known = {}
        for name in dir(actor):
            marked = getattr(getattr(actor, name), "__zhihui_receives__", None)
            if marked is not None:
                known[marked[0]] = (name, msgspec.msgpack.Decoder(marked[1]).decode)
        _handlers_by_class[actor] = known
    return known


class BatchActor:
    """All identities of a kind on this node, taken together.

    ``accepts`` maps the types it understands to their shapes.
    """

    kind: ClassVar[str]
    accepts: ClassVar[dict[str, type[msgspec.Struct]]]

    async def start(self) -> None:
        """Load what is needed; called before the first batch and after a crash."""

    async def stop(self) -> None:
        """Let go."""

    def foresee(self, delivery: Delivery) -> None:
        """Hear of a delivery that came while a batch is in work; it will be in a later one.

        What can be prepared for it may be; nothing may be answered yet, and nothing raised.
        """

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Answer or forward each delivery. An exception makes the kernel retry them singly."""
        raise NotImplementedError
