"""Messages of gates and owners: lots, bindings, entries, exits, debts.

Times are RFC 3339 with an offset, as the lot's own system measured them; they may come late.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId

from .tariff import Tariff
from .terms import SHARES_MAX, LotRules, LotShare, Mandate, PassPlan

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
    "PassHeld",
    "Plate",
    "SettleArrears",
    "Stay",
    "UnbindVehicle",
    "VehicleBound",
    "VehicleUnbound",
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
    """Open a lot, or give an open one a new tariff, payee, shares, rules or passes on sale.

    Cars that are inside already keep what was in force at their entry.
    """

    request_id: RequestId
    lot_id: Identifier
    payee: AccountId
    tariff: Tariff
    shares: Annotated[tuple[LotShare, ...], Meta(max_length=SHARES_MAX)] = ()
    rules: LotRules | None = None
    plans: Annotated[tuple[PassPlan, ...], Meta(max_length=8)] = ()


class LotOpened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lot as it stands; ``payee`` is its operator's account."""

    lot_id: str
    payee: str
    tariff: Tariff
    status: Literal["opened", "updated", "unchanged"]
    shares: tuple[LotShare, ...] = ()
    rules: LotRules | None = None
    plans: tuple[PassPlan, ...] = ()


class BindVehicle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name the account that pays for a plate from now on, in place of any other (无感支付).

    ``mandate`` is what may be deducted without asking; anything, if it is left out.
    """

    request_id: RequestId
    plate: Plate
    account_id: AccountId
    mandate: Mandate | None = None


class VehicleBound(msgspec.Struct, frozen=True, kw_only=True):
    """The binding that stands, and what the plate owes."""

    plate: str
    account_id: str
    arrears_minor: int
    status: Literal["bound"] = "bound"


class UnbindVehicle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Revoke the binding and its mandate: nothing is deducted any more (解约)."""

    request_id: RequestId
    plate: Plate


class VehicleUnbound(msgspec.Struct, frozen=True, kw_only=True):
    """No account is bound; ``account_id`` was. What the plate owes, it still owes."""

    plate: str
    account_id: str
    arrears_minor: int
    status: Literal["unbound"] = "unbound"


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


class ExitLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report that a car drove out, and collect what it owes."""

    request_id: RequestId
    plate: Plate
    lot_id: Identifier
    left_at: Instant


class Exited(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stay that is over, in minor units.

    ``fee_minor`` is for this stay, ``paid_minor`` what was moved now, of which
    ``collected_minor`` went against older arrears; ``arrears_minor`` is still owed. ``status``
    tells what became of this stay's fee. Of the fee, ``prepaid_minor`` was paid inside,
    ``merchant_minor`` by merchants, and the operator forgoes ``discount_minor``. ``pass_id`` is the
    pass that covered the stay or a part of it. With ``missing_entry`` the entry was never
    reported; while it is still expected, the status is ``waiting``.
    """

    plate: str
    lot_id: str
    entered_at: datetime
    left_at: datetime
    fee_minor: int
    paid_minor: int
    collected_minor: int
    arrears_minor: int
    status: Literal["paid", "free", "unpaid", "waiting"]
    prepaid_minor: int = 0
    merchant_minor: int = 0
    discount_minor: int = 0
    pass_id: str = ""
    missing_entry: bool = False


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """The car is inside. ``arrears_minor`` is what the plate owes from before.

    ``left`` is there when the exit had been reported before the entry: then the stay is over.
    """

    plate: str
    lot_id: str
    entered_at: datetime
    arrears_minor: int
    lost_exit: LostExit | None = None
    status: Literal["entered"] = "entered"
    left: Exited | msgspec.UnsetType = msgspec.UNSET
    pass_id: str | msgspec.UnsetType = msgspec.UNSET


class SettleArrears(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay what a plate owes at once: to all lots, or to one of them.

    From its bound account, or from ``account_id`` of whoever pays for it (扫码补缴). What is in
    dispute is left.
    """

    request_id: RequestId
    plate: Plate
    lot_id: Identifier | None = None
    account_id: AccountId | None = None


class ArrearsSettled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``paid_minor`` was moved now; ``arrears_minor`` is still owed: in dispute, or elsewhere."""

    plate: str
    paid_minor: int
    arrears_minor: int = 0
    # Not a default, so that it is always written.
    status: Literal["settled"]


class GetVehicle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what is known of a plate."""

    plate: Plate


class Stay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stay that is still open. ``pass_state`` is that of its pass, if it has one."""

    lot_id: str
    entered_at: datetime
    pass_id: str = ""
    pass_state: Literal["", "placed", "asked", "queued"] = ""
    prepaid_minor: int = 0
    stamped_minutes: int = 0


class PassHeld(msgspec.Struct, frozen=True, kw_only=True):
    """A pass on which the plate stands."""

    pass_id: str
    lot_id: str
    valid_from: datetime
    valid_until: datetime


class VehicleView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A plate as last committed. ``last`` is the most recent stay that is over.

    ``disputes`` are the ids of those that are not decided, ``waiting_exit`` an exit whose entry is
    still expected.
    """

    plate: str
    status: Literal["inside", "outside"]
    account_id: str | None
    arrears_minor: int
    stay: Stay | None
    last: Exited | None
    mandate: Mandate | None = None
    passes: tuple[PassHeld, ...] = ()
    disputes: tuple[str, ...] = ()
    waiting_exit: datetime | None = None
