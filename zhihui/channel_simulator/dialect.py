"""The channels' sides of their protocols: what a simulated channel reads, and what it answers."""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from zhihui.channel_simulator.books import Order

__all__ = ("Call", "Dialect", "Incoming", "Notice", "Operation", "Refused", "Reply", "Verdict")

Operation = Literal["pay", "query", "close", "refund", "query_refund"]

# What came of a call: 'ok' (the order says the rest), 'not_found', 'conflict' (the number stands
# for something else), 'paid' (so it cannot be closed), 'closed', 'expired', 'refused' (a refund
# that is more than was paid, too late, or one too many).
Verdict = Literal["ok", "not_found", "conflict", "paid", "closed", "expired", "refused"]


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came; ``target`` is path and query, names of headers in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = {}


class Refused(Exception):
    """The request is not signed by the merchant, or not to be read; the reply says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was understood; ``at_text`` is a time that is part of the order's name.

    ``payer`` is empty when the payer has to scan. ``settles_later`` tells that the channel accepts
    first and says later what became of it. ``closing`` is what a closing does: refuse a paid order
    ('unpaid'), the same and bar an order that never came ('for_good'), or undo it ('reverse').
    """

    operation: Operation
    reference: str
    form: str = ""
    amount_minor: int = 0
    payer: str = ""
    expires_ms: int | None = None
    notify_url: str = ""
    pay_reference: str = ""
    channel_reference: str = ""
    at_text: str = ""
    settles_later: bool = False
    closing: Literal["unpaid", "for_good", "reverse"] = "unpaid"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that is ready to be sent."""

    headers: dict[str, str]
    body: bytes


class Dialect(Protocol):
    """One channel's protocol; it verifies what comes in, and signs what goes out."""

    name: str

    def read(self, request: Incoming, now_ms: int) -> Call:
        """Return what is asked; raise :class:`Refused`."""

    def answer(self, call: Call, verdict: Verdict, order: Order | None, now_ms: int) -> Reply:
        """Return the signed answer."""

    def notice(self, order: Order, pay: Order | None, number: int, now_ms: int) -> Notice | None:
        """Return the signed callback of an order's state; None when it tells nothing of it.

        ``pay`` is the payment of a refund; ``number`` counts the callbacks of the channel.
        """

    def is_taken(self, status: int, body: bytes) -> bool:
        """Tell whether the merchant has taken a callback."""
