"""Looking up what others are: each function returns a document or raises what the caller did wrong.

Other identities are read as they were a second ago at most. That is enough for what they are asked
here: names, accounts and terms. What must be exact stands in the caller's own document.
"""

from datetime import UTC, datetime, timedelta

from zhihui.plugin import Context, InvalidField, InvalidState, NotFound

from .market_clock import day_of, is_open
from .state import Carrier, Farmer, Lot, Market, Scale, Stall

__all__ = (
    "CLOCK_SKEW_MAX",
    "carrier_of",
    "farmer_of",
    "lot_of",
    "market_of",
    "scale_for",
    "stall_of",
)

# How far a scale's clock may be ahead of ours. Scales are set by the market's network: minutes
# happen, hours are a fault.
CLOCK_SKEW_MAX = timedelta(minutes=10)

# Before there were such scales. It keeps all arithmetic off the ends of the calendar.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


async def market_of(context: Context, market_id: str) -> Market:
    """Return a market; raise :class:`NotFound` with field ``market_id``."""
    market = await context.read("market", market_id, Market)
    if market is None:
        raise NotFound(f"no market {market_id!r}; open it first", field="market_id")
    return market


async def stall_of(context: Context, stall_id: str, market_id: str) -> Stall:
    """Return a stall of the market; raise :class:`NotFound` or :class:`InvalidField`."""
    stall = await context.read("stall", stall_id, Stall)
    if stall is None:
        raise NotFound(f"no stall {stall_id!r}; open it first", field="stall_id")
    if stall.market_id != market_id:
        raise InvalidField(
            f"stall {stall_id!r} is in market {stall.market_id!r}, not in {market_id!r}",
            field="stall_id",
        )
    return stall


async def farmer_of(context: Context, farmer_id: str) -> Farmer:
    """Return a farmer; raise :class:`NotFound`."""
    farmer = await context.read("farmer", farmer_id, Farmer)
    if farmer is None:
        raise NotFound(f"no farmer {farmer_id!r}; register him first", field="farmer_id")
    return farmer


async def carrier_of(context: Context, carrier_id: str) -> Carrier:
    """Return a carrier; raise :class:`NotFound`."""
    carrier = await context.read("carrier", carrier_id, Carrier)
    if carrier is None:
        raise NotFound(f"no carrier {carrier_id!r}; register it first", field="carrier_id")
    return carrier


async def lot_of(context: Context, lot_id: str, market: Market) -> Lot:
    """Return a lot of the market that may be sold; raise what stands against it."""
    lot = await context.read("lot", lot_id, Lot)
    if lot is None:
        raise NotFound(f"no lot {lot_id!r}; register it at the gate", field="lot_id")
    if lot.market_id != market.market_id:
        raise InvalidField(
            f"lot {lot_id!r} is in market {lot.market_id!r}, not in {market.market_id!r}",
            field="lot_id",
        )
    sold = ("passed",) if market.terms.inspection_required else ("passed", "registered")
    if lot.status not in sold:
        raise InvalidState(
            f"lot {lot_id!r} is {lot.status}; it must be {' or '.join(sold)} to be sold",
            field="lot_id",
        )
    return lot


async def scale_for(
    context: Context, scale_id: str, market: Market, gross_g: int, tare_g: int, at: datetime
) -> Scale:
    """Return the scale if it can have shown these weights at that time; raise what it cannot."""
    scale = await context.read("scale", scale_id, Scale)
    if scale is None:
        raise NotFound(f"no scale {scale_id!r}; register it first", field="scale_id")
    if scale.market_id != market.market_id:
        raise InvalidField(
            f"scale {scale_id!r} is in market {scale.market_id!r}, not in {market.market_id!r}",
            field="scale_id",
        )
    _check_time(context, market, at)
    if day_of(market.terms, at) > scale.verified_until:
        raise InvalidState(
            f"the verification of scale {scale_id!r} ended on {scale.verified_until.isoformat()}",
            field="scale_id",
        )
    _check_weights(scale, gross_g, tare_g)
    return scale


def _check_time(context: Context, market: Market, at: datetime) -> None:
    now = context.clock.now()
    if at < _EARLIEST:
        raise InvalidField(
            f"weighed_at is {at.isoformat()}; expected a time after the year 2000",
            field="weighed_at",
        )
    if at > now + CLOCK_SKEW_MAX:
        raise InvalidField(
            f"weighed_at is {at.isoformat()}, ahead of the service's clock at {now.isoformat()}; "
            "set the clock of the scale",
            field="weighed_at",
        )
    if not is_open(market.terms, at):
        raise InvalidState(
            f"the market weighs from {market.terms.opens:%H:%M} to {market.terms.closes:%H:%M}; "
            f"weighed_at is {at.isoformat()}",
            field="weighed_at",
        )


def _check_weights(scale: Scale, gross_g: int, tare_g: int) -> None:
    for field, weight in (("gross_g", gross_g), ("tare_g", tare_g)):
        if weight > scale.max_g:
            raise InvalidField(
                f"{field} is {weight}; scale {scale.scale_id!r} shows at most {scale.max_g}",
                field=field,
            )
        if weight % scale.division_g:
            raise InvalidField(
                f"{field} is {weight}; scale {scale.scale_id!r} shows whole {scale.division_g} g",
                field=field,
            )
    if tare_g >= gross_g and (gross_g or tare_g):
        raise InvalidField(
            f"tare_g is {tare_g} and gross_g {gross_g}; goods weigh something, and 0 with 0 "
            "withdraws a line",
            field="tare_g",
        )
