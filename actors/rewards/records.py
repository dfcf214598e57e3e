"""What is kept of points accounts, of payments made with points, and of coupons."""

import msgspec

from actors.entity import RecordTable
from actors.rewards.batches import Batch, Part
from schemas.rewards import Coupon

__all__ = ("COUPON_TABLE", "POINTS_TABLE", "USE_TABLE", "PointsState", "PointsUse")


class PointsState(msgspec.Struct, frozen=True, kw_only=True):
    """The batches of a points account; together they are its balance in the ledger."""

    account_id: str
    batches: tuple[Batch, ...] = ()


class PointsUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one leg of a payment took from which batch, and what came back."""

    points_account: str
    payment_id: str
    parts: tuple[Part, ...]


POINTS_TABLE = RecordTable(
    name="points_wallet",
    key="points_account",
    state=PointsState,
    columns=("account_id text",),
    values=lambda state: (state.account_id,),
)

USE_TABLE = RecordTable(
    name="points_use",
    key="use_id",
    state=PointsUse,
    columns=("points_account text",),
    values=lambda state: (state.points_account,),
)

COUPON_TABLE = RecordTable(
    name="coupon",
    key="coupon_id",
    state=Coupon,
    columns=("campaign text", "status text"),
    values=lambda state: (state.campaign, state.status),
)
