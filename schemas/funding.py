"""Where the money of a payment comes from: an ordered list of sources, all or nothing."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier
from schemas.money import AmountMinor

__all__ = (
    "FUNDING_MAX",
    "AccountSource",
    "ChannelName",
    "ChannelSource",
    "CouponSource",
    "CreditSource",
    "FundingSource",
    "PointsSource",
    "WealthSource",
)

# More sources than a customer would ever choose by hand.
FUNDING_MAX = 8

ChannelName = Annotated[
    str, Meta(pattern="^(own_bank|wechat|alipay|unionpay|netsunion)(?!\n)$", max_length=16)
]

_TheRest = Meta(description="Minor units; null takes what the sources before it left open.")


class _Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount_minor: Annotated[AmountMinor | None, _TheRest] = None


class AccountSource(_Source, frozen=True, kw_only=True, tag="account"):
    """An account of the app's customer in the bank."""

    account_id: AccountId


class ChannelSource(_Source, frozen=True, kw_only=True, tag="channel"):
    """A payment channel; without ``channel`` the router chooses one.

    ``payer_reference`` is what the channel knows the customer by: an open id, a bound card's token.
    """

    channel: ChannelName | None = None
    payer_reference: Identifier | None = None


class WealthSource(_Source, frozen=True, kw_only=True, tag="wealth"):
    """A holding of a money-market fund, redeemed in the instant of payment (时时付)."""

    units_account: AccountId
    cash_account: AccountId


class CreditSource(_Source, frozen=True, kw_only=True, tag="credit"):
    """A credit line, paid back in instalments as quoted (信用卡分期, 网捷贷).

    ``quote_id`` is the customer's consent to the terms and the annual rate that were shown.
    """

    line_id: AccountId
    quote_id: Identifier


class PointsSource(_Source, frozen=True, kw_only=True, tag="points"):
    """Points (积分); ``amount_minor`` is their worth in money."""

    account_id: AccountId


class CouponSource(_Source, frozen=True, kw_only=True, tag="coupon"):
    """A coupon (优惠券), used once; it gives what it is worth for this payment."""

    coupon_id: Identifier


FundingSource = (
    AccountSource | ChannelSource | WealthSource | CreditSource | PointsSource | CouponSource
)
