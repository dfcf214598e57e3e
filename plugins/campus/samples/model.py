"""The simple sequential model of the day: what must come of each message, and of all of them.

It keeps its own books and shares nothing with the pack, not even how a sale is signed. Where the
pack has documents, holds, timers, and messages from one identity to another, this has dictionaries
and one message after another, with all that follows from it at once.
"""

from datetime import datetime
from typing import Any

import msgspec

from plugins.campus.samples.bank import Refused
from plugins.campus.samples.cast import Message
from plugins.campus.samples.people import Answer
from plugins.campus.samples.purse import SOON
from plugins.campus.samples.tills import Tills

__all__ = ("Model", "Verdict")


class Verdict(msgspec.Struct, frozen=True):
    """What the reply must say: a scenario's own status, ``ok``, or the code of an error.

    ``result`` holds fields of the result that must be equal.
    """

    outcome: str
    result: dict[str, Any] = {}


class Model(Tills):
    """The books of the bank and of the school, as one person with a pencil would keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.rooms: dict[str, dict[str, Any]] = {}
        self.releases: dict[str, dict[str, Any]] = {}
        self._decided: dict[str, tuple[str, dict[str, Any], Verdict]] = {}
        self._kept: dict[str, dict[str, Any]] = {}

    def handle(self, message: Message) -> Verdict:
        """Return what must come of the message, and write it into the books."""
        if message.fault is not None or message.body is None:
            return Verdict(message.fault or "malformed_message")
        request_id = message.body.get("request_id")
        before = self._decided.get(request_id) if request_id else None
        if before is not None:
            same = before[:2] == (message.subject_tail, message.body)
            return before[2] if same else Verdict("conflict")
        try:
            handler = getattr(self, message.subject_tail.replace(".", "_"))
            verdict = Verdict(*handler(self._resolved(message.body)))
        except Refused as refused:
            verdict = Verdict(str(refused))
        if message.keeps is not None:
            # What the service makes up is called by the name under which it is kept.
            made_up = dict.fromkeys(("customer_id", "case_id"), message.keeps)
            self._kept[message.keeps] = {
                "lapses_at": SOON.isoformat(), **made_up, **verdict.result
            }  # fmt: skip
        if message.defines is not None and message.subject_tail == "case.get":
            self.limited.add(message.defines)
        if request_id:
            self._decided[request_id] = (message.subject_tail, message.body, verdict)
        return verdict

    def advance(self) -> None:
        """Let so much time pass that all ends which ends within a month."""
        self.over = SOON
        self.expire()
        for release in self.releases.values():
            if release["status"] == "requested":
                release["status"] = "lapsed"
                self.held[release["account"]] -= release["amount_minor"]
        for room in self.rooms.values():
            room["month"] = 0
        self.new_day()

    def _resolved(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body with what earlier results said in place of their names."""
        after = dict(body)
        for field, value in body.items():
            if isinstance(value, str) and value.startswith("@") and "." in value:
                name, _, kept = value[1:].partition(".")
                after[field] = self._kept[name][kept]
        return after

    # Power.

    def campus_open_room(self, body: dict[str, Any]) -> Answer:
        """Open a room."""
        self.rooms[body["room_id"]] = {
            "school": body["school_id"],
            "steps": body["steps"],
            "shown": body["meter_units"],
            "read_at": None,
            "month": 0,
            "bought": 0,
            "used": 0,
            "kept": 0,
        }
        return "opened", {}

    def campus_top_up_power(self, body: dict[str, Any]) -> Answer:
        """Buy power, one hundredth of a kWh after another."""
        room = self._room(body)
        student = self.person(body["student_id"])
        payer = student["wallet"]
        if body.get("guardian_id") is not None:
            payer = self.purse_of(student, body["guardian_id"])
        power = self.schools[room["school"]]["accounts"]["power"]
        self.pay([(payer, power, body["amount_minor"])])
        money, units = room["kept"] + 100 * body["amount_minor"], 0
        while money >= (price := _price(room["steps"], room["month"])):
            money -= price
            units += 1
            room["month"] += 1
        room["kept"] = money
        room["bought"] += units
        return "bought", {
            "bought_units": units,
            "kept": money,
            "left_units": room["bought"] - room["used"],
        }

    def campus_read_meter(self, body: dict[str, Any]) -> Answer:
        """Note what a meter shows, if it is newer than what is known."""
        room = self._room(body)
        read_at = datetime.fromisoformat(body["read_at"])
        if room["read_at"] is not None and read_at <= room["read_at"]:
            status = "stale"
        elif body["meter_units"] < room["shown"]:
            raise Refused("invalid_field")
        else:
            status = "taken"
            room["used"] += body["meter_units"] - room["shown"]
            room |= {"shown": body["meter_units"], "read_at": read_at}
        return status, {
            "used_units": room["used"],
            "left_units": room["bought"] - room["used"],
        }

    def campus_replace_meter(self, body: dict[str, Any]) -> Answer:
        """Put another meter in."""
        room = self._room(body)
        moment = datetime.fromisoformat(body["replaced_at"])
        backwards = body["old_meter_units"] < room["shown"]
        if backwards or (room["read_at"] is not None and moment <= room["read_at"]):
            raise Refused("invalid_field")
        room["used"] += body["old_meter_units"] - room["shown"]
        room |= {"shown": body["new_meter_units"], "read_at": moment}
        return "replaced", {"used_units": room["used"]}

    def campus_get_room(self, body: dict[str, Any]) -> Answer:
        """Read a room."""
        room = self._room(body)
        left = room["bought"] - room["used"]
        status = "used_up" if left <= 0 else "low" if left <= 500 else "normal"
        return status, {"left_units": left, "kept": room["kept"]}

    def _room(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["room_id"] not in self.rooms:
            raise Refused("not_found")
        return self.rooms[body["room_id"]]

    # Supervised money.

    def campus_request_release(self, body: dict[str, Any]) -> Answer:
        """Hold money for a payee."""
        if body["release_id"] in self.releases:
            raise Refused("invalid_state")
        self.check_officer(body["school_id"], body["officer_id"], "may_request")
        account = self.schools[body["school_id"]]["accounts"]["supervised"]
        self.hold(account, body["amount_minor"])
        self.releases[body["release_id"]] = {**body, "account": account, "status": "requested"}
        return "requested", {"amount_minor": body["amount_minor"]}

    def campus_approve_release(self, body: dict[str, Any]) -> Answer:
        """Let the money go."""
        release = self._undecided(body)
        self.check_officer(release["school_id"], body["officer_id"], "may_approve")
        if body["officer_id"] == release["officer_id"]:
            raise Refused("invalid_state")
        self.held[release["account"]] -= release["amount_minor"]
        self.pay([(release["account"], release["payee"], release["amount_minor"])])
        release["status"] = "released"
        return "released", {"decided_by": body["officer_id"]}

    def campus_refuse_release(self, body: dict[str, Any]) -> Answer:
        """Give the money free."""
        release = self._undecided(body)
        if body["officer_id"] != release["officer_id"]:
            self.check_officer(release["school_id"], body["officer_id"], "may_approve")
        self.held[release["account"]] -= release["amount_minor"]
        release["status"] = "refused"
        return "refused", {}

    def campus_get_release(self, body: dict[str, Any]) -> Answer:
        """Read a release."""
        if body["release_id"] not in self.releases:
            raise Refused("not_found")
        return self.releases[body["release_id"]]["status"], {}

    def _undecided(self, body: dict[str, Any]) -> dict[str, Any]:
        release = self.releases.get(body["release_id"])
        if release is None:
            raise Refused("not_found")
        if release["status"] != "requested":
            raise Refused("invalid_state")
        return release


def _price(steps: list[dict[str, int]], units: int) -> int:
    """Return the price (fen a kWh) of the next unit of a month."""
    for step in steps:
        if units < step.get("up_to_units", units + 1):
            return step["kwh_minor"]
    raise AssertionError("the last step has no end")
