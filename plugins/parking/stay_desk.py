"""What is done while a car is inside: paying before the gate, and stamps of merchants.

A stamp is worth something only when the car leaves, so the most that it may be worth is held in the
merchant's account until then. A car that stays for too long loses it, with the hold.
"""

from datetime import timedelta

from msgspec.structs import replace

from zhihui.plugin import (
    Context,
    HoldExpired,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
    Notice,
    Pack,
    Pay,
    PlaceHold,
    Plan,
    on_timer,
    operation,
)

from .division import shares_of
from .gate_clock import check_time
from .state import STAMPS_MAX, Merchant, Session, Stamp, Vehicle
from .stay import bill_for, stamp_worth_max_minor
from .stay_messages import (
    MerchantRegistered,
    PrepayStay,
    RegisterMerchant,
    StampExpired,
    StampStay,
    StayPrepaid,
    StayStamped,
)
from .terms import PPM
from .vehicle_desk import known_vehicle

__all__ = ("expire_stamp", "prepay", "register_merchant", "stamp")

# Longer than any customer shops, short enough that a car which is never seen again does not keep
# a shop's money.
_STAMP_S = 3 * 86_400


@operation(
    "prepay",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=StayPrepaid,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("parking.prepaid",),
)
async def prepay(
    pack: Pack, context: Context, message: PrepayStay, vehicle: Vehicle | None
) -> Plan:
    """Pay a stay up to now, before driving to the gate (场内缴费)."""
    check_time(context, "paid_at", message.paid_at)
    known = known_vehicle(vehicle, message.plate)
    session = _session(known, message.lot_id)
    if message.paid_at < session.entered_at:
        raise InvalidField(
            f"paid_at is {message.paid_at.isoformat()}, "
            f"before the entry at {session.entered_at.isoformat()}",
            field="paid_at",
        )
    payer = message.account_id or known.account_id
    if payer is None:
        raise InvalidState(f"no account is bound to {known.plate}; name one", field="account_id")
    if session.prepaid_by not in ("", payer):
        raise InvalidState(
            "the stay was paid from another account before; go on with that one",
            field="account_id",
        )
    due = bill_for(session, message.paid_at).due_minor
    if due:
        session = replace(
            session,
            prepaid_minor=session.prepaid_minor + due,
            prepaid_at=message.paid_at,
            prepaid_by=payer,
        )
    paid_at = session.prepaid_at
    result = StayPrepaid(
        plate=known.plate,
        lot_id=session.lot_id,
        paid_minor=due,
        prepaid_minor=session.prepaid_minor,
        # Paying nothing gives no new minutes: else a stay would be free for ever.
        leave_by=paid_at and paid_at + timedelta(minutes=session.in_force.leave_minutes),
        status="prepaid" if due else "nothing_due",
    )
    if not due:
        return Plan(result=result)
    pay = Pay(
        payer=payer,
        payee=session.payee,
        amount_minor=due,
        reference=f"parking {session.lot_id} {known.plate} {session.entered_at.isoformat()}",
        shares=shares_of(due, session.shares),
    )
    return Plan(
        state=replace(known, session=session),
        effects=(pay,),
        result=result,
        notices=(Notice(type="parking.prepaid", subject=known.plate, data=result),),
    )


@operation(
    "register_merchant",
    collection="merchant",
    key="merchant_id",
    state=Merchant,
    result=MerchantRegistered,
)
async def register_merchant(
    pack: Pack, context: Context, message: RegisterMerchant, merchant: Merchant | None
) -> Plan:
    """Name a shop that stamps stays, or change what it may."""
    new = Merchant(
        merchant_id=message.merchant_id,
        account_id=message.account_id,
        lots=message.lots,
        minutes_max=message.minutes_max,
        pays_ppm=message.pays_ppm,
    )
    result = MerchantRegistered(
        merchant_id=new.merchant_id,
        account_id=new.account_id,
        lots=new.lots,
        minutes_max=new.minutes_max,
        pays_ppm=new.pays_ppm,
        status="registered" if merchant is None else "unchanged" if merchant == new else "updated",
    )
    return Plan(state=new, result=result)


@operation(
    "stamp",
    collection="vehicle",
    key="plate",
    state=Vehicle,
    result=StayStamped,
    errors=("not_found", "invalid_state", "limit_exceeded", "insufficient_funds"),
    events=("parking.stay_stamped",),
)
async def stamp(pack: Pack, context: Context, message: StampStay, vehicle: Vehicle | None) -> Plan:
    """Take over minutes of a customer's stay (商户减免)."""
    known = known_vehicle(vehicle, message.plate)
    merchant = await context.read("merchant", message.merchant_id, Merchant)
    if merchant is None:
        raise NotFound(f"no merchant {message.merchant_id!r}", field="merchant_id")
    session = known.session
    if session is None or session.lot_id not in merchant.lots:
        raise InvalidState(
            f"{known.plate} is in no lot of merchant {merchant.merchant_id!r}", field="plate"
        )
    stamped = sum(one.minutes for one in session.stamps) + message.minutes
    _check_stamp(session, merchant, message, stamped)
    worth = stamp_worth_max_minor(session, message.minutes)
    # Up, as the hold has to cover the part, which is rounded down.
    held = -(-worth * merchant.pays_ppm // PPM)
    hold = f"stamp-{context.request_id}" if held else ""
    new = Stamp(
        merchant_id=merchant.merchant_id,
        minutes=message.minutes,
        pays_ppm=merchant.pays_ppm,
        hold=hold,
        held_minor=held,
    )
    place = PlaceHold(
        name=hold,
        account_id=merchant.account_id,
        amount_minor=held,
        payee=session.payee,
        expires_in_s=_STAMP_S,
        reference=f"parking {session.lot_id} {known.plate} {message.receipt}".rstrip(),
    )
    result = StayStamped(
        plate=known.plate,
        lot_id=session.lot_id,
        merchant_id=merchant.merchant_id,
        minutes=message.minutes,
        held_minor=held,
        stamped_minutes=stamped,
    )
    return Plan(
        state=replace(known, session=replace(session, stamps=(*session.stamps, new))),
        effects=(place,) if held else (),
        result=result,
        notices=(Notice(type="parking.stay_stamped", subject=known.plate, data=result),),
    )


@on_timer(
    "expire_stamp",
    collection="vehicle",
    state=Vehicle,
    body=HoldExpired,
    events=("parking.stamp_expired",),
)
async def expire_stamp(
    pack: Pack, context: Context, body: HoldExpired, vehicle: Vehicle | None
) -> Plan:
    """Take a stamp off a stay together with its hold."""
    session = None if vehicle is None else vehicle.session
    if vehicle is None or session is None:
        return Plan()
    found = [one for one in session.stamps if one.hold == body.name]
    if not found:
        return Plan()
    expired = StampExpired(
        plate=vehicle.plate,
        lot_id=session.lot_id,
        merchant_id=found[0].merchant_id,
        minutes=found[0].minutes,
    )
    stamps = tuple(one for one in session.stamps if one.hold != body.name)
    return Plan(
        state=replace(vehicle, session=replace(session, stamps=stamps)),
        notices=(Notice(type="parking.stamp_expired", subject=vehicle.plate, data=expired),),
    )


def _session(vehicle: Vehicle, lot_id: str) -> Session:
    session = vehicle.session
    if session is None or session.lot_id != lot_id:
        raise InvalidState(f"{vehicle.plate} is not in lot {lot_id!r}", field="lot_id")
    return session


def _check_stamp(session: Session, merchant: Merchant, message: StampStay, stamped: int) -> None:
    if any(one.merchant_id == merchant.merchant_id for one in session.stamps):
        raise InvalidState(
            f"merchant {merchant.merchant_id!r} has stamped this stay", field="merchant_id"
        )
    if len(session.stamps) >= STAMPS_MAX:
        raise LimitExceeded(f"{STAMPS_MAX} merchants have stamped this stay", field="plate")
    if message.minutes > merchant.minutes_max:
        raise LimitExceeded(
            f"minutes is {message.minutes}; merchant {merchant.merchant_id!r} may stamp "
            f"{merchant.minutes_max}",
            field="minutes",
        )
    most = session.in_force.stamp_minutes_max
    if stamped > most:
        raise LimitExceeded(
            f"lot {session.lot_id!r} takes stamps for {most} minutes of a stay; with this one it "
            f"would be {stamped}",
            field="minutes",
        )
