"""What an actor decided: one durable change, all or nothing.

A change is sent to the journal, which commits exactly one of its alternatives together with
the idempotency record, or none.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from schemas.errors import ErrorBody

__all__ = (
    "Alternative",
    "Change",
    "Event",
    "Fact",
    "LinkedChanges",
    "Timer",
    "TimerFired",
    "due_ms",
    "unknown",
)


_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def due_ms(at: datetime) -> int:
    """Return ``at`` as the :attr:`Timer.due_at_ms` of a timer: the first millisecond not before it.

    Rounded up, because a timer that comes a part of a millisecond early finds nothing to do, and
    does not come again.
    """
    return -((_UNIX_EPOCH - at) // _MILLISECOND)


class Fact(msgspec.Struct, array_like=True, frozen=True):
    """A row for one of the tables that the journal knows; ``row`` follows its columns."""

    table: str
    row: tuple[Any, ...]


class Event(msgspec.Struct, array_like=True, frozen=True):
    """Something to tell the outside.

    ``type`` is ``<entity>.<event>``, ``subject`` the entity's id, ``data`` finished JSON. ``app``
    is the app that is told; empty for the one whose change it is.
    """

    type: str
    subject: str
    data: str
    app: str = ""


class Timer(msgspec.Struct, array_like=True, frozen=True):
    """A message to the actor ``(kind, key)`` when its time has come.

    It exists when its change stands, and ``timer_id`` is new each time. ``due_at_ms`` are Unix
    milliseconds. ``every_s`` above 0 makes it come again at that interval, counted from
    ``due_at_ms``; those missed during an outage come as one. ``body`` is the message in msgpack;
    the actor gets it inside of a :class:`TimerFired`, under the name ``type``.
    """

    timer_id: str
    due_at_ms: int
    kind: str
    key: str
    type: str
    app: str
    body: msgspec.Raw
    every_s: int = 0


class TimerFired(msgspec.Struct, array_like=True, frozen=True):
    """What an actor gets when a timer has come due.

    It may come more than once: ``request_id`` is what makes its effect happen once. ``due_at_ms``
    is the first time that it stands for; ``missed`` counts those of a recurring timer that have
    gone by since, which another node may count anew, so no digest should depend on it.
    """

    timer_id: str
    due_at_ms: int
    missed: int
    body: msgspec.Raw

    @property
    def request_id(self) -> str:
        """The idempotency key of this firing; no caller from outside can choose such an id."""
        return f"~timer.{self.timer_id}.{self.due_at_ms}"

    @property
    def due_at(self) -> datetime:
        """The first time that it stands for."""
        return _UNIX_EPOCH + self.due_at_ms * _MILLISECOND


class Alternative(msgspec.Struct, array_like=True, frozen=True):
    """One way the change may turn out.

    ``moves`` is for the journal's book, in the book's own schema; ``answer`` is the result as
    finished JSON. ``cancels`` are the ids of timers that end with it, then ``timers`` are set; so a
    timer named in both is moved.

    What only the book knows, such as the amount of a transfer "up to" a balance, stands in
    ``answer``, in the events' data and in the facts' rows as a string made by :func:`unknown`; the
    journal puts the integer there.
    """

    moves: msgspec.Raw
    facts: tuple[Fact, ...]
    events: tuple[Event, ...]
    answer: str
    timers: tuple[Timer, ...] = ()
    cancels: tuple[str, ...] = ()


class Change(msgspec.Struct, array_like=True, frozen=True):
    """A durable change under the idempotency key ``(app, request_id)``.

    ``digest`` is 16 bytes over operation and body. The first alternative that the book accepts is
    committed. When it accepts none, ``rejection`` is remembered if given, else what the book
    said of the first; ``refused`` are rows that are written then, and only then. ``partition`` and
    ``epoch`` state the ownership on which the sender based its decision; −1 when it based it on
    nothing of its own.
    """

    app: str
    request_id: str
    operation: str
    digest: bytes
    alternatives: tuple[Alternative, ...]
    rejection: ErrorBody | None = None
    partition: int = -1
    epoch: int = 0
    refused: tuple[Fact, ...] = ()


class LinkedChanges(msgspec.Struct, array_like=True, frozen=True):
    """Changes that stand or fall together, decided in order, each in the light of those before it.

    When one of them is rejected, it is remembered with its reason and the others with
    ``linked_failed``; nothing else of the chain stays. The answer is that of the last, as an array
    of all answers; a failure is that of the one rejected.
    """

    changes: tuple[Change, ...]


def unknown(name: str) -> str:
    """Return the stand-in for an integer that only the book knows.

    It begins with a control character, which no text from outside may contain.
    """
    return f"\x01{name}"
