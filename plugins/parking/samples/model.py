"""The simple sequential model of the day: what must come of each message, and of all of them.

It keeps its own books and shares nothing with the pack but the tariff. Where the pack has
documents, plans and alternatives, this has dictionaries and one message after another.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import msgspec

from plugins.parking.samples.city import Message
from plugins.parking.samples.story_model import StoryModel
from plugins.parking.samples.verdict import Refused, Verdict
from plugins.parking.tariff import Tariff, fee_minor

__all__ = ("Model",)

_ARREARS_MAX = 16
_SKEW = timedelta(minutes=10)
# No message of the day is from a later time, but for those of clocks that run far ahead.
_AHEAD = datetime.fromisoformat("2030-01-01T00:00:00+00:00")


class Model:
    """The books of the bank and of the lots, as one person with a pencil would keep them."""

    def __init__(self) -> None:
        self.balances: Counter[str] = Counter()
        self.payments: Counter[str] = Counter()
        self.lots: dict[str, tuple[str, Tariff]] = {}
        self.bound: dict[str, str] = {}
        self.inside: dict[str, tuple[str, datetime]] = {}
        self.last_exit: dict[str, datetime] = {}
        self.arrears: dict[str, list[tuple[str, int]]] = {}
        self.stories = StoryModel(self.balances, self.payments)
        self._decided: dict[str, tuple[str, dict[str, Any], Verdict]] = {}

    def handle(self, message: Message) -> Verdict:
        """Return what must come of the message, and write it into the books."""
        if message.fault is not None or message.body is None:
            return Verdict(message.fault or "malformed_message")
        request_id = message.body.get("request_id")
        before = self._decided.get(request_id) if request_id else None
        if before is not None:
            same = before[:2] == (message.subject_tail, message.body)
            return before[2] if same else Verdict("conflict")
        verdict = self._decide(message, message.body)
        if request_id:
            self._decided[request_id] = (message.subject_tail, message.body, verdict)
        return verdict

    def _decide(self, message: Message, body: dict[str, Any]) -> Verdict:
        name = message.subject_tail.replace(".", "_")
        try:
            if name == "account_open":
                self.balances[str(message.defines)] = 0
                return Verdict("ok")
            if message.lane.startswith("stor") and name.startswith("parking"):
                return self.stories.handle(message.subject_tail, body)
            verdict: Verdict = getattr(self, f"_{name}")(body)
        except Refused as refused:
            return Verdict(str(refused))
        return verdict

    def _account_deposit(self, body: dict[str, Any]) -> Verdict:
        self.balances[body["account_id"]] += body["amount_minor"]
        return Verdict("ok", {"amount_minor": body["amount_minor"]})

    def _payment_create(self, body: dict[str, Any]) -> Verdict:
        payer, payee, amount = body["payer"], body["payee"], body["amount_minor"]
        if body.get("currency", "CNY") != "CNY":
            raise Refused("unsupported_currency")
        if payer == payee:
            raise Refused("self_payment")
        if payee not in self.balances:
            raise Refused("not_found")
        if not self._pay(payer, [(payee, amount)]):
            raise Refused("insufficient_funds")
        return Verdict("ok", {"amount_minor": amount})

    def _parking_open_lot(self, body: dict[str, Any]) -> Verdict:
        tariff = msgspec.convert(body["tariff"], Tariff)
        self.lots[body["lot_id"]] = (body["payee"], tariff)
        return Verdict("opened")

    def _parking_bind(self, body: dict[str, Any]) -> Verdict:
        self.bound[body["plate"]] = body["account_id"]
        return Verdict("bound")

    def _parking_enter(self, body: dict[str, Any]) -> Verdict:
        plate, lot, entered = body["plate"], body["lot_id"], _time(body["entered_at"])
        owed = list(self.arrears.get(plate, ()))
        stay = self.inside.get(plate)
        if stay is not None and stay[0] == lot:
            raise Refused("invalid_state")
        if stay is not None and entered < stay[1]:
            raise Refused("invalid_field")
        if stay is None and plate in self.last_exit and entered < self.last_exit[plate] - _SKEW:
            raise Refused("invalid_field")
        if lot not in self.lots:
            raise Refused("not_found")
        if stay is not None:
            payee, tariff = self.lots[stay[0]]
            lost = min(fee_minor(tariff, stay[1], entered), tariff.daily_cap_minor)
            owed += [(payee, lost)] if lost else []
        if len(owed) >= _ARREARS_MAX:
            raise Refused("invalid_state")
        self.arrears[plate] = owed
        self.inside[plate] = (lot, entered)
        return Verdict("entered", {"arrears_minor": _sum(owed)})

    def _parking_exit(self, body: dict[str, Any]) -> Verdict:
        plate, left = body["plate"], _time(body["left_at"])
        self._require_known(plate)
        if plate not in self.inside or self.inside[plate][0] != body["lot_id"]:
            raise Refused("invalid_state")
        lot, entered = self.inside[plate]
        if left < entered or left > _AHEAD:
            raise Refused("invalid_field")
        payee, tariff = self.lots[lot]
        fee = fee_minor(tariff, entered, left)
        del self.inside[plate]
        self.last_exit[plate] = left
        due = [(payee, fee)] if fee else []
        owed = self.arrears.get(plate, [])
        status = "paid"
        if self._pay(self.bound.get(plate), due + owed):
            paid, owed = due + owed, []
        elif due and self._pay(self.bound.get(plate), due):
            paid = due
        else:
            paid, owed, status = [], owed + due, "unpaid"
        self.arrears[plate] = owed
        numbers = {"fee_minor": fee, "paid_minor": _sum(paid), "arrears_minor": _sum(owed)}
        return Verdict(status if fee else "free", numbers)

    def _parking_settle(self, body: dict[str, Any]) -> Verdict:
        plate = body["plate"]
        self._require_known(plate)
        if plate not in self.bound:
            raise Refused("invalid_state")
        owed = self.arrears.get(plate, [])
        if not self._pay(self.bound[plate], owed):
            raise Refused("insufficient_funds")
        self.arrears[plate] = []
        return Verdict("settled", {"paid_minor": _sum(owed)})

    def _parking_get(self, body: dict[str, Any]) -> Verdict:
        plate = body["plate"]
        self._require_known(plate)
        status = "inside" if plate in self.inside else "outside"
        return Verdict(status, {"arrears_minor": _sum(self.arrears.get(plate, []))})

    def _require_known(self, plate: str) -> None:
        if plate not in self.bound and plate not in self.arrears:
            raise Refused("not_found")

    def _pay(self, payer: str | None, dues: list[tuple[str, int]]) -> bool:
        """Pay all the dues or none; tell whether it was all."""
        total = _sum(dues)
        if total and (payer is None or self.balances[payer] < total):
            return False
        for payee, amount in dues:
            self.balances[str(payer)] -= amount
            self.balances[payee] += amount
            self.payments[payee] += 1
        return True


def _sum(dues: list[tuple[str, int]]) -> int:
    return sum(amount for _, amount in dues)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
