"""Stalls: opening them, their turnover by month and day, the statement at the close of a day."""

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from zhihui.plugin import (
    Context,
    InvalidField,
    NotFound,
    Notice,
    Pack,
    Plan,
    Schedule,
    on_timer,
    operation,
)

from .market_clock import day_of, month_of, next_day_close
from .office_messages import (
    BookSale,
    GetStall,
    OpenStall,
    SaleBooked,
    StallDayClosed,
    StallOpened,
    StallView,
)
from .registry import market_of
from .state import DayTotals, Market, Stall
from .terms import fee_ppm

__all__ = (
    "StallDay",
    "book_sale",
    "close_stall_day",
    "get_stall",
    "open_stall",
    "stall_fee_ppm",
)

# A booking travels for moments after its deal; the statement waits for the last ones.
_GRACE = timedelta(minutes=5)


class StallDay(msgspec.Struct, frozen=True, kw_only=True):
    """The timer that closes a stall's day."""

    closed_at: datetime


def stall_fee_ppm(stall: Stall, market: Market, now: datetime) -> int:
    """Return what the market takes of a deal that the stall opens now."""
    month = month_of(day_of(market.terms, now))
    before = market.terms.fee_basis == "month_before"
    return fee_ppm(market.terms.fee_tiers, stall.turnover_in(month - 1 if before else month))


@operation(
    "open_stall",
    collection="stall",
    key="stall_id",
    state=Stall,
    result=StallOpened,
    errors=("not_found",),
    events=("wholesale_market.stall_opened",),
)
async def open_stall(pack: Pack, context: Context, message: OpenStall, stall: Stall | None) -> Plan:
    """Open a stall, or give an open one another account, commission or way of selling."""
    market = await market_of(context, message.market_id)
    if stall is not None and stall.market_id != message.market_id:
        raise InvalidField(
            f"stall {message.stall_id!r} is in market {stall.market_id!r}", field="market_id"
        )
    now = context.clock.now()
    known = stall or Stall(
        stall_id=message.stall_id,
        market_id=message.market_id,
        account_id=message.account_id,
        commission_ppm=message.commission_ppm,
        waits=message.waits,
        month=month_of(day_of(market.terms, now)),
        turnover_before_minor=message.turnover_before_minor,
    )
    opened = replace(
        known,
        account_id=message.account_id,
        commission_ppm=message.commission_ppm,
        waits=message.waits,
    )
    result = StallOpened(
        stall_id=opened.stall_id,
        market_id=opened.market_id,
        account_id=opened.account_id,
        commission_ppm=opened.commission_ppm,
        waits=opened.waits,
        fee_ppm=stall_fee_ppm(opened, market, now),
        status="opened" if stall is None else "unchanged" if stall == opened else "updated",
    )
    notice = Notice(type="wholesale_market.stall_opened", subject=opened.stall_id, data=result)
    return Plan(
        state=opened, result=result, notices=() if result.status == "unchanged" else (notice,)
    )


@operation(
    "book_sale",
    collection="stall",
    key="stall_id",
    state=Stall,
    result=SaleBooked,
    internal=True,
    errors=("not_found",),
)
async def book_sale(pack: Pack, context: Context, message: BookSale, stall: Stall | None) -> Plan:
    """Add a deal, or what a new weighing has changed, to the stall's turnover."""
    known = _known(stall, message.stall_id)
    market = await market_of(context, known.market_id)
    booked = _in_month(known, month_of(message.day), message.turnover_minor)
    before = booked.today
    today = DayTotals(
        deals=before.deals + message.deals,
        weight_g=before.weight_g + message.weight_g,
        turnover_minor=before.turnover_minor + message.turnover_minor,
        commission_minor=before.commission_minor + message.commission_minor,
        fee_minor=before.fee_minor + message.fee_minor,
    )
    effects: tuple[Schedule, ...] = ()
    if before == DayTotals():
        close = next_day_close(market.terms, context.clock.now())
        effects = (Schedule(name="day", due_at=close + _GRACE, body=StallDay(closed_at=close)),)
    return Plan(
        state=replace(booked, today=today),
        effects=effects,
        result=SaleBooked(stall_id=known.stall_id),
    )


def _in_month(stall: Stall, month: int, turnover_minor: int) -> Stall:
    """Return the stall with a turnover added to its month; one that is too old counts nowhere."""
    if month > stall.month:
        return replace(
            stall,
            month=month,
            turnover_minor=turnover_minor,
            turnover_before_minor=stall.turnover_in(month - 1),
        )
    if month == stall.month:
        return replace(stall, turnover_minor=stall.turnover_minor + turnover_minor)
    if month == stall.month - 1:
        before = stall.turnover_before_minor + turnover_minor
        return replace(stall, turnover_before_minor=before)
    return stall


@on_timer(
    "close_stall_day",
    collection="stall",
    state=Stall,
    body=StallDay,
    events=("wholesale_market.stall_day_closed",),
)
async def close_stall_day(
    pack: Pack, context: Context, body: StallDay, stall: Stall | None
) -> Plan:
    """Tell what the stall has sold since its last close, and begin a new day."""
    if stall is None or stall.today == DayTotals():
        return Plan()
    market = await market_of(context, stall.market_id)
    closed = StallDayClosed(
        stall_id=stall.stall_id,
        market_id=stall.market_id,
        day=day_of(market.terms, body.closed_at),
        deals=stall.today.deals,
        weight_g=stall.today.weight_g,
        turnover_minor=stall.today.turnover_minor,
        commission_minor=stall.today.commission_minor,
        fee_minor=stall.today.fee_minor,
    )
    notice = Notice(type="wholesale_market.stall_day_closed", subject=stall.stall_id, data=closed)
    return Plan(state=replace(stall, today=DayTotals()), result=closed, notices=(notice,))


@operation(
    "get_stall",
    collection="stall",
    key="stall_id",
    state=Stall,
    result=StallView,
    mutates=False,
    errors=("not_found",),
)
async def get_stall(
    pack: Pack, context: Context, message: GetStall, stall: Stall | None
) -> StallView:
    """Read a stall: its fee, and its turnover by month and day."""
    known = _known(stall, message.stall_id)
    market = await market_of(context, known.market_id)
    now = context.clock.now()
    month = month_of(day_of(market.terms, now))
    return StallView(
        stall_id=known.stall_id,
        market_id=known.market_id,
        account_id=known.account_id,
        commission_ppm=known.commission_ppm,
        waits=known.waits,
        fee_ppm=stall_fee_ppm(known, market, now),
        turnover_minor=known.turnover_in(month),
        turnover_before_minor=known.turnover_in(month - 1),
        day_deals=known.today.deals,
        day_weight_g=known.today.weight_g,
        day_turnover_minor=known.today.turnover_minor,
        day_commission_minor=known.today.commission_minor,
        day_fee_minor=known.today.fee_minor,
    )


def _known(stall: Stall | None, stall_id: str) -> Stall:
    if stall is None:
        raise NotFound(f"no stall {stall_id!r}; open it first", field="stall_id")
    return stall
