"""Messages about subsidies."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import Identifier, RequestId

from .fields import TOP_UP_MINOR_MAX, Instant, OfficerId, Reason, StudentId

__all__ = (
    "GrantId",
    "GrantSubsidy",
    "RevokeSubsidy",
    "SubsidyEnded",
    "SubsidyExpires",
    "SubsidyGranted",
)

GrantId = Annotated[
    Identifier, Meta(description="Chosen by the school, never twice for one student.")
]
_GrantMinor = Annotated[int, Meta(ge=1, le=TOP_UP_MINOR_MAX, description="Minor units (fen).")]


class GrantSubsidy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a student a subsidy (补助): money of the fund for one purpose, until a moment.

    It stays in the fund's account, held, until it is spent. So it is no part of the wallet, and
    what is left at the end needs no way back.
    """

    request_id: RequestId
    student_id: StudentId
    grant_id: GrantId
    amount_minor: _GrantMinor
    expires_at: Instant
    purpose: Literal["canteen"] = "canteen"


class SubsidyGranted(msgspec.Struct, frozen=True, kw_only=True):
    """A subsidy that stands, and what is left of all subsidies of the student, minor units."""

    student_id: str
    grant_id: str
    amount_minor: int
    grants_minor: int
    expires_at: Instant
    status: Literal["granted"] = "granted"


class RevokeSubsidy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take back what is left of a subsidy."""

    request_id: RequestId
    student_id: StudentId
    grant_id: GrantId
    officer_id: OfficerId
    reason: Reason


class SubsidyEnded(msgspec.Struct, frozen=True, kw_only=True):
    """What of a subsidy went back to the fund, minor units, and why."""

    student_id: str
    grant_id: str
    returned_minor: int
    reason: str
    status: Literal["expired", "revoked", "left"]


class SubsidyExpires(msgspec.Struct, frozen=True, kw_only=True):
    """The timer of a subsidy; ``hold`` is the name of its hold, which is never used again."""

    hold: str
