"""The bank's points programme (积分): what a point is worth, and how long it lasts."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.ledger import Posting

__all__ = (
    "EXPENSE",
    "EXPIRED",
    "ISSUED",
    "PROGRAM",
    "REDEEMED",
    "RESERVE",
    "RULES",
    "PointsProgram",
    "points_account_of",
    "points_move",
)

# The rule set of the programme.
RULES = "points"

# Who pays for what the bank gives away itself.
EXPENSE = "expense:marketing"
# What all points that are out are worth, put aside when they were granted.
RESERVE = "points:reserve"
# Where points come from, and where they go when they pay and when they end.
ISSUED = "points:issued"
REDEEMED = "points:redeemed"
EXPIRED = "points:expired"


class PointsProgram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for new grants; points that are out keep what they were granted with.

    ``points_per_fen`` is a whole number, so points and fen convert without rounding: 1 makes 100
    points a yuan, 5 makes 500. ``batches_max`` bounds the batches of one account: grants that end
    on the same day for the same sponsor share one. Points that come back after their batch has
    ended can be spent for ``returned_for_days`` more.
    """

    points_per_fen: Annotated[int, Meta(ge=1, le=10_000)] = 1
    batches_max: Annotated[int, Meta(ge=1, le=400)] = 100
    returned_for_days: Annotated[int, Meta(ge=1, le=3_650)] = 30


PROGRAM = PointsProgram()


def points_move(
    debit: str, credit: str, amount_minor: int, asset: str, purpose: str,
    fields: tuple[str, str] = ("payer", "payee"),
) -> Posting:  # fmt: skip
    """Return a move of points or of what they are worth; its purpose explains it to the audit."""
    return Posting(debit, credit, amount_minor, asset, fields=fields, purpose=f"points.{purpose}")


def points_account_of(account_id: str) -> str:
    """Return the points account that belongs to a customer's account."""
    return f"{account_id}.points"
