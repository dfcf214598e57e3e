"""The car park as a pack: its operations and timers, desk by desk.

Decisions of the trade that are made here:

- All of a plate stands in one document: stay, debts, mandate, passes, disputes. So nothing is
  collected twice, and an exit is decided at once, without asking anybody.
- A car that owes is refused at the gate, never locked in: an exit always succeeds.
- Times may come late but not from the future, and stays of one plate follow each other.
- What a lot does not ask for costs nothing: a plain entry and a plain exit are one document each,
  and the payments of the exit.
"""

from typing import Any

from zhihui.plugin import Pack

from . import (
    dispute_desk,
    entry_desk,
    exit_desk,
    lot_desk,
    pass_desk,
    place_desk,
    stay_desk,
    vehicle_desk,
)
from .gate_clock import CLOCK_SKEW_MAX

__all__ = ("CLOCK_SKEW_MAX", "Parking")

# What a tariff has since state version 2.
_NEW_IN_TARIFF = (
    "unit_minutes",
    "steps",
    "night_cap_minor",
    "cap_from",
    "new_energy_free_minutes",
)


class Parking(Pack):
    """City car park (智慧停车)."""

    name = "parking"

    open_lot = lot_desk.open_lot
    count_lot = lot_desk.count_lot
    count_car = lot_desk.count_car
    get_lot = lot_desk.get_lot

    bind = vehicle_desk.bind
    unbind = vehicle_desk.unbind
    enter = entry_desk.enter
    exit = exit_desk.exit_lot
    miss_entry = exit_desk.miss_entry
    close_overdue = exit_desk.close_overdue
    settle = vehicle_desk.settle
    get = vehicle_desk.get

    prepay = stay_desk.prepay
    register_merchant = stay_desk.register_merchant
    stamp = stay_desk.stamp
    expire_stamp = stay_desk.expire_stamp

    buy_pass = pass_desk.buy_pass
    renew_pass = pass_desk.renew_pass
    change_plates = pass_desk.change_plates
    get_pass = pass_desk.get_pass
    grant_pass = place_desk.grant_pass
    give_place = place_desk.give_place
    take_place = place_desk.take_place
    leave_place = place_desk.leave_place

    dispute = dispute_desk.dispute
    decide_dispute = dispute_desk.decide_dispute
    lapse_dispute = dispute_desk.lapse_dispute

    def migrate(
        self, collection: str, from_version: int, to_version: int, document: dict[str, Any]
    ) -> dict[str, Any]:
        """Turn a document into its form one version later or before.

        Version 1 knows fewer prices and reasons, and refuses what has more; all else that is new it
        skips.
        """
        if (from_version, to_version) == (2, 1):
            tariff = (document.get("session") or document).get("tariff") or {}
            for name in _NEW_IN_TARIFF:
                tariff.pop(name, None)
            for arrear in document.get("arrears", ()):
                if arrear["reason"] != "unpaid":
                    arrear["reason"] = "lost_exit"
        return document
