"""What the times that gates report may be: late, a little apart, never from the future."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from zhihui.plugin import Context, Ineligible, InvalidField, InvalidState

from .messages import EnterLot
from .state import Lot, Vehicle

__all__ = ("CLOCK_SKEW_MAX", "check_hours", "check_order", "check_time", "is_missed_exit")

# How far clocks of lots may differ from ours and from each other. Lots run NTP over mobile links:
# minutes happen, hours are a fault.
CLOCK_SKEW_MAX = timedelta(minutes=10)

# Before there were such systems. It keeps all arithmetic off the ends of the calendar.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def check_time(context: Context, field: str, instant: datetime) -> None:
    """Raise unless a reported time may be true by the service's clock."""
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


def is_missed_exit(vehicle: Vehicle, message: EnterLot) -> bool:
    """Tell whether a second entry to a lot comes so late that the exit between was missed."""
    session = vehicle.session
    if session is None or session.in_force.reentry_hours is None:
        return False
    return message.entered_at >= session.entered_at + timedelta(
        hours=session.in_force.reentry_hours
    )


def check_order(vehicle: Vehicle, message: EnterLot) -> None:
    """Raise unless an entry may follow what is known of the plate."""
    session, last = vehicle.session, vehicle.last
    if session is not None:
        since = session.entered_at
        if session.lot_id == message.lot_id and not is_missed_exit(vehicle, message):
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


def check_hours(lot: Lot, entered_at: datetime) -> None:
    """Raise unless a lot lets cars in at a time; equal ends mean that it never closes."""
    opens, closes = lot.in_force.opens_at, lot.in_force.closes_at
    if opens is None or closes is None or opens == closes:
        return
    wall = entered_at.astimezone(ZoneInfo(lot.tariff.zone)).time()
    is_open = opens <= wall < closes if opens < closes else not closes <= wall < opens
    if not is_open:
        raise Ineligible(
            f"lot {lot.lot_id!r} lets cars in from {opens} to {closes}; it was {wall}",
            field="entered_at",
        )
