"""The terms of one market: hours, fees, deposits, acceptance, disputes, credit."""

from datetime import time
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.money import MAX_AMOUNT_MINOR

from .measures import PPM, WipeMinor

__all__ = (
    "COMMISSION_PPM_MAX",
    "FEE_PPM_MAX",
    "TIERS_MAX",
    "FeeTier",
    "MarketTerms",
    "check_tiers",
    "fee_ppm",
)

# Together far below the whole, so that something is always left for the farmer.
FEE_PPM_MAX = 100_000
COMMISSION_PPM_MAX = 300_000
TIERS_MAX = 12

# A week; what is accepted or disputed later than that is no fresh produce any more.
_MINUTES_MAX = 7 * 1440
# One percent a day is far above what any court enforces.
_INTEREST_PPM_MAX = 10_000

_Minutes = Annotated[int, Meta(ge=1, le=_MINUTES_MAX)]
_WallTime = Annotated[time, Meta(tz=False)]
_InterestPpm = Annotated[int, Meta(ge=0, le=_INTEREST_PPM_MAX)]


class FeeTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The market's fee for stalls whose monthly turnover is at least ``from_minor``."""

    from_minor: Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR)]
    ppm: Annotated[int, Meta(ge=0, le=FEE_PPM_MAX)]


class MarketTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a market's office decides; amounts in minor units, rates in parts per million.

    Weighing is open from ``opens`` to ``closes`` by the wall clock of ``zone``; equal ends mean
    always. ``day_close`` is when buy-now-pay-later debts of the day fall due, for weekly ones on
    Sunday. ``fee_basis`` tells which turnover of the stall selects the tier: all of the month
    before, or what the running month has brought until the deal is opened.

    ``interest_ppm`` is for each day on what the advance has paid, ``overdue_ppm`` comes on top for
    each day after the due one. Weights within ``tolerance_ppm`` of each other are the same weight.
    """

    zone: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*(?!\n)$")] = (
        "Asia/Shanghai"
    )
    opens: _WallTime = time(22)
    closes: _WallTime = time(10)
    day_close: _WallTime = time(18)
    fee_tiers: Annotated[tuple[FeeTier, ...], Meta(min_length=1, max_length=TIERS_MAX)]
    fee_basis: Literal["month_before", "month_to_date"] = "month_before"
    wipe_minor: WipeMinor = 1
    inspection_required: bool = True
    deposit_per_tonne_minor: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    lot_days: Annotated[int, Meta(ge=1, le=60)] = 3
    oversold_ppm: Annotated[int, Meta(ge=0, le=PPM)] = 20_000
    accept_minutes: _Minutes = 30
    dispute_minutes: _Minutes = 120
    reweigh_minutes: _Minutes = 60
    tolerance_ppm: Annotated[int, Meta(ge=0, le=100_000)] = 2_000
    interest_ppm: _InterestPpm = 0
    overdue_ppm: _InterestPpm = 0


def check_tiers(tiers: tuple[FeeTier, ...]) -> None:
    """Raise :class:`ValueError` unless the tiers begin at 0 and rise."""
    starts = [tier.from_minor for tier in tiers]
    if starts[0] != 0:
        raise ValueError(f"the first tier begins at {starts[0]}; it must begin at 0")
    if any(one >= following for one, following in pairwise(starts)):
        raise ValueError(f"tiers begin at {starts}; each must begin above the one before")


def fee_ppm(tiers: tuple[FeeTier, ...], turnover_minor: int) -> int:
    """Return the fee of the tier that a turnover has reached; below zero counts as none."""
    reached = [tier.ppm for tier in tiers if tier.from_minor <= max(turnover_minor, 0)]
    return reached[-1]
