"""Messages of money-market funds (货币基金): products, holdings, orders and daily income.

A unit is worth 1.00 yuan at all times and is counted in hundredths, so amounts of units and amounts
of money are the same numbers: minor units.
"""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import AmountMinor

__all__ = (
    "CONFIRM_DAYS_MAX",
    "RATE_MAX",
    "CreateFund",
    "Fund",
    "FundAdvance",
    "FundCleared",
    "FundCode",
    "FundIncome",
    "GetFund",
    "GetHolding",
    "GetOrder",
    "Holding",
    "HoldingIncome",
    "IncomeRate",
    "IncomeRun",
    "OrderKind",
    "OrderStatus",
    "Redeem",
    "RunIncome",
    "Subscribe",
    "WealthOrder",
)

# 100 yuan a day on 10,000: an annual yield of 365 %, which no money-market fund has.
RATE_MAX = 1_000_000
# No fund takes longer to confirm an order than a week with a holiday in it.
CONFIRM_DAYS_MAX = 5

FundCode = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z0-9]{2,16}(?!\n)$",
        description="Product code of a fund; its units are the asset `UNIT.<code>`.",
    ),
]

IncomeRate = Annotated[
    int,
    Meta(
        ge=0,
        le=RATE_MAX,
        description="What 10,000 units earned in a day (万份收益), in 1/10,000 yuan: 5312 is"
        " 0.5312 yuan.",
    ),
]

OrderKind = Literal["subscribe", "redeem", "instant"]

OrderStatus = Literal["accepted", "confirmed", "paid", "unpaid"]


class FundAdvance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who advances the money of instant redemptions, and how much may be out at once.

    Only a bank that is qualified to sell funds may.
    """

    advanced_by: Identifier
    limit_minor: AmountMinor


class CreateFund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Offer a money-market fund.

    Without ``advance`` it has no instant redemption. ``confirm_days`` are the business days until
    bought units can be redeemed and earn. With ``standing_rate`` a timer publishes that income for
    each day when the day is over.
    """

    request_id: RequestId
    fund: FundCode
    name: Annotated[ShortText, Meta(min_length=1)]
    advance: FundAdvance | None = None
    confirm_days: Annotated[int, Meta(ge=0, le=CONFIRM_DAYS_MAX)] = 1
    standing_rate: IncomeRate | None = None


class GetFund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a fund and its latest figures."""

    fund: FundCode


class Fund(msgspec.Struct, frozen=True, kw_only=True):
    """A money-market fund.

    ``units_minor`` are in issue, ``advanced_minor`` is what its bank has advanced and not got back.
    ``income_through`` is the last day whose income was credited and ``rate`` that day's;
    ``seven_day_yield_ppm`` is null until there are seven.
    """

    fund: str
    name: str
    asset: str
    confirm_days: int
    advanced_by: str | None
    advance_limit_minor: int
    advanced_minor: int
    units_minor: int
    standing_rate: int | None
    income_through: date | None
    rate: int | None
    seven_day_yield_ppm: int | None
    created_at: Timestamp


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Buy units with money of a cash account (申购).

    The first time opens the units account that belongs to the cash account. An order given before
    15:00 of a business day counts for that day (T), a later one for the next.
    """

    request_id: RequestId
    fund: FundCode
    cash_account: AccountId
    amount_minor: AmountMinor


class Redeem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Turn units into money on the cash account (赎回).

    An ordinary redemption is paid on T+1 and earns until then. An ``instant`` one (T+0 快速赎回) is
    paid at once, up to the cap of the day for the investor, the fund and the sales channel, which
    is the app unless ``sales_channel`` names one of the bank's.
    """

    request_id: RequestId
    units_account: AccountId
    amount_minor: AmountMinor
    instant: bool = False
    sales_channel: Identifier | None = None


class GetOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read an order as last committed."""

    order_id: Identifier


class WealthOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order to a fund; ``amount_minor`` is both units and money.

    ``ordered_on`` is T. ``settles_on`` is when bought units are confirmed, or redeemed ones paid;
    ``earns_from`` is the first day on which they earn, or no longer earn. ``status`` is
    ``accepted``, then ``confirmed`` (bought) or ``paid`` (redeemed); ``unpaid`` is a redemption
    that could not be paid yet, because an account is frozen or closed, and is tried again each
    business day.
    """

    order_id: str
    kind: OrderKind
    status: OrderStatus
    fund: str
    units_account: str
    cash_account: str
    amount_minor: int
    sales_channel: str
    ordered_on: date
    settles_on: date
    earns_from: date
    created_at: Timestamp


class GetHolding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a holding and what of it can be redeemed now."""

    units_account: AccountId


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer holds of a fund; amounts in minor units.

    ``units_minor`` are those of the account: ``unconfirmed_minor`` and ``redeeming_minor`` of them
    wait, ``redeemable_minor`` can be redeemed. ``instant_minor`` is what this app could redeem or
    pay with at once today. ``income_minor`` was credited in all, ``last_income_minor`` for
    ``income_through``.
    """

    units_account: str
    fund: str
    cash_account: str
    units_minor: int
    unconfirmed_minor: int
    redeeming_minor: int
    redeemable_minor: int
    instant_minor: int
    income_minor: int
    last_income_minor: int
    income_through: date | None
    opened_at: Timestamp


class RunIncome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Publish the income of a day and credit it to every holder as new units.

    The day is over, and days come one after the other. ``standing`` makes the rate the one that a
    timer publishes from then on.
    """

    request_id: RequestId
    fund: FundCode
    day: date
    rate: IncomeRate
    standing: bool = False


class IncomeRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has begun; `fund.income_distributed` tells when all holders have theirs."""

    fund: str
    day: date
    rate: int


class HoldingIncome(msgspec.Struct, frozen=True, kw_only=True):
    """The income of one holder for one day; ``units_minor`` earned it.

    ``credited_to`` is the units account, or the cash account when the units account was closed.
    """

    units_account: str
    fund: str
    day: date
    units_minor: int
    rate: int
    income_minor: int
    credited_to: str


class FundIncome(msgspec.Struct, frozen=True, kw_only=True):
    """A day's income that all holders have: how many, on how many units, and how much in all."""

    fund: str
    day: date
    rate: int
    holders: int
    units_minor: int
    income_minor: int


class FundCleared(msgspec.Struct, frozen=True, kw_only=True):
    """The fund has paid back what its bank advanced on the days up to ``ordered_on``."""

    fund: str
    ordered_on: date
    cleared_on: date
    amount_minor: int
