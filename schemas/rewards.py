"""Messages of rewards: points (积分) and coupons (优惠券)."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import AmountMinor

__all__ = (
    "POINTS",
    "PPM",
    "Coupon",
    "CouponStatus",
    "Discount",
    "GetCoupon",
    "GetPoints",
    "GrantPoints",
    "IssueCoupon",
    "Points",
    "PointsBatch",
    "PointsExpired",
    "PointsGranted",
    "PointsMoved",
    "RevokeCoupon",
)

# The asset in which points are kept; its minor unit is one point.
POINTS = "POINTS"

PPM = 1_000_000

CouponStatus = Literal["issued", "used", "revoked"]


class GrantPoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give points to the customer of an account, whose points account the first grant opens.

    What they are worth is paid at once, by ``sponsor_account``, or by the bank's marketing when the
    back office names none. They can be spent through the day ``ends_on``; null is without an end.
    """

    request_id: RequestId
    account_id: AccountId
    points: AmountMinor
    sponsor_account: AccountId | None = None
    ends_on: date | None = None
    reason: ShortText = ""


class PointsGranted(msgspec.Struct, frozen=True, kw_only=True):
    """A grant that stands; ``worth_minor`` is what it pays, in fen."""

    points_account: str
    account_id: str
    batch_id: str
    points: int
    worth_minor: int
    sponsor_account: str
    ends_on: date | None
    reason: str
    granted_at: Timestamp


class GetPoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a points account."""

    points_account: AccountId


class PointsBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a grant; batches are spent in the order in which they are listed."""

    batch_id: str
    points: int
    worth_minor: int
    ends_on: date | None


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """The points of an account, and what they pay in fen."""

    points_account: str
    account_id: str
    points: int
    worth_minor: int
    batches: tuple[PointsBatch, ...]


class PointsMoved(msgspec.Struct, frozen=True, kw_only=True):
    """Points that paid for a part of a payment, or came back with a refund."""

    points_account: str
    payment_id: str
    points: int
    worth_minor: int


class PointsExpired(msgspec.Struct, frozen=True, kw_only=True):
    """What was left of a batch at its end; its worth went back to the sponsor."""

    points_account: str
    batch_id: str
    points: int
    worth_minor: int
    sponsor_account: str


class Discount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A face value, or a percentage with a cap; exactly one of the two.

    Amounts in minor units. ``rate_ppm`` are parts per million of the purchase: 100,000 is 10 %.
    Nothing is taken off a purchase below ``spend_min_minor``.
    """

    face_minor: AmountMinor | None = None
    rate_ppm: Annotated[int, Meta(ge=1, le=PPM)] | None = None
    cap_minor: AmountMinor | None = None
    spend_min_minor: Annotated[int, Meta(ge=0)] = 0


class IssueCoupon(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Issue a coupon that pays once for a part of a payment.

    What it takes off is paid by ``sponsor_account``, or by the bank's marketing when the back
    office names none, and then ``for_app`` is the app whose customers may use it. All coupons of a
    campaign together pay at most ``budget_minor``: who comes after it is used up is refused.
    ``holder`` is the app's own name of the customer.
    """

    request_id: RequestId
    campaign: Identifier
    budget_minor: AmountMinor
    discount: Discount
    starts_at: Timestamp
    ends_at: Timestamp
    sponsor_account: AccountId | None = None
    for_app: Identifier | None = None
    holder: ShortText = ""


class GetCoupon(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a coupon as last committed."""

    coupon_id: Identifier


class RevokeCoupon(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a coupon back that was not used."""

    request_id: RequestId
    coupon_id: Identifier


class Coupon(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon; ``payment_id`` is the payment that used it and ``paid_minor`` what it paid, in fen.

    ``status`` is ``issued`` until it is ``used`` or ``revoked``; a refund of the whole payment
    makes a used one ``issued`` again. It pays between ``starts_at`` and ``ends_at`` only.
    """

    coupon_id: str
    campaign: str
    budget_minor: int
    discount: Discount
    status: CouponStatus
    starts_at: Timestamp
    ends_at: Timestamp
    sponsor_account: str
    holder: str
    payment_id: str | None = None
    paid_minor: int = 0
    issued_at: Timestamp
