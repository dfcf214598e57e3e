"""The public API for authors of scenario packs: all that a pack may import, beside ``schemas``.

A pack is a folder with a ``plugin.toml`` and a class derived from :class:`Pack`. Its operations
are methods marked with :func:`operation`. Each identity, such as a vehicle, has one state document
and handles one message at a time. A method decides and returns; it never writes::

    class Parking(Pack):
        @operation("enter", collection="vehicle", key="plate", state=Vehicle)
        async def enter(self, context, message: EnterLot, vehicle: Vehicle | None) -> Plan:
            ...
            return Plan(state=vehicle_inside, result=session)

A read is marked ``mutates=False`` and returns its result itself. A method marked with
:func:`on_timer` is called when what a plan scheduled is due.
"""

from kernel.pack import Context, Notice, Pack, Plan, on_timer, operation
from schemas.effects import (
    Cancel,
    CaptureHold,
    HoldExpired,
    Pay,
    PlaceHold,
    Schedule,
    Send,
    Share,
    VoidHold,
)
from schemas.errors import (
    Ineligible,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
    Rejected,
)

__all__ = (
    "Cancel",
    "CaptureHold",
    "Context",
    "HoldExpired",
    "Ineligible",
    "InsufficientFunds",
    "InvalidField",
    "InvalidState",
    "LimitExceeded",
    "NotFound",
    "Notice",
    "Pack",
    "Pay",
    "PlaceHold",
    "Plan",
    "Rejected",
    "Schedule",
    "Send",
    "Share",
    "VoidHold",
    "on_timer",
    "operation",
)
