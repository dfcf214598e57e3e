"""A pack as its host looks at it: which messages it takes, and what it may ask for.

An identity takes four kinds of messages. Names of operations and timers have no dots, so these
types never meet::

    <pack>.<operation>        a request from outside
    <pack>.send.<operation>   a message of another identity
    <pack>.timer.<timer>      a timer that was scheduled
    <pack>.hold_expired       the time of a hold is over

The last three arrive as a :class:`~schemas.change.TimerFired` with a :class:`Carried` in it, so the
kernel's timers bring them whatever happens to the node that decided on them.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

from kernel.pack import Pack, PackOperation, PackTimer
from schemas.change import TimerFired
from schemas.effects import CAPABILITIES, HoldExpired

__all__ = ("Carried", "EffectRefused", "ServedPack", "digest_name")

# 120 bits: names are chosen by packs and keys by their callers, so they must not be made to meet.
# With a pack's name of 32 characters it makes an identifier of 63.
_DIGEST_BYTES = 15

_encode = msgspec.msgpack.Encoder().encode


def digest_name(*parts: str | int) -> str:
    """Return 30 hexadecimal digits that stand for the parts, whatever characters they have."""
    return blake2b(_encode(parts), digest_size=_DIGEST_BYTES).hexdigest()


class EffectRefused(TypeError):
    """A pack asks for what it must not or cannot ask for: a bug of the pack, or of its manifest."""


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """What a message between identities, or to a later moment of one, brings along.

    ``origin`` is unlike that of any other effect. ``name`` is that of the hold or the timer, and
    ``body`` the pack's own struct.
    """

    origin: str
    collection: str
    name: str
    body: msgspec.Raw


class ServedPack:
    """A pack with its capabilities, which are taken once, and its methods by type of message."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.name = pack.name
        self.kind = f"pack.{pack.name}"
        self.granted = frozenset(pack.granted)
        if unknown := self.granted - CAPABILITIES:
            raise EffectRefused(f"pack {self.name!r} is granted {sorted(unknown)}, unknown here")
        self.operations: dict[str, PackOperation] = {
            one.verb: one for one in pack.pack_operations()
        }
        self.requests: dict[str, tuple[PackOperation, Callable[[msgspec.Raw], Any]]] = {
            f"{self.name}.{one.verb}": (one, msgspec.msgpack.Decoder(one.request).decode)
            for one in self.operations.values()
            if not one.internal
        }
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
    def purpose(self) -> str:
        """What holds and moves of money are for, other than payments."""
        return f"scenario:{self.name}"

    def require(self, capability: str, effect: str) -> None:
        """Raise :class:`EffectRefused` unless the manifest asked for the capability."""
        if capability not in self.granted:
            raise EffectRefused(
                f"pack {self.name!r} asks for a {effect}; its manifest does not ask for the "
                f"capability {capability!r}"
            )

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
