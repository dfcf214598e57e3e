"""Messages about lots: registration with a deposit, inspection, closing, default."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText
from schemas.money import AmountMinor

from .measures import WEIGHT_G_MAX

__all__ = (
    "BookWeight",
    "ClaimDeposit",
    "CloseLot",
    "DefaultLot",
    "DepositClaimed",
    "GetLot",
    "InspectLot",
    "LotClosed",
    "LotDefaulted",
    "LotInspected",
    "LotOversold",
    "LotRegistered",
    "LotView",
    "RegisterLot",
    "WeightBooked",
)


class RegisterLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Enter a load of goods at the gate; the deposit is held in the farmer's account.

    ``certificate`` is the number of its certificate of origin (食用农产品合格证). Where the market
    wants an inspection, nothing of the lot is sold before it has passed.
    """

    request_id: RequestId
    lot_id: Identifier
    market_id: Identifier
    stall_id: Identifier
    farmer_id: Identifier
    goods: Annotated[ShortText, Meta(min_length=1)]
    declared_g: Annotated[int, Meta(ge=1, le=WEIGHT_G_MAX)]
    certificate: ShortText = ""


class LotRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """The lot is in; ``deposit_minor`` is held until it is closed."""

    lot_id: str
    stall_id: str
    farmer_id: str
    goods: str
    declared_g: int
    deposit_minor: int
    status: Literal["registered"] = "registered"


class InspectLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report the result of an inspection for residues (农残检测). A second one may follow."""

    request_id: RequestId
    lot_id: Identifier
    passed: bool
    report: ShortText = ""


class LotInspected(msgspec.Struct, frozen=True, kw_only=True):
    """The result that stands."""

    lot_id: str
    report: str
    status: Literal["passed", "failed"]


class CloseLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a lot that is sold or leaves again; what is left of its deposit is given back.

    It waits for the last deal to be past dispute.
    """

    request_id: RequestId
    lot_id: Identifier


class LotClosed(msgspec.Struct, frozen=True, kw_only=True):
    """The lot is over. ``by`` tells whether somebody closed it or its days were over."""

    lot_id: str
    sold_g: int
    deals: int
    released_minor: int
    captured_minor: int
    by: Literal["request", "timer"]
    status: Literal["closed"] = "closed"


class DefaultLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a penalty out of the deposit (罚没保证金), give back the rest, and end the lot.

    Without ``penalty_minor`` it is all that is left.
    """

    request_id: RequestId
    lot_id: Identifier
    reason: Annotated[ShortText, Meta(min_length=1)]
    penalty_minor: AmountMinor | None = None


class LotDefaulted(msgspec.Struct, frozen=True, kw_only=True):
    """The lot is over; ``penalty_minor`` went to the market."""

    lot_id: str
    reason: str
    penalty_minor: int
    released_minor: int
    captured_minor: int
    status: Literal["defaulted"] = "defaulted"


class BookWeight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell a lot what was sold of it, or with signs what a new weighing has changed."""

    request_id: RequestId
    lot_id: Identifier
    deals: int
    weight_g: int
    sold_at: datetime


class WeightBooked(msgspec.Struct, frozen=True, kw_only=True):
    """The weight is in the lot's books."""

    lot_id: str
    sold_g: int
    status: Literal["booked"] = "booked"


class LotOversold(msgspec.Struct, frozen=True, kw_only=True):
    """More was sold of a lot than came in, beyond the market's tolerance: for its inspectors."""

    lot_id: str
    stall_id: str
    declared_g: int
    sold_g: int
    status: Literal["oversold"] = "oversold"


class ClaimDeposit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay what a farmer owes after a new weighing out of the deposit of the lot."""

    request_id: RequestId
    lot_id: Identifier
    deal_id: Identifier
    account_id: AccountId
    amount_minor: AmountMinor


class DepositClaimed(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim has brought; ``short_minor`` the deposit did not cover."""

    lot_id: str
    deal_id: str
    account_id: str
    captured_minor: int
    short_minor: int
    status: Literal["claimed", "short"]


class GetLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a lot."""

    lot_id: Identifier


class LotView(msgspec.Struct, frozen=True, kw_only=True):
    """A lot as last committed."""

    lot_id: str
    market_id: str
    stall_id: str
    farmer_id: str
    goods: str
    certificate: str
    declared_g: int
    sold_g: int
    deals: int
    deposit: Literal["none", "held", "resolved"]
    deposit_minor: int
    captured_minor: int
    short_minor: int
    oversold: bool
    registered_at: datetime
    status: str
