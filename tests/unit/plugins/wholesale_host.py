"""The fake host with a market, its people and goods, and words for what they do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from plugins.wholesale_market.buyer import Buyer, Deal
from plugins.wholesale_market.pack import WholesaleMarket
from plugins.wholesale_market.state import Lot, Stall
from tests.unit.plugins.fake_host import FakeHost

__all__ = ("ADVANCE", "MONDAY", "PARTIES", "TERMS", "Market")

# A Monday at two in the morning, on the market's own wall.
MONDAY = datetime(2026, 6, 15, 2, tzinfo=UTC)

ADVANCE = 100_000_000

# Fee of 2 %, 1 % above a turnover of ¥1,000; a deposit of ¥100 a tonne; 1 ‰ a day, 2 ‰ more late.
TERMS: dict[str, Any] = {
    "zone": "UTC",
    "opens": "22:00:00",
    "closes": "10:00:00",
    "day_close": "18:00:00",
    "fee_tiers": [{"from_minor": 0, "ppm": 20_000}, {"from_minor": 100_000, "ppm": 10_000}],
    "deposit_per_tonne_minor": 10_000,
    "accept_minutes": 30,
    "dispute_minutes": 120,
    "reweigh_minutes": 60,
    "tolerance_ppm": 1_000,
    "interest_ppm": 1_000,
    "overdue_ppm": 2_000,
}

PARTIES = ("farmer", "stall", "fees", "carrier")


class Market(FakeHost):
    """One market with a stall that takes 5 %, a farmer's lot of 10 t, a carrier, and a buyer."""

    def __init__(self, *, advance: int = ADVANCE, buyer: int = 0, **terms: Any) -> None:
        super().__init__(WholesaleMarket(), MONDAY)
        self.requests = 0
        self.balances |= {"advance": advance, "buyer": buyer, "farmer": 1_000_000}
        self.call(
            "open_market",
            market_id="m",
            fee_account="fees",
            advance_account="advance",
            interest_account="interest",
            terms=TERMS | terms,
        )
        for scale, referee in (("platform", False), ("referee", True)):
            self.call(
                "register_scale",
                scale_id=scale,
                market_id="m",
                division_g=100,
                max_g=5_000_000,
                verified_until="2026-06-15",
                referee=referee,
            )
        self.call(
            "open_stall", stall_id="s", market_id="m", account_id="stall", commission_ppm=50_000
        )
        self.call("register_farmer", farmer_id="f", account_id="farmer")
        self.call("register_carrier", carrier_id="c", account_id="carrier", per_kg_minor=4)
        self.lot("lot")
        self.call("register_buyer", buyer_id="b", market_id="m", account_id="buyer")

    def call(self, verb: str, **body: Any) -> Any:
        """Send a message, let everything it causes arrive, and return the result."""
        if self.operations[verb].mutates:
            self.requests += 1
            body["request_id"] = f"r-{self.requests}"
        result = self.send(verb, msgspec.json.encode(body))
        self.deliver()
        return result

    def lot(self, lot_id: str, declared_g: int = 10_000_000, *, passed: bool = True) -> Any:
        """Register a lot of the farmer's at the stall, and inspect it."""
        registered = self.call(
            "register_lot",
            lot_id=lot_id,
            market_id="m",
            stall_id="s",
            farmer_id="f",
            goods="cabbage",
            declared_g=declared_g,
        )
        self.call("inspect_lot", lot_id=lot_id, passed=passed)
        return registered

    def price(self, deal: str = "d", price: int = 200, **more: Any) -> Any:
        """Agree on a price: ¥2 a kilogram, unless it is said otherwise."""
        terms = {"lot_id": "lot", "unit": "kg", "price_minor": price, "carrier_id": "c"}
        return self.call("open_deal", buyer_id="b", deal_id=deal, **(terms | more))

    def weigh(
        self, gross_g: int, tare_g: int = 0, *, deal: str = "d", line: int = 1, **more: Any
    ) -> Any:
        """Weigh something of a deal, now."""
        report = {"scale_id": "platform", "weighed_at": self.now, "line": line}
        weights = {"gross_g": gross_g, "tare_g": tare_g}
        return self.call("weigh", buyer_id="b", deal_id=deal, **(report | weights | more))

    def open(self, net_g: int = 100_000, *, deal: str = "d", **more: Any) -> Any:
        """Price and weigh a deal of one line: 100 kg for ¥200, unless it is said otherwise."""
        self.price(deal, **more)
        return self.weigh(net_g + 10_000, 10_000, deal=deal)

    def pay(self, method: str = "now", *, deal: str = "d", **more: Any) -> Any:
        """Pay a deal as it stands."""
        shown = self.deal(deal)
        screen = {"lines": len(shown.weighed), "amount_minor": shown.due_minor}
        return self.call("pay", buyer_id="b", deal_id=deal, method=method, **(screen | more))

    def about(self, verb: str, *, deal: str = "d", **more: Any) -> Any:
        """Send something else about a deal."""
        return self.call(verb, buyer_id="b", deal_id=deal, **more)

    def reweigh(self, net_g: int, *, deal: str = "d") -> Any:
        """Weigh a disputed deal on the referee scale."""
        weights = {"gross_g": net_g + 10_000, "tare_g": 10_000}
        report = {"scale_id": "referee", "weighed_at": self.now}
        return self.about("reweigh", deal=deal, **weights, **report)

    def credit(self, limit: int, terms: str = "day") -> Any:
        """Give the buyer credit."""
        return self.call("set_credit", buyer_id="b", limit_minor=limit, terms=terms)

    def later(self, **by: float) -> None:
        """Let time pass, with everything that comes due in it."""
        self.advance(timedelta(**by).total_seconds())

    def leap(self, **by: float) -> None:
        """Move the clock at once: what came due meanwhile finds that it is late."""
        self.clock.advance(timedelta(**by).total_seconds())
        self.advance(0)

    @property
    def buyer(self) -> Buyer:
        """The buyer's page."""
        buyer = self.documents["buyer", "b"]
        assert isinstance(buyer, Buyer)
        return buyer

    def deal(self, deal: str = "d") -> Deal:
        """Return a deal of the buyer's page."""
        return next(one for one in self.buyer.deals if one.deal_id == deal)

    def lot_state(self, lot_id: str = "lot") -> Lot:
        """Return a lot."""
        lot = self.documents["lot", lot_id]
        assert isinstance(lot, Lot)
        return lot

    @property
    def stall(self) -> Stall:
        """The stall."""
        stall = self.documents["stall", "s"]
        assert isinstance(stall, Stall)
        return stall

    def parts(self) -> tuple[int, ...]:
        """Return what the farmer (above what he came with), stall, market and carrier have."""
        have = [self.balances.get(account, 0) for account in PARTIES]
        return (have[0] - 1_000_000, *have[1:])
