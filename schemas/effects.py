"""What a scenario asks for as part of its decision: all of it happens with the plan, or none."""

from datetime import datetime

import msgspec

from schemas.pay import Pay, Share

__all__ = (
    "CAPABILITIES",
    "Cancel",
    "CaptureHold",
    "Effect",
    "HoldExpired",
    "Pay",
    "PlaceHold",
    "Schedule",
    "Send",
    "Share",
    "VoidHold",
)

# What a manifest may ask for. Each effect needs its own, and `split` whatever has shares; `read`
# says that the pack looks at documents of its other identities.
CAPABILITIES = frozenset({"pay", "split", "hold", "schedule", "send", "read"})


class PlaceHold(msgspec.Struct, frozen=True, kw_only=True):
    """Hold ``amount_minor`` (minor units) of an account.

    ``name`` is unique within the identity that asks, which resolves the hold by it later. With
    ``payee`` captures go there and nowhere else. After ``expires_in_s`` what is left is given back,
    together with what the collection's timer method for :class:`HoldExpired` decides, if it has
    one. A name is used once: a resolved hold keeps it.
    """

    name: str
    account_id: str
    amount_minor: int
    payee: str = ""
    expires_in_s: int | None = None
    reference: str = ""


class CaptureHold(msgspec.Struct, frozen=True, kw_only=True):
    """Move held money to the payee: all that is left, or ``amount_minor`` (minor units) of it.

    ``final`` gives back what is left after it; ``shares`` are passed on by the payee at once.
    """

    name: str
    amount_minor: int | None = None
    payee: str = ""
    final: bool = False
    shares: tuple[Share, ...] = ()


class HoldExpired(msgspec.Struct, frozen=True, kw_only=True):
    """What a timer method gets when the time of an open hold is over: the name of the hold."""

    name: str


class VoidHold(msgspec.Struct, frozen=True, kw_only=True):
    """Give back all that is left of a hold."""

    name: str


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Call the identity's timer handler with ``body`` at ``due_at``, which is aware.

    ``name`` is unique within the identity: a second one moves the first. ``every_s`` above 0 makes
    it come again. It may come twice, and its effect happens once.
    """

    name: str
    due_at: datetime
    body: msgspec.Struct
    every_s: int = 0


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """Forget what was scheduled under ``name``."""

    name: str


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Let another identity of the pack take ``body`` as if it had been asked ``verb``.

    It is on its way once the plan stands, at least once, and its effect happens once. Two of them
    may arrive in any order. The ``request_id`` of the body is replaced by one of the host's.
    """

    verb: str
    body: msgspec.Struct


Effect = Pay | PlaceHold | CaptureHold | VoidHold | Schedule | Cancel | Send
