"""Deals in the model: prices, weighings, payments, acceptance, disputes."""

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from plugins.wholesale_market.samples.bank import Refused
from plugins.wholesale_market.samples.pencil import cost, division

if TYPE_CHECKING:
    from plugins.wholesale_market.samples.model import Model

__all__ = ("DEAL_VERBS", "DealBook")

DEAL_VERBS = (
    "open_deal", "weigh", "pay", "accept", "reject", "cancel_deal", "dispute", "reweigh",
    "get_deal",
)  # fmt: skip

_PARTIES = ("farmer", "stall", "market", "carrier")


class DealBook:
    """One sheet for each deal."""

    def __init__(self, model: "Model") -> None:
        self._model = model
        self._deals: dict[tuple[str, str], dict[str, Any]] = {}

    def amount(self, buyer_id: str, deal_id: str) -> int:
        """Return what a deal costs as it was weighed so far; 0 before there is a price."""
        deal = self._deals.get((buyer_id, deal_id))
        return 0 if deal is None or deal["price"] is None else self._cost(deal, self._net(deal))

    def weighed(self, buyer_id: str, deal_id: str) -> int:
        """Return the number of weighings that stand."""
        deal = self._deals.get((buyer_id, deal_id))
        return 0 if deal is None else self._lines(deal)

    def sheet(self, buyer_id: str, deal_id: str) -> dict[str, Any] | None:
        """Return a deal's sheet, for who writes the story."""
        return self._deals.get((buyer_id, deal_id))

    def sheets(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return all sheets, for who writes the story."""
        return self._deals

    def open_deal(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Agree on a price."""
        model = self._model
        market = model.credit.market_of(body["buyer_id"])
        deal = self._deals.get((body["buyer_id"], body["deal_id"]))
        revision = body.get("revision", 1)
        asked = {
            key: body.get(key) or 0
            for key in ("lot_id", "carrier_id", "unit", "price_minor", "loss_ppm")
        }
        if deal is not None and deal["price"] is not None:
            if revision < deal["revision"]:
                return self._opened(deal, "stale")
            if revision == deal["revision"]:
                if asked != deal["asked"]:
                    raise Refused("invalid_state")
                return self._opened(deal, "duplicate")
        if deal is not None and deal["status"] not in ("weighing", "open"):
            raise Refused("invalid_state")
        lot = model.lots.get(body["lot_id"])
        if lot is None:
            raise Refused("not_found")
        if lot["market"] != market["market_id"]:
            raise Refused("invalid_field")
        sold = ("passed",) if market["inspection_required"] else ("passed", "registered")
        if lot["status"] not in sold:
            raise Refused("invalid_state")
        carrier = {"account_id": "", "per_kg_minor": 0}
        if body.get("carrier_id"):
            if body["carrier_id"] not in model.carriers:
                raise Refused("not_found")
            carrier = model.carriers[body["carrier_id"]]
        status = "opened" if deal is None or deal["price"] is None else "repriced"
        deal = deal or self._sheet(body)
        stall = model.stalls[lot["stall"]]
        deal.update(
            status="open",
            revision=revision,
            asked=asked,
            price=body["price_minor"],
            unit=body["unit"],
            loss=body.get("loss_ppm", 0),
            wipe=market["wipe_minor"],
            lot=body["lot_id"],
            stall=lot["stall"],
            waits=stall["waits"],
            rates={
                "commission_ppm": stall["commission_ppm"],
                "fee_ppm": model.fee_ppm(lot["stall"]),
                "per_kg": carrier["per_kg_minor"],
            },
            owners={
                "farmer": lot["account"],
                "stall": stall["account"],
                "market": market["fee"],
                "carrier": carrier["account_id"],
            },
        )
        return self._opened(deal, status)

    def _opened(self, deal: dict[str, Any], status: str) -> tuple[str, dict[str, Any]]:
        return status, {
            "price_minor": deal["price"],
            "fee_ppm": deal["rates"]["fee_ppm"],
            "lines": self._lines(deal),
            "amount_minor": self._cost(deal, self._net(deal)),
        }

    def _sheet(self, body: dict[str, Any]) -> dict[str, Any]:
        deal = {
            "buyer": body["buyer_id"],
            "deal_id": body["deal_id"],
            "status": "weighing",
            "price": None,
            "revision": 0,
            "lines": {},
            "paid": 0,
            "paid_net": 0,
            "discount": 0,
            "paid_at": None,
            "accept_by": None,
            "disputed": None,
        }
        self._deals[body["buyer_id"], body["deal_id"]] = deal
        return deal

    def _lines(self, deal: dict[str, Any]) -> int:
        return sum(gross > 0 for _, gross, *_ in deal["lines"].values())

    def _net(self, deal: dict[str, Any]) -> int:
        return sum(gross - tare for _, gross, tare, *_ in deal["lines"].values())

    def _cost(self, deal: dict[str, Any], net: int) -> int:
        return cost(net, deal["price"], deal["unit"], deal["loss"], deal["wipe"])

    def weigh(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Take down what a scale shows."""
        market = self._model.credit.market_of(body["buyer_id"])
        self._check_scale(market, body)
        deal = self._deals.get((body["buyer_id"], body["deal_id"]))
        at = datetime.fromisoformat(body["weighed_at"])
        line = (
            body.get("revision", 1),
            body["gross_g"],
            body["tare_g"],
            body["scale_id"],
            at,
        )
        before = None if deal is None else deal["lines"].get(body["line"])
        if before is not None and before[0] > line[0]:
            status = "stale"
        elif before is not None and before[0] == line[0]:
            if before != line:
                raise Refused("invalid_state")
            status = "duplicate"
        else:
            if deal is not None and deal["status"] not in ("weighing", "open"):
                raise Refused("invalid_state")
            deal = deal or self._sheet(body)
            deal["lines"][body["line"]] = line
            status = "weighed" if before is None else "corrected"
            if not line[1]:
                status = "withdrawn"
        assert deal is not None
        amount = 0 if deal["price"] is None else self._cost(deal, self._net(deal))
        return status, {
            "lines": self._lines(deal),
            "net_g": self._net(deal),
            "amount_minor": amount,
        }

    def _check_scale(self, market: dict[str, Any], body: dict[str, Any]) -> None:
        scale = self._model.scales.get(body["scale_id"])
        if scale is None:
            raise Refused("not_found")
        at = datetime.fromisoformat(body["weighed_at"]).astimezone(self._model.now.tzinfo)
        if scale["market_id"] != market["market_id"]:
            raise Refused("invalid_field")
        if at.year < 2000 or at > self._model.now + timedelta(minutes=10):
            raise Refused("invalid_field")
        opens, closes = time.fromisoformat(market["opens"]), time.fromisoformat(market["closes"])
        inside = [at.time() >= opens, at.time() < closes]
        if not (all(inside) if opens < closes else any(inside)):
            raise Refused("invalid_state")
        if at.date().isoformat() > scale["verified_until"]:
            raise Refused("invalid_state")
        gross, tare = body["gross_g"], body["tare_g"]
        for weight in (gross, tare):
            if weight > scale["max_g"] or weight % scale["division_g"]:
                raise Refused("invalid_field")
        if gross <= tare and (gross, tare) != (0, 0):
            raise Refused("invalid_field")

    def _known(self, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        self._model.credit.market_of(body["buyer_id"])
        deal = self._deals.get((body["buyer_id"], body["deal_id"]))
        if deal is None:
            raise Refused("not_found")
        return self._model.credit.buyers[body["buyer_id"]], deal

    def pay(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Pay a deal in one of the three ways."""
        buyer, deal = self._known(body)
        if deal["status"] != "open":
            raise Refused("invalid_state")
        if body.get("else_credit") and body["method"] != "now":
            raise Refused("invalid_field")
        net = self._net(deal)
        amount = self._cost(deal, net)
        if (body["lines"], body["amount_minor"]) != (self._lines(deal), amount):
            raise Refused("invalid_state")
        parts = division(amount, net, **deal["rates"])
        deal.update(paid=amount, paid_net=net, parts=parts)
        try:
            status, source = getattr(self, f"_pay_{body['method']}")(buyer, deal, body)
        except Refused:
            deal.update(paid=0, paid_net=0)
            raise
        if status == "held":
            deal["status"] = "held"
        else:
            deal.update(status="paid", paid_at=self._model.now)
            self._model.book(deal, 1)
        return status, {
            "amount_minor": amount,
            "net_g": net,
            "source": source,
            "parts": _named(parts),
        }

    def _pay_now(
        self, buyer: dict[str, Any], deal: dict[str, Any], body: dict[str, Any]
    ) -> tuple[str, str]:
        if self._model.bank.pay_all(buyer["account"], deal["owners"], deal["parts"]):
            return "paid", "account"
        if body.get("else_credit"):
            try:
                return self._pay_credit(buyer, deal, body)
            except Refused:
                pass
        raise Refused("insufficient_funds")

    def _pay_guaranteed(
        self, buyer: dict[str, Any], deal: dict[str, Any], _body: dict[str, Any]
    ) -> tuple[str, str]:
        bank = self._model.bank
        if bank.available(buyer["account"]) < deal["paid"]:
            raise Refused("insufficient_funds")
        bank.held[buyer["account"]] += deal["paid"]
        market = self._model.markets[buyer["market"]]
        deal["accept_by"] = self._model.now + timedelta(minutes=market["accept_minutes"])
        return "held", "account"

    def _pay_credit(
        self, buyer: dict[str, Any], deal: dict[str, Any], _body: dict[str, Any]
    ) -> tuple[str, str]:
        model = self._model
        model.credit.check(buyer, deal["paid"])
        advance = model.markets[buyer["market"]]["advance"]
        advanced = model.bank.pay_all(advance, deal["owners"], deal["parts"])
        if not advanced and not deal["waits"]:
            raise Refused("insufficient_funds")
        model.credit.owe(buyer, deal, advanced=advanced)
        return "on_credit", "advance" if advanced else "sellers"

    def accept(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Accept goods, perhaps for less."""
        buyer, deal = self._known(body)
        discount = body.get("discount_minor", 0)
        if deal["status"] != "held":
            raise Refused("invalid_state")
        if discount >= deal["paid"]:
            raise Refused("invalid_field")
        self._accept(buyer, deal, discount)
        return "accepted", {
            "captured_minor": deal["paid"],
            "discount_minor": discount,
            "parts": _named(deal["parts"]),
        }

    def _accept(self, buyer: dict[str, Any], deal: dict[str, Any], discount: int) -> None:
        bank = self._model.bank
        bank.held[buyer["account"]] -= deal["paid"]
        deal.update(
            status="paid", paid=deal["paid"] - discount, discount=discount, paid_at=self._model.now
        )
        deal["parts"] = division(deal["paid"], deal["paid_net"], **deal["rates"])
        for who, part in deal["parts"].items():
            assert bank.move([(buyer["account"], deal["owners"][who], part)])
        bank.captures += 1
        self._model.book(deal, 1)

    def by_time(self) -> None:
        """Accept what nobody has spoken about, and end disputes that nobody has weighed for."""
        for deal in self._deals.values():
            if deal["status"] == "held" and deal["accept_by"] <= self._model.now:
                self._accept(self._model.credit.buyers[deal["buyer"]], deal, 0)
            if deal["status"] == "disputed" and deal["weigh_by"] <= self._model.now:
                deal.update(status="paid", disputed="lapsed")

    def reject(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Refuse goods."""
        buyer, deal = self._known(body)
        if deal["status"] != "held":
            raise Refused("invalid_state")
        self._model.bank.held[buyer["account"]] -= deal["paid"]
        released = deal["paid"]
        deal.update(status="rejected", paid=0, paid_net=0)
        return "rejected", {"released_minor": released}

    def cancel_deal(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Give a deal up."""
        _, deal = self._known(body)
        if deal["status"] not in ("weighing", "open"):
            raise Refused("invalid_state")
        deal["status"] = "cancelled"
        return "cancelled", {}

    def dispute(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Doubt a weight."""
        buyer, deal = self._known(body)
        market = self._model.markets[buyer["market"]]
        if deal["status"] != "paid" or deal["disputed"] is not None:
            raise Refused("invalid_state")
        if self._model.now > deal["paid_at"] + timedelta(minutes=market["dispute_minutes"]):
            raise Refused("invalid_state")
        deal.update(
            status="disputed",
            disputed="open",
            weigh_by=self._model.now + timedelta(minutes=market["reweigh_minutes"]),
        )
        return "disputed", {"by": body["by"]}

    def reweigh(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Weigh again on the referee scale, and settle the difference."""
        buyer, deal = self._known(body)
        market = self._model.markets[buyer["market"]]
        self._check_scale(market, body)
        if not self._model.scales[body["scale_id"]]["referee"] or not body["gross_g"]:
            raise Refused("invalid_field")
        if deal["status"] != "disputed":
            raise Refused("invalid_state")
        net = body["gross_g"] - body["tare_g"]
        before, before_net = deal["paid"], deal["paid_net"]
        amount = max(0, self._cost(deal, net) - deal["discount"])
        same = abs(net - before_net) * 1_000_000 <= before_net * market["tolerance_ppm"]
        claimed = 0
        if same or amount == before:
            deal.update(status="paid", disputed="upheld")
            status, amount = "upheld", before
        else:
            claimed = self._settle(buyer, deal, amount, net)
            status = "refunded" if amount < before else "charged"
            deal.update(status="paid", disputed=status)
        return status, {
            "net_before_g": before_net,
            "net_g": net,
            "amount_minor": amount,
            "difference_minor": amount - before,
            "claimed_minor": claimed,
        }

    def _settle(self, buyer: dict[str, Any], deal: dict[str, Any], amount: int, net: int) -> int:
        """Bring everybody to what he would have had; return what is claimed from a deposit."""
        model = self._model
        after = division(amount, net, **deal["rates"])
        change = {who: after[who] - deal["parts"][who] for who in _PARTIES}
        debt = model.credit.debt_of(buyer, deal)
        if debt is not None:
            model.credit.count(debt)
        extra = amount - deal["paid"]
        on_credit = debt is not None and (extra < 0 or self._allowed(buyer, extra))
        if debt is not None and on_credit and not debt["advanced"]:
            debt.update(principal=debt["principal"] + extra, parts=after)
            claimed = 0
        else:
            claimed = self._move(buyer, deal, change, debt if on_credit else None)
        model.book(deal, -1)
        deal.update(paid=amount, paid_net=net, parts=after)
        model.book(deal, 1)
        if debt is not None:
            model.credit.drop_if_nothing(buyer, debt)
        if claimed:
            model.claim(model.lots[deal["lot"]], buyer["account"], claimed)
        return claimed

    def _allowed(self, buyer: dict[str, Any], extra: int) -> bool:
        try:
            self._model.credit.check(buyer, extra)
        except Refused:
            return False
        return True

    def _move(
        self, buyer: dict[str, Any], deal: dict[str, Any], change: dict[str, int], debt: Any
    ) -> int:
        """Move the differences, without the farmer when he has nothing left; return his part."""
        model, account = self._model, buyer["account"]
        advance = model.markets[buyer["market"]]["advance"]
        refund = sum(change.values()) < 0
        for without in ((), ("farmer",)) if refund and change["farmer"] < 0 else ((),):
            moved = {who: more for who, more in change.items() if who not in without}
            back = -sum(moved.values())
            purse, lowered = account, 0
            if debt is not None and (not refund or 0 <= back <= debt["principal"]):
                # Between the sellers and who has paid them; the debt is as much smaller or larger.
                purse = advance
            elif debt is not None and back > 0:
                lowered = debt["principal"]
            steps = [(deal["owners"][who], purse, -more) for who, more in moved.items() if more < 0]
            steps += [(purse, deal["owners"][who], more) for who, more in moved.items() if more > 0]
            steps.append((account, advance, lowered))
            if model.bank.move(steps):
                model.bank.payments += sum(step[2] > 0 for step in steps)
                if debt is not None:
                    debt["principal"] -= back if purse == advance else lowered
                return -change["farmer"] if without else 0
        raise Refused("insufficient_funds")

    def get_deal(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Tell how a deal stands."""
        _, deal = self._known(body)
        net, amount = deal["paid_net"], deal["paid"]
        if not net:
            net = self._net(deal)
            amount = 0 if deal["price"] is None else self._cost(deal, net)
        return deal["status"], {
            "net_g": net,
            "amount_minor": amount,
            "discount_minor": deal["discount"],
            "dispute": deal["disputed"],
        }


def _named(parts: dict[str, int]) -> dict[str, int]:
    return {f"{who}_minor": part for who, part in parts.items()}
