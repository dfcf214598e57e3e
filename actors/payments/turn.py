"""What a decision about a payment is made in."""

from datetime import datetime

import msgspec

from actors.entity import Case
from kernel.randomness import IdFactory

__all__ = ("Turn", "turn_of")


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Whose payment is decided about, when, and by which request; ``ids`` makes identifiers."""

    app: str
    request_id: str
    now: datetime
    ids: IdFactory


def turn_of(case: Case) -> Turn:
    """Return the turn of an actor of payments; whoever asks, the payment's owner is told."""
    return Turn(app=case.owner, request_id=case.request_id, now=case.now, ids=case.ids)
