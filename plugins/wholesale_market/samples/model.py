"""The simple sequential model of the story: what must come of each message, and of all of them.

It keeps its own books with decimals and fractions and shares nothing with the pack. Where the pack
has pages, plans, timers and messages between them, this has dictionaries and one thing after
another: what the pack tells a lot or a stall is written down at once.
"""

from collections import Counter
from datetime import datetime, time, timedelta
from typing import Any

import msgspec

from plugins.wholesale_market.samples.bank import Bank, Refused
from plugins.wholesale_market.samples.cast import Message
from plugins.wholesale_market.samples.credit_book import CreditBook
from plugins.wholesale_market.samples.deal_book import DEAL_VERBS, DealBook
from plugins.wholesale_market.samples.pencil import deposit

__all__ = ("Model", "Verdict")

_DEFAULTS: dict[str, Any] = {
    "fee_basis": "month_before",
    "wipe_minor": 1,
    "inspection_required": True,
    "deposit_per_tonne_minor": 0,
    "lot_days": 3,
    "tolerance_ppm": 2_000,
    "interest_ppm": 0,
    "overdue_ppm": 0,
}


class Verdict(msgspec.Struct, frozen=True):
    """What the reply must say: a status of the pack, ``ok``, or the code of an error.

    ``result`` holds fields of the result that must be equal.
    """

    outcome: str
    result: dict[str, Any] = {}


class Model:
    """The books of the bank and of the markets, as one person with a pencil would keep them."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.bank = Bank()
        self.markets: dict[str, dict[str, Any]] = {}
        self.scales: dict[str, dict[str, Any]] = {}
        self.stalls: dict[str, dict[str, Any]] = {}
        self.farmers: dict[str, str] = {}
        self.carriers: dict[str, dict[str, Any]] = {}
        self.lots: dict[str, dict[str, Any]] = {}
        self.credit = CreditBook(self)
        self.deals = DealBook(self)
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

    def advance(self, by: timedelta) -> None:
        """Let time pass, and do what was to be done by then."""
        self.now += by
        self.deals.by_time()
        self.credit.by_time()
        for stall in self.stalls.values():
            close = stall["day_closes"]
            if close is not None and close + timedelta(minutes=5) <= self.now:
                stall["today"].clear()
                stall["day_closes"] = None
        for lot in self.lots.values():
            if lot["status"] in ("registered", "passed") and lot["ends_at"] <= self.now:
                self._end_lot(lot)

    def day_close(self, market: dict[str, Any]) -> datetime:
        """Return the next close of a day."""
        close = datetime.combine(
            self.now.date(), time.fromisoformat(market["day_close"]), self.now.tzinfo
        )
        return close if close > self.now else close + timedelta(days=1)

    def book(self, deal: dict[str, Any], sign: int) -> None:
        """Write a deal into the books of its stall and its lot, or with -1 take it out."""
        stall, lot = self.stalls[deal["stall"]], self.lots[deal["lot"]]
        market = self.markets[lot["market"]]
        if not stall["today"]:
            stall["day_closes"] = self.day_close(market)
        figures = {
            "turnover": deal["paid"],
            "weight": deal["paid_net"],
            "commission": deal["parts"]["stall"],
            "fee": deal["parts"]["market"],
        }
        for name, figure in figures.items():
            stall["today"][name] += sign * figure
        stall["month"] += sign * deal["paid"]
        lot["sold"] += sign * deal["paid_net"]
        lot["last_sale"] = self.now

    def _decide(self, message: Message, body: dict[str, Any]) -> Verdict:
        service, _, verb = message.subject_tail.partition(".")
        try:
            if service != "wholesale_market":
                return self._bank(message, verb, body)
            verdict = getattr(self, f"_{verb}", None)
            if verdict is None:
                desk = self.deals if verb in DEAL_VERBS else self.credit
                verdict = getattr(desk, verb)
            outcome, result = verdict(body)
        except Refused as refused:
            return Verdict(str(refused))
        return Verdict(outcome, result)

    def _bank(self, message: Message, verb: str, body: dict[str, Any]) -> Verdict:
        if verb == "open":
            self.bank.open(str(message.defines))
            return Verdict("ok")
        if verb == "deposit":
            self.bank.deposit(body)
        else:
            self.bank.create(body)
        return Verdict("ok", {"amount_minor": body["amount_minor"]})

    # The office.

    def _open_market(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        known = body["market_id"] in self.markets
        accounts = {key: body[f"{key}_account"] for key in ("fee", "advance", "interest")}
        market = {**_DEFAULTS, **body["terms"], **accounts, "market_id": body["market_id"]}
        same = known and self.markets[body["market_id"]] == market
        self.markets[body["market_id"]] = market
        return ("unchanged" if same else "updated" if known else "opened"), {}

    def _register_scale(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self.scales[body["scale_id"]] = body
        return "registered", {}

    def _open_stall(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self.stalls[body["stall_id"]] = {
            "market": body["market_id"],
            "account": body["account_id"],
            "commission_ppm": body["commission_ppm"],
            "waits": body["waits"],
            "before": body["turnover_before_minor"],
            "month": 0,
            "today": Counter(),
            "day_closes": None,
        }
        return "opened", {"fee_ppm": self.fee_ppm(body["stall_id"])}

    def _get_stall(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        stall = self.stalls.get(body["stall_id"])
        if stall is None:
            raise Refused("not_found")
        today = stall["today"]
        return "open", {
            "turnover_minor": stall["month"],
            "day_turnover_minor": today["turnover"],
            "day_weight_g": today["weight"],
            "day_commission_minor": today["commission"],
            "day_fee_minor": today["fee"],
        }

    def fee_ppm(self, stall_id: str) -> int:
        """Return what the market takes of a deal of the stall."""
        stall = self.stalls[stall_id]
        market = self.markets[stall["market"]]
        turnover = stall["before" if market["fee_basis"] == "month_before" else "month"]
        fee = 0
        for tier in market["fee_tiers"]:
            if turnover >= tier["from_minor"]:
                fee = tier["ppm"]
        return fee

    def _register_farmer(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self.farmers[body["farmer_id"]] = body["account_id"]
        return "registered", {}

    def _register_carrier(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self.carriers[body["carrier_id"]] = body
        return "registered", {}

    # Lots.

    def _register_lot(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if body["lot_id"] in self.lots:
            raise Refused("invalid_state")
        if body["stall_id"] not in self.stalls or body["farmer_id"] not in self.farmers:
            raise Refused("not_found")
        market = self.markets[body["market_id"]]
        account = self.farmers[body["farmer_id"]]
        amount = deposit(body["declared_g"], market["deposit_per_tonne_minor"])
        if self.bank.available(account) < amount:
            raise Refused("insufficient_funds")
        self.bank.held[account] += amount
        self.lots[body["lot_id"]] = {
            "market": body["market_id"],
            "stall": body["stall_id"],
            "account": account,
            "status": "registered",
            "deposit": amount,
            "left": amount,
            "captured": 0,
            "short": 0,
            "sold": 0,
            "ends_at": self.now + timedelta(days=market["lot_days"]),
            "last_sale": None,
        }
        return "registered", {"deposit_minor": amount}

    def _inspect_lot(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        lot = self._open_lot(body["lot_id"])
        lot["status"] = "passed" if body["passed"] else "failed"
        return lot["status"], {}

    def _close_lot(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        lot = self._open_lot(body["lot_id"])
        if self.now < self._last_dispute(lot):
            raise Refused("invalid_state")
        released = lot["left"]
        self._end_lot(lot)
        return "closed", {
            "released_minor": released,
            "captured_minor": lot["captured"],
            "sold_g": lot["sold"],
        }

    def _default_lot(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        lot = self._open_lot(body["lot_id"])
        if not lot["left"]:
            raise Refused("invalid_state")
        penalty = body.get("penalty_minor") or lot["left"]
        if penalty > lot["left"]:
            raise Refused("invalid_field")
        self.claim(lot, self.markets[lot["market"]]["fee"], penalty)
        released = lot["left"]
        self._end_lot(lot)
        lot["status"] = "defaulted"
        return "defaulted", {"penalty_minor": penalty, "released_minor": released}

    def _get_lot(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        lot = self.lots.get(body["lot_id"])
        if lot is None:
            raise Refused("not_found")
        return lot["status"], {
            "sold_g": lot["sold"],
            "deposit_minor": lot["deposit"],
            "captured_minor": lot["captured"],
            "short_minor": lot["short"],
        }

    def _open_lot(self, lot_id: str) -> dict[str, Any]:
        if lot_id not in self.lots:
            raise Refused("not_found")
        lot = self.lots[lot_id]
        if lot["status"] in ("closed", "defaulted"):
            raise Refused("invalid_state")
        return lot

    def _last_dispute(self, lot: dict[str, Any]) -> datetime:
        market = self.markets[lot["market"]]
        if lot["last_sale"] is None:
            return self.now
        minutes: int = market["dispute_minutes"] + market["reweigh_minutes"] + 5
        last: datetime = lot["last_sale"]
        return last + timedelta(minutes=minutes)

    def _end_lot(self, lot: dict[str, Any]) -> None:
        self.bank.held[lot["account"]] -= lot["left"]
        lot["left"] = 0
        lot["status"] = "closed"

    def claim(self, lot: dict[str, Any], account: str, amount: int) -> None:
        """Take an amount out of a lot's deposit, as far as it goes."""
        taken = min(amount, lot["left"])
        lot["left"] -= taken
        lot["captured"] += taken
        lot["short"] += amount - taken
        self.bank.held[lot["account"]] -= taken
        self.bank.posted[lot["account"]] -= taken
        self.bank.posted[account] += taken
        self.bank.captures += taken > 0
