"""The public API for authors of scenario packs: all that a pack may import, beside ``schemas``.

A pack is a folder with a ``plugin.toml`` and a class derived from :class:`Pack`. Its operations
are methods marked with :func:`operation`. Each identity, such as a vehicle, has one state document
and handles one message at a time. A method decides and returns; it never writes::

    class Parking(Pack):
        @operation("enter", collection="vehicle", key="plate", state=Vehicle)
        async def enter(self, context, message: EnterLot, vehicle: Vehicle | None) -> Plan:
            ...
            return Plan(state=vehicle_inside, result=session)

A read is marked ``mutates=False`` and returns its result itself.
"""

from kernel.pack import Context, Notice, Pack, Plan, operation
from schemas.errors import (
    InsufficientFunds,
    InvalidField,
    InvalidState,
    NotFound,
    Rejected,
)
from schemas.pay import Pay

__all__ = (
    "Context",
    "InsufficientFunds",
    "InvalidField",
    "InvalidState",
    "NotFound",
    "Notice",
    "Pack",
    "Pay",
    "Plan",
    "Rejected",
    "operation",
)
