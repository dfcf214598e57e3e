"""Requests of the load: what is sent, what it must move, and what came of it."""

from collections.abc import Callable
from typing import Any, Protocol

import anyio
import msgspec

__all__ = ("Lane", "Outcome", "Request")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One message of one identity.

    ``moves`` is what it must change in each account, in fen. ``pays_minor`` is its one payment, 0
    for none. ``writes`` tells whether the identity's document is written with it. ``wrong`` returns
    what is wrong with the result, or ''.
    """

    request_id: str
    pack: str
    verb: str
    key: str
    body: bytes
    moves: dict[str, int] = {}
    pays_minor: int = 0
    writes: bool = True
    wrong: Callable[[dict[str, Any]], str] = lambda _result: ""


class Lane(Protocol):
    """One identity, such as a vehicle, which sends one message after another."""

    pack: str
    collection: str
    key: str

    def next(self, request_id: str) -> Request:
        """Return its next message; the one before succeeded."""


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a request.

    Times are of the monotonic clock, in seconds. ``due_s`` is when it was to be sent, whatever held
    it up; ``first_s`` is its first answer of any kind, ``done_s`` the one that settled it.
    ``answer`` is empty as long as nothing is settled, and ``error`` says with what it was refused.
    """

    request: Request
    due_s: float
    sent_s: float = 0.0
    first_s: float = 0.0
    done_s: float = 0.0
    retries: int = 0
    unanswered: int = 0
    answer: bytes = b""
    served_by: str = ""
    error: str = ""
    ended: anyio.Event = msgspec.field(default_factory=anyio.Event)

    @property
    def latency_s(self) -> float:
        """The time from when it was to be sent until it was settled."""
        return self.done_s - self.due_s
