"""Passes (月卡): sold by a lot, known by their plates, shared by more plates than places.

- A plate knows its passes, so an entry asks nobody. They are told to it by messages, each with the
  revision of the pass, so the newest stands in whatever order they come.
- Where there are more plates than places, a stay asks its pass for one. Who gets none is casual,
  and queues: as soon as one leaves, the first of the queue has the place from that moment on. A
  stay that ends before the answer has the benefit of the doubt.
- A pass that ends during a stay covers it up to then; the rest is charged as a casual stay.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from zhihui.plugin import (
    Context,
    InvalidField,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Pay,
    Plan,
    Send,
    operation,
)

from .division import shares_of
from .pass_messages import BuyPass, ChangePlates, GetPass, GrantPass, PassView, RenewPass
from .state import Lot, SeasonPass
from .terms import PassPlan

__all__ = ("buy_pass", "change_plates", "get_pass", "renew_pass")

# A pass is bought for the time ahead, not for years to come.
_AHEAD_MAX = timedelta(days=366)


@operation(
    "buy_pass",
    collection="pass",
    key="pass_id",
    state=SeasonPass,
    result=PassView,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("parking.pass_sold",),
)
async def buy_pass(pack: Pack, context: Context, message: BuyPass, held: SeasonPass | None) -> Plan:
    """Buy a pass of one of a lot's plans (办月卡)."""
    if held is not None:
        raise InvalidState(f"pass {message.pass_id!r} was sold; renew it", field="pass_id")
    lot, plan = await _plan_of(context, message.lot_id, message.plan_id)
    _check_plates(message.plates, plan)
    valid_from = _begin(lot, message.from_day)
    if valid_from > context.now + _AHEAD_MAX:
        raise InvalidField(
            f"from_day is {message.from_day}; at most a year ahead", field="from_day"
        )
    sold = SeasonPass(
        pass_id=message.pass_id,
        lot_id=lot.lot_id,
        account_id=message.account_id,
        plan=plan,
        plates=message.plates,
        valid_from=valid_from,
        valid_until=_begin(lot, _months_later(message.from_day, plan.months)),
        revision=1,
    )
    result = _view(sold, "bought", plan.price_minor)
    return Plan(
        state=sold,
        effects=(_price(lot, message.account_id, sold), *_grants(sold, sold.plates)),
        result=result,
        notices=(Notice(type="parking.pass_sold", subject=sold.pass_id, data=result),),
    )


@operation(
    "renew_pass",
    collection="pass",
    key="pass_id",
    state=SeasonPass,
    result=PassView,
    errors=("not_found", "insufficient_funds"),
    events=("parking.pass_renewed",),
)
async def renew_pass(
    pack: Pack, context: Context, message: RenewPass, held: SeasonPass | None
) -> Plan:
    """Renew a pass from its end on, or from a later day (续费)."""
    known = _known(held, message.pass_id)
    lot, plan = await _plan_of(context, known.lot_id, known.plan.plan_id)
    _check_plates(known.plates, plan)
    zone = ZoneInfo(lot.tariff.zone)
    ends = known.valid_until.astimezone(zone).date()
    from_day = message.from_day or ends
    if from_day < ends:
        raise InvalidField(
            f"from_day is {from_day}; the pass is paid until {ends}", field="from_day"
        )
    if _begin(lot, from_day) > context.now + _AHEAD_MAX:
        raise InvalidField(f"the pass is paid until {ends}, a year ahead", field="pass_id")
    renewed = replace(
        known,
        account_id=message.account_id,
        plan=plan,
        valid_from=known.valid_from if from_day == ends else _begin(lot, from_day),
        valid_until=_begin(lot, _months_later(from_day, plan.months)),
        revision=known.revision + 1,
    )
    result = _view(renewed, "renewed", plan.price_minor)
    return Plan(
        state=renewed,
        effects=(_price(lot, message.account_id, renewed), *_grants(renewed, renewed.plates)),
        result=result,
        notices=(Notice(type="parking.pass_renewed", subject=renewed.pass_id, data=result),),
    )


@operation(
    "change_plates",
    collection="pass",
    key="pass_id",
    state=SeasonPass,
    result=PassView,
    errors=("not_found",),
    events=("parking.plates_changed",),
)
async def change_plates(
    pack: Pack, context: Context, message: ChangePlates, held: SeasonPass | None
) -> Plan:
    """Put other plates on a pass (换车牌)."""
    known = _known(held, message.pass_id)
    _check_plates(message.plates, known.plan)
    changed = replace(known, plates=message.plates, revision=known.revision + 1)
    removed = tuple(plate for plate in known.plates if plate not in message.plates)
    ended = replace(changed, valid_until=changed.valid_from)
    result = _view(changed, "changed", 0)
    return Plan(
        state=changed,
        effects=(*_grants(changed, changed.plates), *_grants(ended, removed)),
        result=result,
        notices=(Notice(type="parking.plates_changed", subject=changed.pass_id, data=result),),
    )


@operation(
    "get_pass",
    collection="pass",
    key="pass_id",
    state=SeasonPass,
    result=PassView,
    mutates=False,
    errors=("not_found",),
)
async def get_pass(
    pack: Pack, context: Context, message: GetPass, held: SeasonPass | None
) -> PassView:
    """Read a pass."""
    return _view(_known(held, message.pass_id), "held", 0)


def _known(held: SeasonPass | None, pass_id: str) -> SeasonPass:
    if held is None:
        raise NotFound(f"no pass {pass_id!r}", field="pass_id")
    return held


async def _plan_of(context: Context, lot_id: str, plan_id: str) -> tuple[Lot, PassPlan]:
    lot = await context.read("lot", lot_id, Lot)
    if lot is None:
        raise NotFound(f"no lot {lot_id!r}; open it first", field="lot_id")
    plan = next((one for one in lot.plans if one.plan_id == plan_id), None)
    if plan is None:
        raise NotFound(f"lot {lot_id!r} sells no pass {plan_id!r}", field="plan_id")
    return lot, plan


def _check_plates(plates: tuple[str, ...], plan: PassPlan) -> None:
    if len(set(plates)) < len(plates):
        raise InvalidField("a plate is named twice", field="plates")
    if len(plates) > plan.plates_max:
        raise InvalidField(
            f"{len(plates)} plates; pass {plan.plan_id!r} takes {plan.plates_max}", field="plates"
        )


def _begin(lot: Lot, day: date) -> datetime:
    return datetime.combine(day, time(0), ZoneInfo(lot.tariff.zone)).astimezone(UTC)


def _months_later(day: date, months: int) -> date:
    """Return the same day some months later, or the last of that month if it has no such day."""
    number = day.year * 12 + day.month - 1 + months
    year, month = number // 12, number % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _price(lot: Lot, account_id: str, sold: SeasonPass) -> Pay:
    return Pay(
        payer=account_id,
        payee=lot.payee,
        amount_minor=sold.plan.price_minor,
        reference=f"pass {sold.pass_id} {sold.revision}",
        shares=shares_of(sold.plan.price_minor, lot.shares),
    )


def _grants(held: SeasonPass, plates: tuple[str, ...]) -> tuple[Send, ...]:
    return tuple(
        Send(
            verb="grant_pass",
            body=GrantPass(
                request_id="sent",
                plate=plate,
                pass_id=held.pass_id,
                lot_id=held.lot_id,
                shared=held.shared,
                valid_from=held.valid_from,
                valid_until=held.valid_until,
                revision=held.revision,
            ),
        )
        for plate in plates
    )


def _view(
    held: SeasonPass, status: Literal["bought", "renewed", "changed", "held"], paid_minor: int
) -> PassView:
    return PassView(
        pass_id=held.pass_id,
        lot_id=held.lot_id,
        account_id=held.account_id,
        plan=held.plan,
        plates=held.plates,
        valid_from=held.valid_from,
        valid_until=held.valid_until,
        paid_minor=paid_minor,
        inside=tuple(place.plate for place in held.inside),
        queue=tuple(place.plate for place in held.queue),
        status=status,
    )
