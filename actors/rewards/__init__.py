"""Rewards: points (积分) and coupons (优惠), and payments with them."""

from actors.parts import Parts
from actors.rewards.coupon_actor import CouponActor
from actors.rewards.coupon_funding import CouponFunding
from actors.rewards.points_actor import PointsActor
from actors.rewards.points_funding import PointsFunding
from actors.rewards.program import PROGRAM, RESERVE, RULES, PointsProgram
from actors.rewards.records import COUPON_TABLE, POINTS_TABLE, USE_TABLE
from actors.rules import RuleSet
from kernel.host import Host
from kernel.journal import FactTable
from kernel.memory_tables import Table
from schemas.money import CNY

__all__ = (
    "FACT_TABLES",
    "FIRST_ACCOUNTS",
    "RULE_SETS",
    "TABLES",
    "CouponFunding",
    "PointsFunding",
    "hosts",
)

_RECORDS = (POINTS_TABLE, USE_TABLE, COUPON_TABLE)

TABLES: tuple[Table, ...] = tuple(one.memory_table for one in _RECORDS)

FACT_TABLES: tuple[FactTable, ...] = tuple(one.fact_table for one in _RECORDS)

# Accounts of the bank that stand at first, with their assets.
FIRST_ACCOUNTS: tuple[tuple[str, str], ...] = ((RESERVE, CNY),)

RULE_SETS: tuple[RuleSet, ...] = (RuleSet(name=RULES, shape=PointsProgram, default=PROGRAM),)


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the hosts of the actors of points and coupons."""
    return (parts.entity_host(PointsActor), parts.entity_host(CouponActor))
