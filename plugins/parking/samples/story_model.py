"""The model of the stories: what a patient clerk would work out with a pencil, car by car.

It shares the tariff with the pack and nothing else. Cars, passes and debts are plain dictionaries.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from plugins.parking.samples.verdict import Refused, Verdict
from plugins.parking.tariff import Tariff, fee_minor

__all__ = ("StoryModel",)

_ZONE = ZoneInfo("Asia/Shanghai")
_SKEW = timedelta(minutes=10)
_GREEN_LENGTH = 8

_Car = dict[str, Any]


class StoryModel:
    """Decides the messages of stories; money is kept in the books of the day."""

    def __init__(self, balances: Counter[str], payments: Counter[str]) -> None:
        self.balances = balances
        self.payments = payments
        self.cars: dict[str, _Car] = {}
        self._lots: dict[str, dict[str, Any]] = {}
        self._shops: dict[str, dict[str, Any]] = {}
        self._passes: dict[str, dict[str, Any]] = {}
        self._full: set[str] = set()

    def handle(self, tail: str, body: dict[str, Any]) -> Verdict:
        """Return what must come of a message, or raise :class:`Refused`."""
        decide: Callable[[dict[str, Any]], Verdict] = getattr(
            self, f"_{tail.removeprefix('parking.')}"
        )
        return decide(body)

    def owed(self) -> dict[str, int]:
        """Return who owes what, without those that owe nothing."""
        return {plate: due for plate, car in self.cars.items() if (due := _owes(car))}

    # Lots, shops and owners.

    def _open_lot(self, body: dict[str, Any]) -> Verdict:
        self._lots[body["lot_id"]] = body
        return Verdict("opened")

    def _count_lot(self, body: dict[str, Any]) -> Verdict:
        if body["casual"] >= self._rule(body["lot_id"], "capacity", 10**9):
            self._full.add(body["lot_id"])
        return Verdict("counted", {"casual": body["casual"]})

    def _register_merchant(self, body: dict[str, Any]) -> Verdict:
        self._shops[body["merchant_id"]] = body
        return Verdict("registered")

    def _bind(self, body: dict[str, Any]) -> Verdict:
        car = self._car(body["plate"])
        car["account"] = body["account_id"]
        car["cap"] = (body.get("mandate") or {}).get("session_cap_minor")
        return Verdict("bound", {"arrears_minor": _owes(car)})

    def _unbind(self, body: dict[str, Any]) -> Verdict:
        car = self._car(body["plate"])
        if car["account"] is None:
            raise Refused("invalid_state")
        car["account"] = None
        return Verdict("unbound")

    def _get(self, body: dict[str, Any]) -> Verdict:
        car = self._car(body["plate"])
        found: dict[str, Any] = {"arrears_minor": _owes(car)}
        if car["passes"]:
            found["passes"] = [
                {
                    "pass_id": card,
                    "lot_id": self._passes[card]["lot"],
                    "valid_from": _text(self._passes[card]["from"]),
                    "valid_until": _text(self._passes[card]["until"]),
                }
                for card in car["passes"]
            ]
        stay = car["stay"]
        if stay is not None and stay["card"]:
            state = "queued" if stay["free_from"] is None else "placed"
            found["stay"] = {
                "lot_id": stay["lot"],
                "entered_at": stay["at"].isoformat(),
                "pass_id": stay["card"],
                "pass_state": state,
            }
        return Verdict("inside" if stay else "outside", found)

    # Passes.

    def _buy_pass(self, body: dict[str, Any]) -> Verdict:
        lot = self._lots[body["lot_id"]]
        plan = next((one for one in lot["plans"] if one["plan_id"] == body["plan_id"]), None)
        if plan is None:
            raise Refused("not_found")
        if not self._pay(body["account_id"], [(body["lot_id"], plan["price_minor"])]):
            raise Refused("insufficient_funds")
        begin = datetime.fromisoformat(body["from_day"]).replace(tzinfo=_ZONE)
        # All of them begin on a day that every month has.
        months = begin.month - 1 + plan.get("months", 1)
        until = begin.replace(year=begin.year + months // 12, month=months % 12 + 1)
        self._passes[body["pass_id"]] = {
            "lot": body["lot_id"], "plan": plan, "from": begin, "until": until,
            "shared": len(body["plates"]) > plan.get("places", 1), "inside": [], "queue": [],
        }  # fmt: skip
        for plate in body["plates"]:
            self._car(plate)["passes"].append(body["pass_id"])
        return Verdict("bought", {"paid_minor": plan["price_minor"]})

    def _renew_pass(self, body: dict[str, Any]) -> Verdict:
        held = self._passes[body["pass_id"]]
        price = held["plan"]["price_minor"]
        if not self._pay(body["account_id"], [(held["lot"], price)]):
            raise Refused("insufficient_funds")
        return Verdict("renewed", {"paid_minor": price})

    def _get_pass(self, body: dict[str, Any]) -> Verdict:
        held = self._passes[body["pass_id"]]
        return Verdict("held", {"inside": list(held["inside"]), "queue": list(held["queue"])})

    # Gates.

    def _enter(self, body: dict[str, Any]) -> Verdict:
        plate, lot, at = body["plate"], body["lot_id"], _time(body["entered_at"])
        car = self._car(plate)
        waiting = car["waiting"]
        if waiting is not None and waiting[0] == lot and at <= waiting[1]:
            car["waiting"] = None
            self._begin(car, plate, lot, at)
            before = _owes(car)
            self._leave(car, waiting[1])
            return Verdict("entered", {"arrears_minor": before})
        stay, lost = car["stay"], None
        if stay is not None:
            hours = self._rule(lot, "reentry_hours", None)
            if stay["lot"] == lot and (hours is None or at < stay["at"] + timedelta(hours=hours)):
                raise Refused("invalid_state")
            tariff = _tariff(self._lots[stay["lot"]], plate)
            lost = min(fee_minor(tariff, stay["at"], at), tariff.daily_cap_minor)
        self._check_gate(car, plate, lot, at, lost or 0)
        if stay is not None and lost:
            self._owe(car, stay["lot"], lost, stay["at"])
        owed = _owes(car)
        self._begin(car, plate, lot, at)
        return Verdict("entered", {"arrears_minor": owed})

    def _check_gate(self, car: _Car, plate: str, lot: str, at: datetime, lost: int) -> None:
        opens, closes = (self._rule(lot, name, "") for name in ("opens_at", "closes_at"))
        if opens and not opens <= at.astimezone(_ZONE).time().isoformat() < closes:
            raise Refused("ineligible")
        owed = lost + sum(due["minor"] for due in car["owed"] if not due["doubted"])
        if owed > self._rule(lot, "refuse_debt_above_minor", 10**9):
            raise Refused("ineligible")
        if lot in self._full and self._card(car, lot, at) is None:
            raise Refused("limit_exceeded")

    def _begin(self, car: _Car, plate: str, lot: str, at: datetime) -> None:
        card = self._card(car, lot, at)
        car["stay"] = {
            "lot": lot, "at": at, "tariff": _tariff(self._lots[lot], plate), "card": card,
            "free_from": None, "stamps": [], "prepaid": 0, "prepaid_at": None, "plate": plate,
        }  # fmt: skip
        if card is not None:
            held = self._passes[card]
            if held["shared"] and held["inside"]:
                held["queue"].append(plate)
                return
            if held["shared"]:
                held["inside"].append(plate)
            car["stay"]["free_from"] = at
        # A depot that nobody watches: twelve hours are over before anything else happens.
        hours = self._rule(lot, "max_stay_hours", None)
        if hours is not None:
            until = at + timedelta(hours=hours)
            tariff = car["stay"]["tariff"]
            fee = min(fee_minor(tariff, at, until), tariff.daily_cap_minor)
            self._owe(car, lot, fee, at)
            car["owed"][-1]["doubted"] = f"review-{int(at.timestamp())}"
            car["stay"] = None

    def _exit(self, body: dict[str, Any]) -> Verdict:
        plate, lot, at = body["plate"], body["lot_id"], _time(body["left_at"])
        car = self._car(plate)
        stay = car["stay"]
        if stay is None:
            return self._exit_without_entry(car, plate, lot, at)
        if at < stay["at"]:
            if (stay["at"] - at).total_seconds() > self._rule(lot, "gate_skew_s", 0):
                raise Refused("invalid_field")
            at = stay["at"]
        return self._leave(car, at)

    def _exit_without_entry(self, car: _Car, plate: str, lot: str, at: datetime) -> Verdict:
        lost = self._rule(lot, "lost_ticket_minor", None)
        again = car["last"] is not None and (
            car["last"][0] == lot and abs(at - car["last"][1]) <= _SKEW
        )
        if lost is None or car["waiting"] is not None or again:
            raise Refused("invalid_state")
        if self._rule(lot, "wait_entry_minutes", 0):
            car["waiting"] = (lot, at)
            return Verdict("waiting", {"fee_minor": 0, "arrears_minor": _owes(car)})
        self._begin(car, plate, lot, at)
        return self._collect(car, at, lost, lost)

    def _leave(self, car: _Car, at: datetime) -> Verdict:
        stay = car["stay"]
        grace = stay["prepaid_at"]
        until = at
        if grace is not None and at <= grace + timedelta(minutes=15):
            until = grace
        fee, due, parts = self._bill(car, until)
        for shop, part in parts:
            self._move(shop["account_id"], stay["lot"], part)
        self._free_place(stay, at)
        return self._collect(car, at, fee, due)

    def _free_place(self, stay: _Car, at: datetime) -> None:
        held = self._passes.get(stay["card"] or "")
        if held is None or not held["shared"]:
            return
        if stay["plate"] in held["queue"]:
            held["queue"].remove(stay["plate"])
            return
        held["inside"].remove(stay["plate"])
        if held["queue"]:
            following = held["queue"].pop(0)
            held["inside"].append(following)
            self._car(following)["stay"]["free_from"] = at

    # Money.

    def _bill(self, car: _Car, until: datetime) -> tuple[int, int, list[tuple[_Car, int]]]:
        """Return the fee, what the driver owes of it, and what each shop pays."""
        stay = car["stay"]

        def price(moment: datetime) -> int:
            moment = max(moment, stay["at"])
            if stay["card"] is None or stay["free_from"] is None:
                return fee_minor(stay["tariff"], stay["at"], moment)
            end = self._passes[stay["card"]]["until"]
            before = fee_minor(stay["tariff"], stay["at"], min(stay["free_from"], moment))
            return before + (fee_minor(stay["tariff"], end, moment) if moment > end else 0)

        fee = price(until)
        due = fee - stay["prepaid"]
        parts = []
        for shop, minutes in stay["stamps"]:
            shorter = until - timedelta(minutes=minutes)
            value = min(price(until) - price(shorter), due)
            parts.append((shop, int(Fraction(value * shop["pays_ppm"], 1_000_000))))
            due -= value
            until = shorter
        return fee, due, parts

    def _collect(self, car: _Car, at: datetime, fee: int, due: int) -> Verdict:
        stay = car["stay"]
        now = [_due(stay["lot"], due, stay["at"])] if due else []
        older = [one for one in car["owed"] if not one["doubted"]]
        doubted = [one for one in car["owed"] if one["doubted"]]
        paid = 0
        for wanted, left in ((now + older, doubted), (now, car["owed"])):
            total = sum(one["minor"] for one in wanted)
            if wanted and self._may(car, total) and self._pay_all(car["account"], wanted):
                paid, car["owed"] = total, left
                break
        else:
            car["owed"] = car["owed"] + now
        if paid and due:
            # Nobody who paid inside has doubts in these stories.
            receipt = {"lot": stay["lot"], "at": stay["at"], "from": [(car["account"], due)]}
            car["receipts"].append(receipt | {"doubted": "", "closed": False})
        car["stay"], car["last"] = None, (stay["lot"], at)
        status = "free" if not fee else "unpaid" if due and not paid else "paid"
        numbers = {"fee_minor": fee, "paid_minor": paid, "arrears_minor": _owes(car)}
        return Verdict(status, numbers)

    def _may(self, car: _Car, total: int) -> bool:
        return car["account"] is not None and (car["cap"] is None or total <= car["cap"])

    def _owe(self, car: _Car, lot: str, minor: int, at: datetime) -> None:
        car["owed"] = [*car["owed"], _due(lot, minor, at)]

    def _settle(self, body: dict[str, Any]) -> Verdict:
        car = self._car(body["plate"])
        payer = body.get("account_id") or car["account"]
        if payer is None:
            raise Refused("invalid_state")
        wanted = [
            one
            for one in car["owed"]
            if not one["doubted"] and body.get("lot_id", one["lot"]) == one["lot"]
        ]
        if not self._pay_all(payer, wanted):
            raise Refused("insufficient_funds")
        car["owed"] = [one for one in car["owed"] if one not in wanted]
        return Verdict("settled", {"paid_minor": sum(one["minor"] for one in wanted)})

    def _prepay(self, body: dict[str, Any]) -> Verdict:
        car, at = self._car(body["plate"]), _time(body["paid_at"])
        stay = car["stay"]
        soon = stay["prepaid_at"] is not None and at <= stay["prepaid_at"] + timedelta(minutes=15)
        due = 0 if soon else self._bill(car, at)[1]
        if not due:
            return Verdict("nothing_due", {"paid_minor": 0})
        if not self._pay(car["account"], [(stay["lot"], due)]):
            raise Refused("insufficient_funds")
        stay["prepaid"] += due
        stay["prepaid_at"] = at
        return Verdict("prepaid", {"paid_minor": due, "prepaid_minor": stay["prepaid"]})

    def _stamp(self, body: dict[str, Any]) -> Verdict:
        car, stay = self._car(body["plate"]), self._car(body["plate"])["stay"]
        shop = self._shops.get(body["merchant_id"])
        if shop is None:
            raise Refused("not_found")
        if stay is None or stay["lot"] not in shop["lots"]:
            raise Refused("invalid_state")
        if any(one is shop for one, _ in stay["stamps"]):
            raise Refused("invalid_state")
        stay["stamps"].append((shop, body["minutes"]))
        minutes = sum(minutes for _, minutes in car["stay"]["stamps"])
        return Verdict("stamped", {"stamped_minutes": minutes})

    # Doubts.

    def _dispute(self, body: dict[str, Any]) -> Verdict:
        car, at = self._car(body["plate"]), _time(body["entered_at"])
        for charge in (*car["owed"], *car["receipts"]):
            if charge["lot"] != body["lot_id"] or charge["at"] != at:
                continue
            if charge["doubted"] or charge["closed"]:
                raise Refused("invalid_state")
            charge["doubted"] = body["dispute_id"]
            return Verdict("disputed", {"amount_minor": _minor(charge)})
        raise Refused("not_found")

    def _decide_dispute(self, body: dict[str, Any]) -> Verdict:
        car = self._car(body["plate"])
        name, decision, cost = body["dispute_id"], body["decision"], body.get("fee_minor", 0)
        for charge in (*car["owed"], *car["receipts"]):
            if charge["doubted"] == name:
                break
        else:
            raise Refused("not_found")
        is_paid = "from" in charge
        if decision == ("waive" if is_paid else "refund"):
            raise Refused("invalid_state")
        less = 0 if decision == "uphold" else _minor(charge) - cost
        charge |= {"doubted": "", "closed": True}
        if not less:
            return Verdict("upheld", {"arrears_minor": _owes(car)})
        if not is_paid:
            charge["minor"] = cost
            car["owed"] = [one for one in car["owed"] if one["minor"]]
            return Verdict("waived", {"waived_minor": less, "arrears_minor": _owes(car)})
        ((payer, paid),) = charge["from"]
        self._refund(charge["lot"], payer, paid, less)
        return Verdict("refunded", {"refunded_minor": less, "arrears_minor": _owes(car)})

    def _refund(self, lot: str, payer: str, paid: int, back: int) -> None:
        had = self._division(lot, paid)
        operator = self._lots[lot]["payee"]
        weights = [(name, Fraction(part, paid)) for name, part in had]
        for name, part in _divided(back, weights):
            if name != operator and part:
                self.balances[name] -= part
                self.balances[operator] += part
                self.payments[operator] += 1
        self.balances[operator] -= back
        self.balances[payer] += back
        self.payments[payer] += 1

    # Books.

    def _pay_all(self, payer: str | None, owed: list[_Car]) -> bool:
        return self._pay(payer, [(one["lot"], one["minor"]) for one in owed])

    def _pay(self, payer: str | None, dues: list[tuple[str, int]]) -> bool:
        total = sum(minor for _, minor in dues)
        if payer is None or self.balances[payer] < total:
            return False
        for lot, minor in dues:
            self._move(payer, lot, minor)
            self.payments[self._lots[lot]["payee"]] += 1
        return True

    def _move(self, payer: str, lot: str, minor: int) -> None:
        """Take money from somebody and divide it among those who earn with the lot."""
        self.balances[payer] -= minor
        for name, part in self._division(lot, minor):
            self.balances[name] += part

    def _division(self, lot: str, minor: int) -> list[tuple[str, int]]:
        shares = [
            (one["payee"], Fraction(one["ppm"], 1_000_000))
            for one in self._lots[lot].get("shares", ())
        ]
        rest = 1 - sum((weight for _, weight in shares), Fraction(0))
        return _divided(minor, [(self._lots[lot]["payee"], rest), *shares])

    def _card(self, car: _Car, lot: str, at: datetime) -> str | None:
        for card in car["passes"]:
            held = self._passes[card]
            if held["lot"] == lot and held["from"] <= at < held["until"]:
                return str(card)
        return None

    def _rule(self, lot: str, name: str, otherwise: Any) -> Any:
        return self._lots[lot].get("rules", {}).get(name, otherwise)

    def _car(self, plate: str) -> _Car:
        return self.cars.setdefault(
            plate,
            {
                "account": None, "cap": None, "stay": None, "owed": [], "receipts": [],
                "passes": [], "waiting": None, "last": None,
            },
        )  # fmt: skip


def _tariff(lot: dict[str, Any], plate: str) -> Tariff:
    prices = dict(lot["tariff"])
    if len(plate) == _GREEN_LENGTH and "new_energy_free_minutes" in prices:
        prices["free_minutes"] = prices["new_energy_free_minutes"]
    return msgspec.convert(prices, Tariff)


def _divided(minor: int, weights: list[tuple[str, Fraction]]) -> list[tuple[str, int]]:
    """Divide by largest remainder: fen by fen to whoever is furthest below his quota."""
    quotas = [weight * minor for _, weight in weights]
    parts = [int(quota) for quota in quotas]
    for _ in range(minor - sum(parts)):
        missing = [quota - part for quota, part in zip(quotas, parts, strict=True)]
        parts[missing.index(max(missing))] += 1
    return [(name, part) for (name, _), part in zip(weights, parts, strict=True)]


def _due(lot: str, minor: int, at: datetime) -> _Car:
    return {"lot": lot, "minor": minor, "at": at, "doubted": "", "closed": False}


def _minor(charge: _Car) -> int:
    if "from" in charge:
        return sum(minor for _, minor in charge["from"])
    return int(charge["minor"])


def _owes(car: _Car) -> int:
    return sum(due["minor"] for due in car["owed"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
