"""Messages about doubts: a charge is disputed, and the operator decides or lets time pass."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import Identifier, RequestId, ShortText

from .messages import Instant, Plate

__all__ = ("DecideDispute", "DisputeCharge", "DisputeDecided", "DisputeOpened", "Reason")

Reason = Literal["not_there", "wrong_plate", "wrong_time", "paid_elsewhere", "pass", "other"]


class DisputeCharge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Doubt the charge for one stay, paid or owed, which ``entered_at`` tells from others.

    ``evidence`` refers to pictures or papers that are kept elsewhere.
    """

    request_id: RequestId
    plate: Plate
    dispute_id: Identifier
    lot_id: Identifier
    entered_at: Instant
    opened_at: Instant
    reason: Reason
    evidence: ShortText = ""


class DisputeOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The charge is in dispute. If nobody decides by ``due_at``, the driver is right."""

    plate: str
    dispute_id: str
    lot_id: str
    entered_at: datetime
    kind: Literal["paid", "owed"]
    amount_minor: int
    reason: str
    evidence: str
    due_at: datetime
    status: Literal["disputed"] = "disputed"


class DecideDispute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decide a dispute as its operator: the charge stands, or the stay costs ``fee_minor``.

    What is owed above that is waived, what was paid above that is refunded.
    """

    request_id: RequestId
    plate: Plate
    dispute_id: Identifier
    decision: Literal["uphold", "waive", "refund"]
    fee_minor: Annotated[int, Meta(ge=0)] = 0
    evidence: ShortText = ""


class DisputeDecided(msgspec.Struct, frozen=True, kw_only=True):
    """The dispute is over. ``by`` the timer, nobody had decided."""

    plate: str
    dispute_id: str
    lot_id: str
    entered_at: datetime
    refunded_minor: int
    waived_minor: int
    arrears_minor: int
    evidence: str
    by: Literal["operator", "timer"]
    status: Literal["upheld", "waived", "refunded"]
