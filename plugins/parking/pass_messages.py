"""Messages about passes (月卡): buying, renewing, plates, and how plates and passes talk."""

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId

from .messages import Plate
from .terms import PLATES_MAX, PassPlan

__all__ = (
    "BuyPass",
    "ChangePlates",
    "GetPass",
    "GrantPass",
    "GrantTaken",
    "LeavePlace",
    "PassRefused",
    "PassView",
    "PlaceAnswered",
    "PlaceGiven",
    "RenewPass",
    "TakePlace",
)

_Plates = Annotated[tuple[Plate, ...], Meta(min_length=1, max_length=PLATES_MAX)]


class BuyPass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Buy a pass of one of a lot's plans, from the beginning of a day by the lot's clock."""

    request_id: RequestId
    pass_id: Identifier
    lot_id: Identifier
    plan_id: Identifier
    account_id: AccountId
    plates: _Plates
    from_day: date


class RenewPass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Renew a pass at today's price of its plan: from its end on, or from a later day."""

    request_id: RequestId
    pass_id: Identifier
    account_id: AccountId
    from_day: date | None = None


class ChangePlates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Put other plates on a pass (换车牌). A stay that is open keeps what it has."""

    request_id: RequestId
    pass_id: Identifier
    plates: _Plates


class GetPass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a pass."""

    pass_id: Identifier


class PassView(msgspec.Struct, frozen=True, kw_only=True):
    """A pass: valid from ``valid_from`` and before ``valid_until``.

    ``inside`` are the plates that have its places, ``queue`` those that wait for one; kept only
    where there are more plates than places.
    """

    pass_id: str
    lot_id: str
    account_id: str
    plan: PassPlan
    plates: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    paid_minor: int
    inside: tuple[str, ...]
    queue: tuple[str, ...]
    status: Literal["bought", "renewed", "changed", "held"]


class GrantPass(msgspec.Struct, frozen=True, kw_only=True):
    """Tell a plate what a pass is to it; one that ends where it begins is taken away."""

    request_id: RequestId
    plate: str
    pass_id: str
    lot_id: str
    shared: bool
    valid_from: datetime
    valid_until: datetime
    revision: int


class GrantTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The plate knows of the pass, or knew of something newer."""

    plate: str
    pass_id: str


class PassRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The plate is on too many passes; this one is not added. Its lots tell the owner."""

    plate: str
    pass_id: str


class TakePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a shared pass for a place: a plate has entered."""

    request_id: RequestId
    pass_id: str
    plate: str
    entered_at: datetime


class LeavePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Tell a shared pass that a plate has left."""

    request_id: RequestId
    pass_id: str
    plate: str
    entered_at: datetime
    left_at: datetime


class PlaceAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """The pass has noted it."""

    pass_id: str
    inside: int


class PlaceGiven(msgspec.Struct, frozen=True, kw_only=True):
    """Tell a stay whether it has a place, and from when."""

    request_id: RequestId
    plate: str
    pass_id: str
    entered_at: datetime
    state: Literal["placed", "queued"]
    since: datetime
