"""Operations of points and coupons."""

import msgspec

from schemas.operation import Operation
from schemas.rewards import (
    Coupon,
    GetCoupon,
    GetPoints,
    GrantPoints,
    IssueCoupon,
    Points,
    PointsExpired,
    PointsGranted,
    PointsMoved,
    RevokeCoupon,
)

__all__ = ("EVENTS", "OPERATIONS")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        service="points",
        verb="grant",
        request=GrantPoints,
        result=PointsGranted,
        kind="points",
        key="account_id",
        mutates=True,
        summary="Give points to a customer, paid for by a sponsor.",
        errors=("not_found", "insufficient_funds", "limit_exceeded", "invalid_state"),
        events=("points.granted", "points.expired", "account.opened"),
    ),
    Operation(
        service="points",
        verb="get",
        request=GetPoints,
        result=Points,
        kind="points",
        key="points_account",
        mutates=False,
        summary="Read a points account and what its points pay.",
        errors=("not_found",),
    ),
    Operation(
        service="coupon",
        verb="issue",
        request=IssueCoupon,
        result=Coupon,
        kind="coupon",
        key="campaign",
        mutates=True,
        summary="Issue a coupon that a sponsor pays for when it is used.",
        errors=("not_found",),
        events=("coupon.issued", "coupon.used", "coupon.restored"),
    ),
    Operation(
        service="coupon",
        verb="get",
        request=GetCoupon,
        result=Coupon,
        kind="coupon",
        key="coupon_id",
        mutates=False,
        summary="Read a coupon.",
        errors=("not_found",),
    ),
    Operation(
        service="coupon",
        verb="revoke",
        request=RevokeCoupon,
        result=Coupon,
        kind="coupon",
        key="coupon_id",
        mutates=True,
        summary="Take back a coupon that was not used.",
        errors=("not_found", "invalid_state"),
        events=("coupon.revoked",),
    ),
)

EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "coupon.issued": (Coupon,),
    "coupon.restored": (Coupon,),
    "coupon.revoked": (Coupon,),
    "coupon.used": (Coupon,),
    "points.expired": (PointsExpired,),
    "points.granted": (PointsGranted,),
    "points.returned": (PointsMoved,),
    "points.spent": (PointsMoved,),
}
