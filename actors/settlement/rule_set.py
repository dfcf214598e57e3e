"""What the bank decides for all merchants, changeable while the service runs."""

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.rules import RuleSet
from schemas.merchants import FeeRate

__all__ = ("SETTLEMENT_RULES", "SETTLEMENT_RULE_SET", "SettlementRules")

SETTLEMENT_RULES = "settlement"

_DAY_MINUTES = 1440


class SettlementRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules named ``settlement``.

    ``standard_fee`` is the rate of terms that name none: 0.38 %, common for code payments acquired
    by a bank. No app may agree on less than ``least_ppm`` by itself; the back office may.
    ``daily_from_minute`` is when the settlement of the day before begins, in minutes after midnight
    in Asia/Shanghai, and ``daily_spread_minutes`` over how many minutes the merchants spread.
    """

    standard_fee: FeeRate = FeeRate(ppm=3_800)
    least_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] = 2_000
    daily_from_minute: Annotated[int, Meta(ge=0, lt=_DAY_MINUTES)] = 30
    daily_spread_minutes: Annotated[int, Meta(ge=1, le=_DAY_MINUTES // 2)] = 120


SETTLEMENT_RULE_SET = RuleSet(
    name=SETTLEMENT_RULES, shape=SettlementRules, default=SettlementRules()
)
