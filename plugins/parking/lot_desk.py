"""Lots: what they charge and how they are run, and how full they are.

Only a lot with a capacity counts its cars. It is told by messages after each entry and exit, which
may come in any order; so the count is a sum, and a moment behind. What people count on the ground
replaces it.
"""

from msgspec.structs import replace

from zhihui.plugin import Context, InvalidField, NotFound, Notice, Pack, Plan, operation

from .gate_clock import check_time
from .lot_messages import CountCar, CountLot, GetLot, LotCounted, LotFilled, LotView
from .messages import LotOpened, OpenLot
from .state import Lot, Occupancy
from .tariff import check_steps, load_zone
from .terms import PPM, LotRules

__all__ = ("count_car", "count_lot", "get_lot", "open_lot")


@operation(
    "open_lot",
    collection="lot",
    key="lot_id",
    state=Lot,
    result=LotOpened,
    events=("parking.lot_opened",),
)
async def open_lot(pack: Pack, context: Context, message: OpenLot, lot: Lot | None) -> Plan:
    """Open a lot, or give an open one another tariff, payee, shares, rules or passes."""
    _check(message)
    opened = Lot(
        lot_id=message.lot_id,
        payee=message.payee,
        tariff=message.tariff,
        shares=message.shares,
        rules=None if message.rules == LotRules() else message.rules,
        plans=message.plans,
    )
    result = LotOpened(
        lot_id=opened.lot_id,
        payee=opened.payee,
        tariff=opened.tariff,
        status="opened" if lot is None else "unchanged" if lot == opened else "updated",
        shares=opened.shares,
        rules=opened.rules,
        plans=opened.plans,
    )
    notice = Notice(type="parking.lot_opened", subject=opened.lot_id, data=result)
    return Plan(
        state=opened, result=result, notices=() if result.status == "unchanged" else (notice,)
    )


@operation(
    "count_lot",
    collection="occupancy",
    key="lot_id",
    state=Occupancy,
    result=LotCounted,
    errors=("not_found",),
    events=("parking.lot_full", "parking.lot_free"),
)
async def count_lot(
    pack: Pack, context: Context, message: CountLot, count: Occupancy | None
) -> Plan:
    """Report what was counted on the ground (盘点)."""
    check_time(context, "counted_at", message.counted_at)
    lot = await context.read("lot", message.lot_id, Lot)
    if lot is None:
        raise NotFound(f"no lot {message.lot_id!r}; open it first", field="lot_id")
    before = count or Occupancy(lot_id=lot.lot_id)
    after = Occupancy(
        lot_id=lot.lot_id,
        capacity=lot.in_force.capacity,
        casual=message.casual,
        passes=message.passes,
        is_full=before.is_full,
    )
    result = LotCounted(
        lot_id=lot.lot_id,
        casual=after.casual,
        passes=after.passes,
        drift=before.casual + before.passes - after.casual - after.passes,
    )
    return replace(_counted(after), result=result)


@operation(
    "count_car",
    collection="occupancy",
    key="lot_id",
    state=Occupancy,
    result=LotCounted,
    events=("parking.lot_full", "parking.lot_free"),
    internal=True,
)
async def count_car(
    pack: Pack, context: Context, message: CountCar, count: Occupancy | None
) -> Plan:
    """Count a car that came or went."""
    before = count or Occupancy(lot_id=message.lot_id)
    is_pass = message.kind == "pass"
    after = replace(
        before,
        capacity=message.capacity,
        casual=before.casual + (0 if is_pass else message.change),
        passes=before.passes + (message.change if is_pass else 0),
    )
    result = LotCounted(lot_id=after.lot_id, casual=after.casual, passes=after.passes, drift=0)
    return replace(_counted(after), result=result)


@operation(
    "get_lot",
    collection="occupancy",
    key="lot_id",
    state=Occupancy,
    result=LotView,
    mutates=False,
    errors=("not_found",),
)
async def get_lot(
    pack: Pack, context: Context, message: GetLot, count: Occupancy | None
) -> LotView:
    """Read how full a lot is (余位)."""
    lot = await context.read("lot", message.lot_id, Lot)
    if lot is None:
        raise NotFound(f"no lot {message.lot_id!r}; open it first", field="lot_id")
    known = count or Occupancy(lot_id=lot.lot_id)
    capacity = lot.in_force.capacity
    free = None if capacity is None else max(capacity - known.casual, 0)
    return LotView(
        lot_id=lot.lot_id,
        casual=max(known.casual, 0),
        passes=max(known.passes, 0),
        free=free,
        status="full" if free == 0 else "open",
    )


def _counted(count: Occupancy) -> Plan:
    """Return the plan that stores a count, and tells when the sign at the gate changes."""
    is_full = count.capacity is not None and count.casual >= count.capacity
    after = replace(count, is_full=is_full)
    if is_full == count.is_full or count.capacity is None:
        return Plan(state=after)
    filled = LotFilled(
        lot_id=count.lot_id, casual=count.casual, capacity=count.capacity, is_full=is_full
    )
    type_ = "parking.lot_full" if is_full else "parking.lot_free"
    return Plan(state=after, notices=(Notice(type=type_, subject=count.lot_id, data=filled),))


def _check(message: OpenLot) -> None:
    tariff, rules = message.tariff, message.rules or LotRules()
    try:
        load_zone(tariff.zone)
    except ValueError as error:
        raise InvalidField(
            f"{error}; use a name of the IANA database such as 'Asia/Shanghai'",
            field="tariff.zone",
        ) from error
    try:
        check_steps(tariff)
    except ValueError as error:
        raise InvalidField(str(error), field="tariff.steps") from error
    passed_on = sum(share.ppm for share in message.shares)
    if passed_on > PPM:
        raise InvalidField(f"shares sum to {passed_on} ppm; at most {PPM}", field="shares")
    payees = [message.payee, *(share.payee for share in message.shares)]
    if len(set(payees)) < len(payees):
        raise InvalidField(
            "the operator or a payee is named twice; each has one share", field="shares"
        )
    if (rules.opens_at is None) != (rules.closes_at is None):
        raise InvalidField("opens_at and closes_at go together", field="rules.opens_at")
    plans = [plan.plan_id for plan in message.plans]
    if len(set(plans)) < len(plans):
        raise InvalidField("two passes have the same plan_id", field="plans")
