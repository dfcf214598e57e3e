"""The document of a room: what was bought, what the meter says was used."""

from datetime import datetime
from typing import Literal

import msgspec

from .power_tariff import PowerStep

__all__ = ("Room",)


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A room. Units are hundredths of a kWh, ``kept`` hundredths of a fen.

    ``month`` is the one of ``month_units``, which the steps of the tariff count. ``told`` is the
    last warning about how much is left.
    """

    room_id: str
    school_id: str
    steps: tuple[PowerStep, ...]
    low_units: int
    meter_units: int
    read_at: datetime | None = None
    month: str = ""
    month_units: int = 0
    bought_units: int = 0
    used_units: int = 0
    paid_minor: int = 0
    kept: int = 0
    told: Literal["normal", "low", "used_up"] = "normal"

    @property
    def left_units(self) -> int:
        """Return what is left; below zero when more was used than bought."""
        return self.bought_units - self.used_units

    @property
    def standing(self) -> Literal["normal", "low", "used_up"]:
        """Tell how much is left in a word."""
        if self.left_units <= 0:
            return "used_up"
        return "low" if self.left_units <= self.low_units else "normal"
