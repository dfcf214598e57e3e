"""Buyers in the model: their limits, what they owe, its interest, and who is overdue."""

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from plugins.wholesale_market.samples.bank import Refused
from plugins.wholesale_market.samples.pencil import half_up, interest

if TYPE_CHECKING:
    from plugins.wholesale_market.samples.model import Model

__all__ = ("CreditBook",)

_DEBTS_MAX = 40


class CreditBook:
    """One list of debts for each buyer, in the order in which they fall due."""

    def __init__(self, model: "Model") -> None:
        self._model = model
        self.buyers: dict[str, dict[str, Any]] = {}

    def market_of(self, buyer_id: str) -> dict[str, Any]:
        """Return the market of a buyer."""
        if buyer_id not in self.buyers:
            raise Refused("not_found")
        return self._model.markets[self.buyers[buyer_id]["market"]]

    def register_buyer(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Enter a buyer."""
        if body["market_id"] not in self._model.markets:
            raise Refused("not_found")
        known = self.buyers.get(body["buyer_id"])
        if known is not None:
            same = known["account"] == body["account_id"]
            known["account"] = body["account_id"]
            return ("unchanged" if same else "updated"), {}
        self.buyers[body["buyer_id"]] = {
            "market": body["market_id"],
            "account": body["account_id"],
            "limit": 0,
            "terms": "day",
            "debts": [],
            "next_close": None,
        }
        return "registered", {}

    def set_credit(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Give a buyer a limit."""
        self.market_of(body["buyer_id"])
        buyer = self.buyers[body["buyer_id"]]
        buyer["limit"] = body["limit_minor"]
        buyer["terms"] = body.get("terms", "day")
        return "set", {"used_minor": self.used(buyer), "left_minor": self._left(buyer)}

    def used(self, buyer: dict[str, Any]) -> int:
        """Return how much of the limit is used."""
        return sum(debt["principal"] for debt in buyer["debts"])

    def _blocked(self, buyer: dict[str, Any]) -> bool:
        return any(debt["overdue"] for debt in buyer["debts"])

    def _left(self, buyer: dict[str, Any]) -> int:
        return 0 if self._blocked(buyer) else max(0, buyer["limit"] - self.used(buyer))

    def check(self, buyer: dict[str, Any], amount: int) -> None:
        """Refuse what the buyer may not buy on credit."""
        if not buyer["limit"] or self._blocked(buyer):
            raise Refused("ineligible")
        if len(buyer["debts"]) >= _DEBTS_MAX or self.used(buyer) + amount > buyer["limit"]:
            raise Refused("limit_exceeded")

    def owe(self, buyer: dict[str, Any], deal: dict[str, Any], *, advanced: bool) -> None:
        """Write down a debt."""
        market = self._model.markets[buyer["market"]]
        due = self._model.day_close(market)
        if buyer["terms"] == "week":
            due += timedelta(days=6 - due.weekday())
        buyer["debts"].append(
            {
                "deal": deal,
                "principal": deal["paid"],
                "advanced": advanced,
                "due": due,
                "overdue": False,
                "interest": Decimal(0),
                "counted_to": self._model.now.date(),
                "rates": (market["interest_ppm"], market["overdue_ppm"]) if advanced else (0, 0),
                "parts": dict(deal["parts"]),
            }
        )
        # Those of one close in the order in which they came.
        buyer["debts"].sort(key=lambda debt: debt["due"])
        self.plan(buyer)

    def plan(self, buyer: dict[str, Any]) -> None:
        """Write down the close at which the buyer is asked for money next."""
        closes = [debt["due"] for debt in buyer["debts"] if not debt["overdue"]]
        if self._blocked(buyer):
            closes.append(self._model.day_close(self._model.markets[buyer["market"]]))
        buyer["next_close"] = min(closes, default=None)

    def count(self, debt: dict[str, Any]) -> int:
        """Write down the interest up to today, night by night; return it in fen."""
        daily, late = debt["rates"]
        while debt["counted_to"] < self._model.now.date():
            debt["counted_to"] += timedelta(days=1)
            rate = daily + (late if debt["counted_to"] > debt["due"].date() else 0)
            debt["interest"] += interest(debt["principal"], 1, rate)
        return half_up(debt["interest"])

    def repay(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Pay debts back, the oldest first."""
        market = self.market_of(body["buyer_id"])
        buyer = self.buyers[body["buyer_id"]]
        if not buyer["debts"]:
            raise Refused("invalid_state")
        asked = body.get("amount_minor")
        bills, whole = [], 0
        budget = asked
        for debt in buyer["debts"]:
            due = self.count(debt)
            all_of_it = debt["principal"] + due
            if budget is None or budget >= all_of_it:
                bill = (debt, due, debt["principal"])
            elif debt["advanced"]:
                first = min(budget, due)
                bill = (debt, first, budget - first)
            else:
                continue
            bills.append(bill)
            whole += bill[1] + bill[2]
            budget = None if budget is None else budget - bill[1] - bill[2]
        if not whole:
            raise Refused("invalid_field")
        if self._model.bank.available(buyer["account"]) < whole:
            raise Refused("insufficient_funds")
        for debt, due, principal in bills:
            self._settle(market, buyer, debt, due, principal)
        self.plan(buyer)
        paid_interest = sum(bill[1] for bill in bills)
        return "repaid", {
            "paid_minor": whole,
            "interest_minor": paid_interest,
            "unused_minor": 0 if asked is None else asked - whole,
            "owed_minor": self._owed(buyer),
            "blocked": self._blocked(buyer),
        }

    def _settle(
        self, market: dict[str, Any], buyer: dict[str, Any], debt: Any, due: int, principal: int
    ) -> None:
        bank, account = self._model.bank, buyer["account"]
        if debt["advanced"]:
            assert bank.move(
                [(account, market["advance"], principal), (account, market["interest"], due)]
            )
            bank.payments += due + principal > 0
        else:
            assert bank.pay_all(account, debt["deal"]["owners"], debt["parts"])
        debt["principal"] -= principal
        debt["interest"] = max(Decimal(0), debt["interest"] - due)
        if not debt["principal"] and not half_up(debt["interest"]):
            buyer["debts"].remove(debt)

    def _owed(self, buyer: dict[str, Any]) -> int:
        return sum(debt["principal"] + self.count(debt) for debt in buyer["debts"])

    def by_time(self) -> None:
        """Collect what is due: all of it, else the oldest debt alone, else nothing."""
        for buyer in self.buyers.values():
            if buyer["next_close"] is None or buyer["next_close"] > self._model.now:
                continue
            market = self._model.markets[buyer["market"]]
            due = [debt for debt in buyer["debts"] if debt["due"] <= self._model.now]
            for some in (due, due[:1]):
                costs = [(debt, self.count(debt), debt["principal"]) for debt in some]
                whole = sum(interest + principal for _, interest, principal in costs)
                if some and self._model.bank.available(buyer["account"]) >= whole:
                    for debt, cost, principal in costs:
                        self._settle(market, buyer, debt, cost, principal)
                    break
            for debt in due:
                debt["overdue"] = True
            self.plan(buyer)

    def get_buyer(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Tell what a buyer owes."""
        self.market_of(body["buyer_id"])
        buyer = self.buyers[body["buyer_id"]]
        return ("blocked" if self._blocked(buyer) else "good"), {
            "limit_minor": buyer["limit"],
            "used_minor": self.used(buyer),
            "left_minor": self._left(buyer),
            "owed_minor": self._owed(buyer),
            "overdue_minor": self._overdue(buyer),
        }

    def _overdue(self, buyer: dict[str, Any]) -> int:
        return sum(debt["principal"] for debt in buyer["debts"] if debt["overdue"])

    def list_arrears(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Tell what all buyers of a market are overdue with."""
        return "listed", {"overdue_minor": sum(self.arrears(body["market_id"]).values())}

    def arrears(self, market_id: str) -> dict[str, int]:
        """Return what each buyer of a market is overdue with, without those that are not."""
        found = {
            name: self._overdue(buyer)
            for name, buyer in sorted(self.buyers.items())
            if buyer["market"] == market_id
        }
        return {name: amount for name, amount in found.items() if amount}

    def debt_of(self, buyer: dict[str, Any], deal: dict[str, Any]) -> Any:
        """Return the debt for a deal, or None."""
        return next((debt for debt in buyer["debts"] if debt["deal"] is deal), None)

    def drop_if_nothing(self, buyer: dict[str, Any], debt: dict[str, Any]) -> None:
        """Forget a debt that has come to nothing."""
        if not debt["principal"] and not self.count(debt):
            buyer["debts"].remove(debt)
        self.plan(buyer)
