"""Messages about money that leaves the school's supervised account."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId
from schemas.money import MAX_AMOUNT_MINOR

from .fields import Instant, OfficerId, Reason, SchoolId

__all__ = (
    "ApproveRelease",
    "GetRelease",
    "Purpose",
    "RefuseRelease",
    "ReleaseId",
    "ReleaseLapses",
    "ReleaseView",
    "RequestRelease",
)

ReleaseId = Annotated[Identifier, Meta(description="Chosen by the school, never twice.")]
_ReleaseMinor = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR, description="Minor units (fen).")]

# What the money of fees may be spent on.
Purpose = Literal[
    "salaries",
    "teaching",
    "catering",
    "books",
    "insurance_premium",
    "maintenance",
    "fee_refund",
    "transfer_to_treasury",
]


class RequestRelease(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for money of the supervised account (监管账户): how much, for whom, what for.

    It is held from now on, so that what is approved is there. Nobody can change it after this; it
    lapses when nobody decides within a week.
    """

    request_id: RequestId
    release_id: ReleaseId
    school_id: SchoolId
    payee: AccountId
    amount_minor: _ReleaseMinor
    purpose: Purpose
    reason: Reason
    officer_id: OfficerId


class ApproveRelease(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Release the money; by another officer than the one who asked for it."""

    request_id: RequestId
    release_id: ReleaseId
    officer_id: OfficerId


class RefuseRelease(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Refuse the money, or take one's own request back; it is free again."""

    request_id: RequestId
    release_id: ReleaseId
    officer_id: OfficerId
    reason: Reason


class GetRelease(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a release."""

    release_id: ReleaseId


class ReleaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A release as it stands; every step of it answers with this."""

    release_id: str
    school_id: str
    payee: str
    amount_minor: int
    purpose: Purpose
    reason: str
    requested_by: str
    lapses_at: Instant
    decided_by: str
    decision: str
    status: Literal["requested", "released", "refused", "lapsed"]


class ReleaseLapses(msgspec.Struct, frozen=True, kw_only=True):
    """The timer of a release that nobody decides."""

    release_id: ReleaseId
