"""Messages of the parking service.

Times are RFC 3339 with an offset, as the lot's own system measured them; they may come late.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId

from .tariff import Tariff

__all__ = (
    "ArrearsSettled",
    "BindVehicle",
    "EnterLot",
    "Entered",
    "ExitLot",
    "Exited",
    "GetVehicle",
    "Instant",
    "LostExit",
    "LotOpened",
    "OpenLot",
    "Plate",
    "SettleArrears",
    "Stay",
    "VehicleBound",
    "VehicleView",
)

# Number plates of the mainland, after GA 36-2018: the character of the province, the letter of the
# issuing office, then five characters without I and O, of which the last may be the character of
# a special plate; or six on a plate for new-energy vehicles, with the letter of the drive first
# (small vehicle) or last (large one). Plates of embassies and of the armed forces are not taken.
_PLATE_PATTERN = (
    "^[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z]"
    "(?:[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳领]"
    "|[A-HJK][A-HJ-NP-Z0-9][0-9]{4}"
    "|[0-9]{5}[A-HJK])(?!\\n)$"
)

Plate = Annotated[
    str, Meta(pattern=_PLATE_PATTERN, description="Number plate after GA 36-2018, no separator.")
]

Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 time with an offset.")]


class OpenLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a lot, or give an open one a new tariff or payee.

    Cars that are inside already keep the tariff and the payee of their entry.
    """

    request_id: RequestId
    lot_id: Identifier
    payee: AccountId
    tariff: Tariff


class LotOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The lot as it stands; ``payee`` is its operator's account."""

    lot_id: str
    payee: str
    tariff: Tariff
    status: Literal["opened", "updated", "unchanged"]


class BindVehicle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name the account that pays for a plate from now on, in place of any other (无感支付)."""

    request_id: RequestId
    plate: Plate
    account_id: AccountId


class VehicleBound(msgspec.Struct, frozen=True, kw_only=True):
    """The binding that stands, and what the plate owes."""

    plate: str
    account_id: str
    arrears_minor: int
    status: Literal["bound"] = "bound"


class EnterLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report that a car drove in."""

    request_id: RequestId
    plate: Plate
    lot_id: Identifier
    entered_at: Instant


class LostExit(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier stay that nobody saw end, and what was charged for it."""

    lot_id: str
    entered_at: datetime
    fee_minor: int


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """The car is inside. ``arrears_minor`` is what the plate owes from before."""

    plate: str
    lot_id: str
    entered_at: datetime
    arrears_minor: int
    lost_exit: LostExit | None = None
    status: Literal["entered"] = "entered"


class ExitLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report that a car drove out, and collect what it owes."""

    request_id: RequestId
    plate: Plate
    lot_id: Identifier
    left_at: Instant


class Exited(msgspec.Struct, frozen=True, kw_only=True):
    """A stay that is over, in minor units.

    ``fee_minor`` is for this stay, ``paid_minor`` what was moved now, of which
    ``collected_minor`` went against older arrears; ``arrears_minor`` is still owed. ``status``
    tells what became of this stay's fee.
    """

    plate: str
    lot_id: str
    entered_at: datetime
    left_at: datetime
    fee_minor: int
    paid_minor: int
    collected_minor: int
    arrears_minor: int
    status: Literal["paid", "free", "unpaid"]


class SettleArrears(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay everything a plate owes at once, from its bound account."""

    request_id: RequestId
    plate: Plate


class ArrearsSettled(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is owed any more; ``paid_minor`` was moved now."""

    plate: str
    paid_minor: int
    status: Literal["settled"] = "settled"


class GetVehicle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what is known of a plate."""

    plate: Plate


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """A stay that is still open."""

    lot_id: str
    entered_at: datetime


class VehicleView(msgspec.Struct, frozen=True, kw_only=True):
    """A plate as last committed. ``last`` is the most recent stay that is over."""

    plate: str
    status: Literal["inside", "outside"]
    account_id: str | None
    arrears_minor: int
    stay: Stay | None
    last: Exited | None
