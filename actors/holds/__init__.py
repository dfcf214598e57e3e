"""Holds (预授权) and freezes (冻结)."""

from actors.holds._decisions import timer_of
from actors.holds.hold_actor import HoldActor
from actors.holds.hold_row import HOLD_COLUMNS, HoldRow, fetch_holds, public_hold

__all__ = ("HOLD_COLUMNS", "HoldActor", "HoldRow", "fetch_holds", "public_hold", "timer_of")
