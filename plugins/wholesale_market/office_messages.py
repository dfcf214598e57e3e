"""Messages of the market's office: the market, its scales, stalls, farmers and carriers."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId
from schemas.money import MAX_AMOUNT_MINOR

from .measures import WEIGHT_G_MAX
from .terms import COMMISSION_PPM_MAX, MarketTerms

__all__ = (
    "PER_KG_MINOR_MAX",
    "BookSale",
    "CarrierRegistered",
    "FarmerRegistered",
    "GetMarket",
    "GetStall",
    "MarketOpened",
    "OpenMarket",
    "OpenStall",
    "RegisterCarrier",
    "RegisterFarmer",
    "RegisterScale",
    "SaleBooked",
    "ScaleRegistered",
    "StallDayClosed",
    "StallOpened",
    "StallView",
)

# Ten yuan a kilogram flies goods across the country.
PER_KG_MINOR_MAX = 1_000

_Registered = Literal["registered", "updated", "unchanged"]


class OpenMarket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a market, or give an open one other accounts or terms.

    Deals that are open keep what was agreed. The three accounts take the market's fees and
    penalties, advance money to sellers, and take interest; the second is not one of the others.
    """

    request_id: RequestId
    market_id: Identifier
    fee_account: AccountId
    advance_account: AccountId
    interest_account: AccountId
    terms: MarketTerms


class MarketOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The market as it stands."""

    market_id: str
    fee_account: str
    advance_account: str
    interest_account: str
    terms: MarketTerms
    status: Literal["opened", "updated", "unchanged"]


class GetMarket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a market's accounts and terms."""

    market_id: Identifier


class RegisterScale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Enter a verified scale. ``verified_until`` is the last day on which it may be used."""

    request_id: RequestId
    scale_id: Identifier
    market_id: Identifier
    division_g: Annotated[int, Meta(ge=1, le=100_000)]
    max_g: Annotated[int, Meta(ge=1, le=WEIGHT_G_MAX)]
    verified_until: date
    referee: bool = False


class ScaleRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """The scale as it stands."""

    scale_id: str
    market_id: str
    division_g: int
    max_g: int
    verified_until: date
    referee: bool
    status: _Registered


class OpenStall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a stall, or give an open one another account, commission or way of selling.

    ``turnover_before_minor`` brings the turnover of the month before over from an older system; it
    counts when the stall is opened, and never after that.
    """

    request_id: RequestId
    stall_id: Identifier
    market_id: Identifier
    account_id: AccountId
    commission_ppm: Annotated[int, Meta(ge=0, le=COMMISSION_PPM_MAX)] = 0
    waits: bool = False
    turnover_before_minor: Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR)] = 0


class StallOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The stall as it stands; ``fee_ppm`` is what the market takes of a deal opened now."""

    stall_id: str
    market_id: str
    account_id: str
    commission_ppm: int
    waits: bool
    fee_ppm: int
    status: Literal["opened", "updated", "unchanged"]


class BookSale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell a stall what a deal has brought it, or with signs what a new weighing has changed."""

    request_id: RequestId
    stall_id: Identifier
    day: date
    deals: int
    weight_g: int
    turnover_minor: int
    commission_minor: int
    fee_minor: int


class SaleBooked(msgspec.Struct, frozen=True, kw_only=True):
    """The sale is in the stall's books."""

    stall_id: str
    status: Literal["booked"] = "booked"


class StallDayClosed(msgspec.Struct, frozen=True, kw_only=True):
    """A stall's day (日结单): what it sold since the close before. Its money has come already."""

    stall_id: str
    market_id: str
    day: date
    deals: int
    weight_g: int
    turnover_minor: int
    commission_minor: int
    fee_minor: int
    status: Literal["closed"] = "closed"


class GetStall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a stall."""

    stall_id: Identifier


class StallView(msgspec.Struct, frozen=True, kw_only=True):
    """A stall as last committed, with its turnover by month and since the last close of a day."""

    stall_id: str
    market_id: str
    account_id: str
    commission_ppm: int
    waits: bool
    fee_ppm: int
    turnover_minor: int
    turnover_before_minor: int
    day_deals: int
    day_weight_g: int
    day_turnover_minor: int
    day_commission_minor: int
    day_fee_minor: int
    status: Literal["open"] = "open"


class RegisterFarmer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Enter a farmer, or another account of one. Lots that are here keep theirs."""

    request_id: RequestId
    farmer_id: Identifier
    account_id: AccountId


class FarmerRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """The farmer as entered."""

    farmer_id: str
    account_id: str
    status: _Registered


class RegisterCarrier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Enter a carrier with the price of a kilogram, or change one. Open deals keep theirs."""

    request_id: RequestId
    carrier_id: Identifier
    account_id: AccountId
    per_kg_minor: Annotated[int, Meta(ge=0, le=PER_KG_MINOR_MAX)]


class CarrierRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """The carrier as entered."""

    carrier_id: str
    account_id: str
    per_kg_minor: int
    status: _Registered
