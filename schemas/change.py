"""What an actor decided: one durable change, all or nothing.

A change is sent to the journal, which commits exactly one of its alternatives together with
the idempotency record, or none.
"""

from typing import Any

import msgspec

from schemas.errors import ErrorBody

__all__ = ("Alternative", "Change", "Event", "Fact")


class Fact(msgspec.Struct, array_like=True, frozen=True):
    """A row for one of the tables that the journal knows; ``row`` follows its columns."""

    table: str
    row: tuple[Any, ...]


class Event(msgspec.Struct, array_like=True, frozen=True):
    """Something to tell the outside.

    ``type`` is ``<entity>.<event>``, ``subject`` the entity's id, ``data`` finished JSON.
    """

    type: str
    subject: str
    data: str


class Alternative(msgspec.Struct, array_like=True, frozen=True):
    """One way the change may turn out.

    ``moves`` is for the journal's book, in the book's own schema; ``answer`` is the result as
    finished JSON.
    """

    moves: msgspec.Raw
    facts: tuple[Fact, ...]
    events: tuple[Event, ...]
    answer: str


class Change(msgspec.Struct, array_like=True, frozen=True):
    """A durable change under the idempotency key ``(app, request_id)``.

    ``digest`` is 16 bytes over operation and body. The first alternative that the book accepts is
    committed. When it accepts none, ``rejection`` is remembered if given, else what the book
    said of the first. ``partition`` and ``epoch`` state the ownership on which the sender based its
    decision; −1 when it based it on nothing of its own.
    """

    app: str
    request_id: str
    operation: str
    digest: bytes
    alternatives: tuple[Alternative, ...]
    rejection: ErrorBody | None = None
    partition: int = -1
    epoch: int = 0
