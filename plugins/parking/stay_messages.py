"""Messages about a stay that is open: paying inside, stamps of merchants, and what timers find."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText

from .messages import Instant, Plate
from .terms import PPM

__all__ = (
    "ExitUnmatched",
    "MerchantRegistered",
    "PrepayStay",
    "RegisterMerchant",
    "StampExpired",
    "StampStay",
    "StayOverdue",
    "StayPrepaid",
    "StayStamped",
)


class PrepayStay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay a stay up to now before driving to the gate (场内缴费), by anybody's account.

    Without ``account_id`` it is the bound one.
    """

    request_id: RequestId
    plate: Plate
    lot_id: Identifier
    paid_at: Instant
    account_id: AccountId | None = None


class StayPrepaid(msgspec.Struct, frozen=True, kw_only=True):
    """The stay is paid up to now; who leaves by ``leave_by`` pays no more."""

    plate: str
    lot_id: str
    paid_minor: int
    prepaid_minor: int
    leave_by: datetime | None
    status: Literal["prepaid", "nothing_due"]


class RegisterMerchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name a shop that stamps stays in some lots (商户减免), or change what it may.

    Of the value of its minutes it pays ``pays_ppm``; the operator forgoes the rest.
    """

    request_id: RequestId
    merchant_id: Identifier
    account_id: AccountId
    lots: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=16)]
    minutes_max: Annotated[int, Meta(ge=1, le=1440)] = 120
    pays_ppm: Annotated[int, Meta(ge=0, le=PPM)] = PPM


class MerchantRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """The shop as it stands."""

    merchant_id: str
    account_id: str
    lots: tuple[str, ...]
    minutes_max: int
    pays_ppm: int
    status: Literal["registered", "updated", "unchanged"]


class StampStay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take over minutes of a customer's stay; ``receipt`` is the purchase it is for."""

    request_id: RequestId
    plate: Plate
    merchant_id: Identifier
    minutes: Annotated[int, Meta(ge=1, le=1440)]
    receipt: ShortText = ""


class StayStamped(msgspec.Struct, frozen=True, kw_only=True):
    """The minutes are taken over; ``held_minor`` is kept for them in the merchant's account."""

    plate: str
    lot_id: str
    merchant_id: str
    minutes: int
    held_minor: int
    stamped_minutes: int
    status: Literal["stamped"] = "stamped"


class StampExpired(msgspec.Struct, frozen=True, kw_only=True):
    """The car did not leave in time; the merchant has its money back, and the stamp is gone."""

    plate: str
    lot_id: str
    merchant_id: str
    minutes: int


class StayOverdue(msgspec.Struct, frozen=True, kw_only=True):
    """A stay that went on for too long was closed: its exit was never reported.

    Of its fee at most one day's cap is owed, and nobody collects it before the operator has looked
    at the pictures and decided ``dispute_id``; empty if nothing is owed.
    """

    plate: str
    lot_id: str
    entered_at: datetime
    fee_minor: int
    dispute_id: str


class ExitUnmatched(msgspec.Struct, frozen=True, kw_only=True):
    """The entry of this exit was not reported in time, and nothing is charged for such a stay."""

    plate: str
    lot_id: str
    left_at: datetime
