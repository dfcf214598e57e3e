"""A pack as its host looks at it: which messages it takes, and what it may ask for.

An identity takes these messages. Names of operations and timers have no dots, so these
types never meet::

    <pack>.<operation>        a request from outside
    <pack>.send.<operation>   a message of another identity
    <pack>.timer.<timer>      a timer that was scheduled
    <pack>.hold_expired       the time of a hold is over
    <pack>.~rewrite           the host wants the document in the form of the version that serves

Those in the middle arrive as a :class:`~schemas.change.TimerFired` with a :class:`Carried` in it,
so the kernel's timers bring them whatever happens to the node that decided on them.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

from actors.digest import request_digest
from actors.scenario.documents import Documents, Reader
from kernel.pack import PackOperation, PackTimer
from kernel.plugins.canonical import CanonicalForm
from kernel.plugins.errors import PackFault
from kernel.plugins.generation import Generation
from kernel.plugins.slot import Slot
from kernel.requests import decode_json
from kernel.store import Store
from schemas.change import TimerFired
from schemas.effects import HoldExpired
from schemas.errors import InvalidField

__all__ = ("Carried", "EffectRefused", "Rewrite", "ServedPack", "digest_name", "served_by")

# 120 bits: names are chosen by packs and keys by their callers, so they must not be made to meet.
# With a pack's name of 32 characters it makes an identifier of 63.
_DIGEST_BYTES = 15

_encode = msgspec.msgpack.Encoder().encode
_bytes_decoder = msgspec.msgpack.Decoder(bytes)


def digest_name(*parts: str | int) -> str:
    """Return 30 hexadecimal digits that stand for the parts, whatever characters they have."""
    return blake2b(_encode(parts), digest_size=_DIGEST_BYTES).hexdigest()


class EffectRefused(PackFault):
    """A pack asks for what it cannot ask for: a bug of the pack."""


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """What a message between identities, or to a later moment of one, brings along.

    ``origin`` is unlike that of any other effect. ``name`` is that of the hold or the timer, and
    ``body`` the pack's own struct.
    """

    origin: str
    collection: str
    name: str
    body: msgspec.Raw


class Rewrite(msgspec.Struct, array_like=True, frozen=True):
    """Write the document of a collection again if another version of the pack wrote it."""

    app: str
    collection: str


def served_by(generation: Generation, slot: Slot, store: Store) -> "ServedPack":
    """Return how a generation is served, which is made once and goes with the generation."""
    served: ServedPack | None = generation.shelf.get("served")
    if served is None:
        served = generation.shelf["served"] = ServedPack(generation, slot, store)
    return served


class ServedPack:
    """A generation's pack: its methods by type of message, and all that knows its classes."""

    def __init__(self, generation: Generation, slot: Slot, store: Store) -> None:
        self.pack = pack = generation.pack
        self.name = pack.name
        self.kind = f"pack.{pack.name}"
        self._grants = generation.grants
        self.documents = Documents(generation, slot, store)
        self.reader = Reader(self.documents, generation.grants.require)
        self._form = CanonicalForm()
        self.operations: dict[str, PackOperation] = {
            one.verb: one for one in pack.pack_operations()
        }
        self.requests: dict[str, tuple[PackOperation, Callable[[bytes], Any]]] = {
            f"{self.name}.{one.verb}": (one, msgspec.json.Decoder(one.request).decode)
            for one in self.operations.values()
            if not one.internal
        }
        self.states = {one.collection: one.state for one in pack.pack_timers()}
        self.states |= {one.collection: one.state for one in self.operations.values()}
        self._by_body: dict[tuple[str, type[msgspec.Struct]], PackTimer] = {}
        self.timers: dict[str, PackTimer] = {}
        for timer in pack.pack_timers():
            place = (timer.collection, timer.body)
            if place in self._by_body or timer.name in self.timers:
                raise EffectRefused(f"pack {self.name!r} has two timer methods {timer.name!r}")
            self._by_body[place] = self.timers[timer.name] = timer

    @property
    def expired_type(self) -> str:
        """The type of the message that the time of a hold is over."""
        return f"{self.name}.hold_expired"

    @property
    def rewrite_type(self) -> str:
        """The type of the message that asks for a document in the form of this generation."""
        return f"{self.name}.~rewrite"

    def is_unawaited(self, type_: str) -> bool:
        """Tell whether a message comes by itself, so that nobody waits for its answer."""
        return type_ == self.expired_type or type_.startswith(
            (f"{self.name}.send.", f"{self.name}.timer.")
        )

    @property
    def purpose(self) -> str:
        """What holds and moves of money are for, other than payments."""
        return f"scenario:{self.name}"

    def require(self, capability: str) -> None:
        """Raise :class:`CapabilityRefused` unless the manifest asked for the capability."""
        self._grants.require(capability)

    def request(self, type_: str, body: msgspec.Raw) -> tuple[PackOperation, Any] | None:
        """Return the operation of a request from outside, and the request; None: there is none.

        Raise the rejection that says what is wrong with the request.
        """
        known = self.requests.get(type_)
        if known is None:
            return None
        return known[0], decode_json(known[1], _bytes_decoder.decode(body))

    def digest(self, type_: str, message: msgspec.Struct) -> bytes:
        """Return what tells a request from another one, whichever version of the pack reads it."""
        try:
            return request_digest(type_, self._form.encode(message))
        except OverflowError as error:
            # JSON knows no limit; an integer of ours has 64 bits.
            raise InvalidField("an integer of the body is out of range") from error

    def receiver(self, verb: str) -> PackOperation:
        """Return the operation that takes what is sent; raise :class:`EffectRefused`."""
        found = self.operations.get(verb)
        if found is None or not found.mutates:
            raise EffectRefused(f"pack {self.name!r} sends to {verb!r}, which it does not decide")
        return found

    def timer_for(self, collection: str, body: type[msgspec.Struct]) -> PackTimer:
        """Return the method for a timer with such a body; raise :class:`EffectRefused`."""
        found = self._by_body.get((collection, body))
        if found is None:
            raise EffectRefused(
                f"pack {self.name!r} schedules a {body.__name__} in {collection!r}, and has no "
                "timer method for it"
            )
        return found

    def expiry(self, collection: str) -> PackTimer | None:
        """Return the method that is called with expired holds of a collection, or None."""
        return self._by_body.get((collection, HoldExpired))

    def sent_to(self, type_: str) -> PackOperation | None:
        """Return the operation that a message of another identity is for, or None."""
        return self.operations.get(type_.removeprefix(f"{self.name}.send."))

    def timer_of(self, type_: str) -> PackTimer | None:
        """Return the method of a timer that has fired, or None."""
        return self.timers.get(type_.removeprefix(f"{self.name}.timer."))

    @staticmethod
    def opened(fired: TimerFired) -> Carried:
        """Return what a message brings along."""
        return msgspec.msgpack.decode(fired.body, type=Carried)
