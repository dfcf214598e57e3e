"""The operations of the city car park. The rules of money are in ``collection``.

Decisions of the trade that are made here:

- An entry to the lot that the car is in already is rejected: the camera read twice, or an exit
  was missed, which the operator reports first. At another lot the car has obviously left, so
  the open stay is closed as a lost exit and the entry stands.
- A car that owes for many stays is refused at the gate, never locked in: an exit always succeeds.
- Times may come late but not from the future, and stays of one plate follow each other.
"""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from zhihui.plugin import (
    Context,
    InvalidField,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Plan,
    operation,
)

from .collection import close_lost, exit_plans, settle_plan
from .messages import (
    ArrearsSettled,
    BindVehicle,
    Entered,
    EnterLot,
    Exited,
    ExitLot,
    GetVehicle,
    LotOpened,
    OpenLot,
    SettleArrears,
    Stay,
    VehicleBound,
    VehicleView,
)
from .state import ARREARS_MAX, Lot, Session, Vehicle
from .tariff import load_zone

__all__ = ("CLOCK_SKEW_MAX", "Parking")

# How far clocks of lots may differ from ours and from each other. Lots run NTP over mobile links:
# minutes happen, hours are a fault.
CLOCK_SKEW_MAX = timedelta(minutes=10)

# Before there were such systems. It keeps all arithmetic off the ends of the calendar.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class Parking(Pack):
    """City car park (智慧停车)."""

    name = "parking"

    @operation(
        "open_lot",
        collection="lot",
        key="lot_id",
        state=Lot,
        result=LotOpened,
        events=("parking.lot_opened",),
    )
    async def open_lot(self, context: Context, message: OpenLot, lot: Lot | None) -> Plan:
        """Open a lot, or give an open one a new tariff or payee."""
        try:
            load_zone(message.tariff.zone)
        except ValueError as error:
            raise InvalidField(
                f"{error}; use a name of the IANA database such as 'Asia/Shanghai'",
                field="tariff.zone",
            ) from error
        opened = Lot(lot_id=message.lot_id, payee=message.payee, tariff=message.tariff)
        result = LotOpened(
            lot_id=opened.lot_id,
            payee=opened.payee,
            tariff=opened.tariff,
            status="opened" if lot is None else "unchanged" if lot == opened else "updated",
        )
        notice = Notice(type="parking.lot_opened", subject=opened.lot_id, data=result)
        return Plan(
            state=opened, result=result, notices=() if result.status == "unchanged" else (notice,)
        )

    @operation(
        "bind",
        collection="vehicle",
        key="plate",
        state=Vehicle,
        result=VehicleBound,
        events=("parking.vehicle_bound",),
    )
    async def bind(self, context: Context, message: BindVehicle, vehicle: Vehicle | None) -> Plan:
        """Name the account that pays for a plate from now on."""
        known = vehicle or Vehicle(plate=message.plate)
        result = VehicleBound(
            plate=message.plate,
            account_id=message.account_id,
            arrears_minor=known.arrears_minor,
        )
        return Plan(
            state=replace(known, account_id=message.account_id),
            result=result,
            notices=(Notice(type="parking.vehicle_bound", subject=message.plate, data=result),),
        )

    @operation(
        "enter",
        collection="vehicle",
        key="plate",
        state=Vehicle,
        result=Entered,
        errors=("not_found", "invalid_state"),
        events=("parking.entered", "parking.exit_lost"),
    )
    async def enter(self, context: Context, message: EnterLot, vehicle: Vehicle | None) -> Plan:
        """Report that a car drove in."""
        _check_time(context, "entered_at", message.entered_at)
        known = vehicle or Vehicle(plate=message.plate)
        _check_order(known, message)
        lot = await context.read("lot", message.lot_id, Lot)
        if lot is None:
            raise NotFound(f"no lot {message.lot_id!r}; open it first", field="lot_id")
        outside, lost = close_lost(known, message.entered_at)
        if len(outside.arrears) >= ARREARS_MAX:
            raise InvalidState(
                f"{message.plate} owes for {len(outside.arrears)} stays and may not enter; "
                "settle them first",
                field="plate",
            )
        session = Session(
            lot_id=lot.lot_id,
            payee=lot.payee,
            tariff=lot.tariff,
            entered_at=message.entered_at,
        )
        result = Entered(
            plate=message.plate,
            lot_id=lot.lot_id,
            entered_at=message.entered_at,
            arrears_minor=outside.arrears_minor,
            lost_exit=lost,
        )
        notices = [Notice(type="parking.entered", subject=message.plate, data=result)]
        if lost is not None:
            notices.append(Notice(type="parking.exit_lost", subject=message.plate, data=lost))
        return Plan(state=replace(outside, session=session), result=result, notices=tuple(notices))

    @operation(
        "exit",
        collection="vehicle",
        key="plate",
        state=Vehicle,
        result=Exited,
        errors=("not_found", "invalid_state"),
        events=("parking.exited", "parking.arrears_recorded", "parking.arrears_collected"),
    )
    async def exit(
        self, context: Context, message: ExitLot, vehicle: Vehicle | None
    ) -> tuple[Plan, ...]:
        """Report that a car drove out, and collect what it owes."""
        known = _known(vehicle, message.plate)
        session = known.session
        if session is None:
            raise InvalidState(f"{message.plate} is in no lot", field="plate")
        if session.lot_id != message.lot_id:
            raise InvalidState(
                f"{message.plate} is in lot {session.lot_id!r}, not in {message.lot_id!r}",
                field="lot_id",
            )
        _check_time(context, "left_at", message.left_at)
        if message.left_at < session.entered_at:
            raise InvalidField(
                f"left_at is {message.left_at.isoformat()}, "
                f"before the entry at {session.entered_at.isoformat()}",
                field="left_at",
            )
        return exit_plans(known, session, message.left_at)

    @operation(
        "settle",
        collection="vehicle",
        key="plate",
        state=Vehicle,
        result=ArrearsSettled,
        errors=("not_found", "invalid_state", "insufficient_funds"),
        events=("parking.arrears_collected",),
    )
    async def settle(
        self, context: Context, message: SettleArrears, vehicle: Vehicle | None
    ) -> Plan:
        """Pay everything a plate owes at once (补缴欠费)."""
        known = _known(vehicle, message.plate)
        if known.account_id is None:
            raise InvalidState(
                f"no account is bound to {message.plate}; bind one first", field="plate"
            )
        return settle_plan(known)

    @operation(
        "get",
        collection="vehicle",
        key="plate",
        state=Vehicle,
        result=VehicleView,
        mutates=False,
        errors=("not_found",),
    )
    async def get(
        self, context: Context, message: GetVehicle, vehicle: Vehicle | None
    ) -> VehicleView:
        """Read what is known of a plate: its stay, its binding, its arrears."""
        known = _known(vehicle, message.plate)
        session = known.session
        stay = None
        if session is not None:
            stay = Stay(lot_id=session.lot_id, entered_at=session.entered_at)
        return VehicleView(
            plate=known.plate,
            status="outside" if stay is None else "inside",
            account_id=known.account_id,
            arrears_minor=known.arrears_minor,
            stay=stay,
            last=known.last,
        )


def _known(vehicle: Vehicle | None, plate: str) -> Vehicle:
    if vehicle is None:
        raise NotFound(
            f"plate {plate} is not known: it never entered and is not bound", field="plate"
        )
    return vehicle


def _check_time(context: Context, field: str, instant: datetime) -> None:
    if instant < _EARLIEST:
        raise InvalidField(
            f"{field} is {instant.isoformat()}; expected a time after the year 2000", field=field
        )
    now = context.clock.now()
    if instant > now + CLOCK_SKEW_MAX:
        raise InvalidField(
            f"{field} is {instant.isoformat()}, ahead of the service's clock at {now.isoformat()}; "
            "set the clock of the lot",
            field=field,
        )


def _check_order(vehicle: Vehicle, message: EnterLot) -> None:
    session, last = vehicle.session, vehicle.last
    if session is not None:
        since = session.entered_at
        if session.lot_id == message.lot_id:
            raise InvalidState(
                f"{message.plate} is in lot {session.lot_id!r} since {since.isoformat()}; "
                "report the missing exit first",
                field="plate",
            )
        if message.entered_at < since:
            raise InvalidField(
                f"entered_at is {message.entered_at.isoformat()}, before the entry to lot "
                f"{session.lot_id!r} at {since.isoformat()}",
                field="entered_at",
            )
    elif last is not None and message.entered_at < last.left_at - CLOCK_SKEW_MAX:
        raise InvalidField(
            f"entered_at is {message.entered_at.isoformat()}, "
            f"before the last exit at {last.left_at.isoformat()}",
            field="entered_at",
        )
