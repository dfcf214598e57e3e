"""The documents of the pack: one for each lot, one for each plate."""

from datetime import datetime
from typing import Literal

import msgspec

from .messages import Exited
from .tariff import Tariff

__all__ = ("ARREARS_MAX", "Arrear", "Lot", "Session", "Vehicle")

# Unpaid stays that one plate may pile up before lots refuse it. It bounds the document and the
# payments of one exit; sixteen is about three weeks of a commuter who never pays.
ARREARS_MAX = 16


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """A car park. ``payee`` is its operator's account."""

    lot_id: str
    payee: str
    tariff: Tariff


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """An open stay, with the tariff and the payee that were in force at the entry."""

    lot_id: str
    payee: str
    tariff: Tariff
    entered_at: datetime


class Arrear(msgspec.Struct, frozen=True, kw_only=True):
    """A fee that could not be collected; ``since`` is when it fell due."""

    lot_id: str
    payee: str
    amount_minor: int
    entered_at: datetime
    since: datetime
    reason: Literal["unpaid", "lost_exit"]


class Vehicle(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of one plate. ``arrears`` are in the order in which they fell due."""

    plate: str
    account_id: str | None = None
    session: Session | None = None
    arrears: tuple[Arrear, ...] = ()
    last: Exited | None = None

    @property
    def arrears_minor(self) -> int:
        """Return the sum of what the plate owes."""
        return sum(arrear.amount_minor for arrear in self.arrears)
