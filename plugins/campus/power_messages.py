"""Messages about dormitory power."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import Identifier, RequestId

from .fields import GuardianId, Instant, SchoolId, StudentId
from .power_tariff import STEPS_MAX, PowerStep

__all__ = (
    "GetRoom",
    "MeterReplaced",
    "OpenRoom",
    "PowerBought",
    "PowerLow",
    "ReadMeter",
    "ReadingTaken",
    "ReplaceMeter",
    "RoomId",
    "RoomOpened",
    "RoomView",
    "TopUpPower",
    "Units",
)

# ¥500 at once: half a year of a room with air conditioning.
_POWER_MINOR_MAX = 50_000

RoomId = Annotated[Identifier, Meta(description="A room of a dormitory, with a meter of its own.")]
Units = Annotated[int, Meta(ge=0, le=2**40, description="Hundredths of a kWh.")]
_Steps = Annotated[tuple[PowerStep, ...], Meta(min_length=1, max_length=STEPS_MAX)]


class OpenRoom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a room with what its meter shows, or give an open one another tariff or threshold.

    When not more than ``low_units`` are left the room is told, once until more are bought.
    """

    request_id: RequestId
    room_id: RoomId
    school_id: SchoolId
    steps: _Steps
    meter_units: Units = 0
    low_units: Units = 500


class RoomOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The room as it stands."""

    room_id: str
    steps: tuple[PowerStep, ...]
    low_units: int
    left_units: int
    status: Literal["opened", "updated", "unchanged"]


class TopUpPower(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Buy power for a room: from a guardian's account, or from the wallet if none is named."""

    request_id: RequestId
    room_id: RoomId
    student_id: StudentId
    amount_minor: Annotated[int, Meta(ge=1, le=_POWER_MINOR_MAX, description="Fen.")]
    guardian_id: GuardianId | None = None


class PowerBought(msgspec.Struct, frozen=True, kw_only=True):
    """What an amount (fen) bought.

    ``kept`` is what was too little for another hundredth of a kWh, in hundredths of a fen; it helps
    next time.
    """

    room_id: str
    student_id: str
    payer: str
    amount_minor: int
    bought_units: int
    kept: int
    left_units: int
    status: Literal["bought"] = "bought"


class ReadMeter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report what the meter of a room shows. Readings may come late, twice and out of order."""

    request_id: RequestId
    room_id: RoomId
    meter_units: Units
    read_at: Instant


class ReadingTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What is left; below zero when more was used than bought.

    ``stale`` is a reading from before the last one: it changes nothing.
    """

    room_id: str
    meter_units: int
    used_units: int
    left_units: int
    status: Literal["taken", "stale"]


class PowerLow(msgspec.Struct, frozen=True, kw_only=True):
    """A room has little power left, or none."""

    room_id: str
    left_units: int
    status: Literal["low", "used_up"]


class ReplaceMeter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Put another meter in: what the old one shows at the end, and the new one at the start."""

    request_id: RequestId
    room_id: RoomId
    old_meter_units: Units
    new_meter_units: Units
    replaced_at: Instant


class MeterReplaced(msgspec.Struct, frozen=True, kw_only=True):
    """The new meter counts from here on; what is left stays."""

    room_id: str
    meter_units: int
    used_units: int
    left_units: int
    status: Literal["replaced"] = "replaced"


class GetRoom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a room."""

    room_id: RoomId


class RoomView(msgspec.Struct, frozen=True, kw_only=True):
    """A room as last committed; ``paid_minor`` is all that was paid for it, in fen."""

    room_id: str
    school_id: str
    steps: tuple[PowerStep, ...]
    low_units: int
    meter_units: int
    read_at: Instant | None
    bought_units: int
    used_units: int
    left_units: int
    paid_minor: int
    kept: int
    status: Literal["normal", "low", "used_up"]
