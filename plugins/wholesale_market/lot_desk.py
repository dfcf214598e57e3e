"""Lots: the deposit that is held for a load, its inspection, and the ways in which a lot ends.

The deposit (货物保证金) is held in the farmer's account when the lot is registered. It is resolved
once:

- closed, by a request or when its days are over: what is left is given back;
- defaulted: a penalty goes to the market, the rest is given back;
- before either, a farmer who owes after a new weighing and has no money pays out of it.

A lot stays until its last deal is past dispute, so that the deposit is there for its claims.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from schemas.effects import Effect
from zhihui.plugin import (
    Cancel,
    CaptureHold,
    Context,
    InvalidField,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    PlaceHold,
    Plan,
    Schedule,
    VoidHold,
    on_timer,
    operation,
)

from .lot_messages import (
    BookWeight,
    ClaimDeposit,
    CloseLot,
    DefaultLot,
    DepositClaimed,
    GetLot,
    InspectLot,
    LotClosed,
    LotDefaulted,
    LotInspected,
    LotOversold,
    LotRegistered,
    LotView,
    RegisterLot,
    WeightBooked,
)
from .measures import PPM, half_up
from .registry import farmer_of, market_of, stall_of
from .state import Lot, Market

__all__ = (
    "LotDays",
    "book_weight",
    "claim_deposit",
    "close_lot",
    "default_lot",
    "end_lot_days",
    "get_lot",
    "inspect_lot",
    "register_lot",
)

_TONNE_G = 1_000_000
# A deal's weight is told to its lot moments after it was paid.
_GRACE = timedelta(minutes=5)

_OPEN = ("registered", "passed", "failed")


class LotDays(msgspec.Struct, frozen=True, kw_only=True):
    """The timer that ends a lot when its days are over."""

    lot_id: str


@operation(
    "register_lot",
    collection="lot",
    key="lot_id",
    state=Lot,
    result=LotRegistered,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("wholesale_market.lot_registered",),
)
async def register_lot(pack: Pack, context: Context, message: RegisterLot, lot: Lot | None) -> Plan:
    """Enter a load of goods at the gate, and hold the farmer's deposit for it."""
    if lot is not None:
        raise InvalidState(f"lot {message.lot_id!r} is {lot.status} already", field="lot_id")
    market = await market_of(context, message.market_id)
    await stall_of(context, message.stall_id, message.market_id)
    farmer = await farmer_of(context, message.farmer_id)
    now = context.clock.now()
    deposit = half_up(message.declared_g * market.terms.deposit_per_tonne_minor, _TONNE_G)
    entered = Lot(
        lot_id=message.lot_id,
        market_id=message.market_id,
        stall_id=message.stall_id,
        farmer_id=message.farmer_id,
        farmer_account=farmer.account_id,
        goods=message.goods,
        declared_g=message.declared_g,
        certificate=message.certificate,
        status="registered",
        deposit="held" if deposit else "none",
        deposit_minor=deposit,
        registered_at=now,
    )
    days = timedelta(days=market.terms.lot_days)
    effects: list[Effect] = [
        Schedule(name="days", due_at=now + days, body=LotDays(lot_id=message.lot_id))
    ]
    if deposit:
        effects.append(
            PlaceHold(
                name="deposit",
                account_id=farmer.account_id,
                amount_minor=deposit,
                reference=f"wholesale deposit {message.lot_id}",
            )
        )
    result = LotRegistered(
        lot_id=entered.lot_id,
        stall_id=entered.stall_id,
        farmer_id=entered.farmer_id,
        goods=entered.goods,
        declared_g=entered.declared_g,
        deposit_minor=deposit,
    )
    notice = Notice(type="wholesale_market.lot_registered", subject=entered.lot_id, data=result)
    return Plan(state=entered, effects=tuple(effects), result=result, notices=(notice,))


@operation(
    "inspect_lot",
    collection="lot",
    key="lot_id",
    state=Lot,
    result=LotInspected,
    errors=("not_found", "invalid_state"),
    events=("wholesale_market.lot_inspected",),
)
async def inspect_lot(pack: Pack, context: Context, message: InspectLot, lot: Lot | None) -> Plan:
    """Report the result of an inspection for residues; the last one stands."""
    known = _open_lot(lot, message.lot_id)
    status: Literal["passed", "failed"] = "passed" if message.passed else "failed"
    result = LotInspected(lot_id=known.lot_id, report=message.report, status=status)
    notice = Notice(type="wholesale_market.lot_inspected", subject=known.lot_id, data=result)
    return Plan(state=replace(known, status=status), result=result, notices=(notice,))


@operation(
    "close_lot",
    collection="lot",
    key="lot_id",
    state=Lot,
    result=LotClosed,
    errors=("not_found", "invalid_state"),
    events=("wholesale_market.lot_closed",),
)
async def close_lot(pack: Pack, context: Context, message: CloseLot, lot: Lot | None) -> Plan:
    """End a lot that is sold or leaves again, and give back what is left of its deposit."""
    known = _open_lot(lot, message.lot_id)
    until = _disputable_until(known, await market_of(context, known.market_id))
    if context.clock.now() < until:
        raise InvalidState(
            f"the last deal of lot {known.lot_id!r} may be disputed until {until.isoformat()}",
            field="lot_id",
        )
    return _closed(known, "request")


@on_timer(
    "end_lot_days",
    collection="lot",
    state=Lot,
    body=LotDays,
    events=("wholesale_market.lot_closed",),
)
async def end_lot_days(pack: Pack, context: Context, body: LotDays, lot: Lot | None) -> Plan:
    """End a lot whose days are over. One that failed its inspection waits for the office."""
    if lot is None or lot.status not in ("registered", "passed"):
        return Plan()
    until = _disputable_until(lot, await market_of(context, lot.market_id))
    if context.clock.now() < until:
        again = Schedule(name="days", due_at=until, body=body)
        return Plan(effects=(again,))
    return _closed(lot, "timer")


@operation(
    "default_lot",
    collection="lot",
    key="lot_id",
    state=Lot,
    result=LotDefaulted,
    errors=("not_found", "invalid_state"),
    events=("wholesale_market.lot_defaulted",),
)
async def default_lot(pack: Pack, context: Context, message: DefaultLot, lot: Lot | None) -> Plan:
    """Take a penalty out of a lot's deposit, give back the rest, and end the lot."""
    known = _open_lot(lot, message.lot_id)
    left = known.left_minor
    if not left:
        raise InvalidState(f"nothing is held for lot {known.lot_id!r}", field="lot_id")
    penalty = left if message.penalty_minor is None else message.penalty_minor
    if penalty > left:
        raise InvalidField(
            f"penalty_minor is {penalty}; {left} is left of the deposit", field="penalty_minor"
        )
    market = await market_of(context, known.market_id)
    captured = known.captured_minor + penalty
    capture = CaptureHold(
        name="deposit", amount_minor=penalty, payee=market.fee_account, final=True
    )
    result = LotDefaulted(
        lot_id=known.lot_id,
        reason=message.reason,
        penalty_minor=penalty,
        released_minor=left - penalty,
        captured_minor=captured,
    )
    notice = Notice(type="wholesale_market.lot_defaulted", subject=known.lot_id, data=result)
    ended = replace(known, status="defaulted", deposit="resolved", captured_minor=captured)
    return Plan(
        state=ended, effects=(capture, Cancel(name="days")), result=result, notices=(notice,)
    )


@operation(
    "book_weight",
    collection="lot",
    key="lot_id",
    state=Lot,
    result=WeightBooked,
    internal=True,
    errors=("not_found",),
    events=("wholesale_market.lot_oversold",),
)
async def book_weight(pack: Pack, context: Context, message: BookWeight, lot: Lot | None) -> Plan:
    """Add what a deal has sold of the lot, and tell when it is more than came in."""
    known = _known(lot, message.lot_id)
    market = await market_of(context, known.market_id)
    sold_g = known.sold_g + message.weight_g
    most_g = known.declared_g + half_up(known.declared_g * market.terms.oversold_ppm, PPM)
    last = known.last_sale_at
    booked = replace(
        known,
        sold_g=sold_g,
        deals=known.deals + message.deals,
        oversold=known.oversold or sold_g > most_g,
        last_sale_at=message.sold_at if last is None else max(last, message.sold_at),
    )
    notices: tuple[Notice, ...] = ()
    if booked.oversold and not known.oversold:
        told = LotOversold(
            lot_id=known.lot_id,
            stall_id=known.stall_id,
            declared_g=known.declared_g,
            sold_g=sold_g,
        )
        notices = (Notice(type="wholesale_market.lot_oversold", subject=known.lot_id, data=told),)
    result = WeightBooked(lot_id=known.lot_id, sold_g=sold_g)
    return Plan(state=booked, result=result, notices=notices)


@operation(
    "claim_deposit",
    collection="lot",
    key="lot_id",
    state=Lot,
    result=DepositClaimed,
    internal=True,
    errors=("not_found",),
    events=("wholesale_market.deposit_claimed",),
)
async def claim_deposit(
    pack: Pack, context: Context, message: ClaimDeposit, lot: Lot | None
) -> tuple[Plan, ...]:
    """Pay what a farmer owes a buyer out of the lot's deposit, as far as it goes."""
    known = _known(lot, message.lot_id)
    captured = min(message.amount_minor, known.left_minor)
    nothing = _claim_plan(known, message, 0)
    # The second way is for a farmer's account that is frozen: the claim stays on the lot.
    return (_claim_plan(known, message, captured), nothing) if captured else (nothing,)


def _claim_plan(lot: Lot, message: ClaimDeposit, captured: int) -> Plan:
    short = message.amount_minor - captured
    result = DepositClaimed(
        lot_id=lot.lot_id,
        deal_id=message.deal_id,
        account_id=message.account_id,
        captured_minor=captured,
        short_minor=short,
        status="short" if short else "claimed",
    )
    used_up = captured > 0 and captured == lot.left_minor
    claimed = replace(
        lot,
        captured_minor=lot.captured_minor + captured,
        short_minor=lot.short_minor + short,
        deposit="resolved" if used_up else lot.deposit,
    )
    effects: tuple[Effect, ...] = ()
    if captured:
        effects = (CaptureHold(name="deposit", amount_minor=captured, payee=message.account_id),)
    notice = Notice(type="wholesale_market.deposit_claimed", subject=lot.lot_id, data=result)
    return Plan(state=claimed, effects=effects, result=result, notices=(notice,))


@operation(
    "get_lot",
    collection="lot",
    key="lot_id",
    state=Lot,
    result=LotView,
    mutates=False,
    errors=("not_found",),
)
async def get_lot(pack: Pack, context: Context, message: GetLot, lot: Lot | None) -> LotView:
    """Read a lot: what came in, what was sold, and its deposit."""
    known = _known(lot, message.lot_id)
    return LotView(
        lot_id=known.lot_id,
        market_id=known.market_id,
        stall_id=known.stall_id,
        farmer_id=known.farmer_id,
        goods=known.goods,
        certificate=known.certificate,
        declared_g=known.declared_g,
        sold_g=known.sold_g,
        deals=known.deals,
        deposit=known.deposit,
        deposit_minor=known.deposit_minor,
        captured_minor=known.captured_minor,
        short_minor=known.short_minor,
        oversold=known.oversold,
        registered_at=known.registered_at,
        status=known.status,
    )


def _closed(lot: Lot, by: Literal["request", "timer"]) -> Plan:
    left = lot.left_minor
    result = LotClosed(
        lot_id=lot.lot_id,
        sold_g=lot.sold_g,
        deals=lot.deals,
        released_minor=left,
        captured_minor=lot.captured_minor,
        by=by,
    )
    effects: tuple[Effect, ...] = (Cancel(name="days"),) if by == "request" else ()
    if left:
        effects = (VoidHold(name="deposit"), *effects)
    ended = replace(lot, status="closed", deposit="none" if lot.deposit == "none" else "resolved")
    notice = Notice(type="wholesale_market.lot_closed", subject=lot.lot_id, data=result)
    return Plan(state=ended, effects=effects, result=result, notices=(notice,))


def _disputable_until(lot: Lot, market: Market) -> datetime:
    terms = market.terms
    if lot.last_sale_at is None:
        return lot.registered_at
    minutes = terms.dispute_minutes + terms.reweigh_minutes
    return lot.last_sale_at + timedelta(minutes=minutes) + _GRACE


def _known(lot: Lot | None, lot_id: str) -> Lot:
    if lot is None:
        raise NotFound(f"no lot {lot_id!r}; register it at the gate", field="lot_id")
    return lot


def _open_lot(lot: Lot | None, lot_id: str) -> Lot:
    known = _known(lot, lot_id)
    if known.status not in _OPEN:
        raise InvalidState(f"lot {lot_id!r} is {known.status}", field="lot_id")
    return known
