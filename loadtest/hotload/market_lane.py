"""Buyers of a wholesale market: each deal is priced, weighed, and paid at once."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from loadtest.hotload.people import Opener
from loadtest.hotload.traffic import Request

__all__ = ("DEALS_BEFORE", "MarketLane", "open_market")

_PACK = "wholesale_market"
_MARKET, _STALL, _LOT, _SCALE, _FARMER = "hot-market", "hot-stall", "hot-lot", "hot-scale", "hot"
_WEIGHED_AT = datetime(2025, 1, 1, tzinfo=UTC).isoformat()
# 10 kg net at 3 yuan a kilogram: 30 yuan, of which the stall has 3 and the market 1 in a hundred.
_PRICE_MINOR, _GROSS_G, _TARE_G = 300, 11_000, 1_000
_AMOUNT_MINOR, _STALL_MINOR, _MARKET_MINOR = 3_000, 90, 30
_FARMER_MINOR = _AMOUNT_MINOR - _STALL_MINOR - _MARKET_MINOR
_DISPUTE_MINUTES = 1
# Requests of one buyer before the load. A buyer keeps 32 deals, and those of the last minute must
# stay; what the load adds in its first minute fills the list, which then is as long as it gets.
DEALS_BEFORE = 15 * 3


class MarketLane:
    """One buyer."""

    pack = _PACK
    collection = "buyer"

    def __init__(self, number: int, account: str, payees: tuple[str, str, str]) -> None:
        self.key = f"buyer-{number}"
        self.account = account
        farmer, stall, market = payees
        self._moves = {
            account: -_AMOUNT_MINOR, farmer: _FARMER_MINOR, stall: _STALL_MINOR,
            market: _MARKET_MINOR,
        }  # fmt: skip
        self._sent = 0

    def next(self, request_id: str) -> Request:
        """Return the next step of a deal."""
        deal, step = divmod(self._sent, 3)
        self._sent += 1
        body: dict[str, Any] = {
            "request_id": request_id, "buyer_id": self.key, "deal_id": f"{self.key}-{deal}",
        }  # fmt: skip
        verb = ("open_deal", "weigh", "pay")[step]
        if verb == "open_deal":
            body |= {"lot_id": _LOT, "unit": "kg", "price_minor": _PRICE_MINOR}
        elif verb == "weigh":
            body |= {
                "scale_id": _SCALE, "line": 1, "gross_g": _GROSS_G, "tare_g": _TARE_G,
                "weighed_at": _WEIGHED_AT,
            }  # fmt: skip
        else:
            body |= {"lines": 1, "amount_minor": _AMOUNT_MINOR, "method": "now"}
        pays = verb == "pay"
        return Request(
            request_id=request_id, pack=_PACK, verb=verb, key=self.key,
            body=msgspec.json.encode(body), moves=self._moves if pays else {},
            pays_minor=_AMOUNT_MINOR if pays else 0,
            wrong=_wrong_payment if pays else _wrong_step,
        )  # fmt: skip


def _wrong_payment(result: dict[str, Any]) -> str:
    parts = result["parts"]
    found = (
        result["status"], parts["farmer_minor"], parts["stall_minor"], parts["market_minor"],
    )  # fmt: skip
    wanted = ("paid", _FARMER_MINOR, _STALL_MINOR, _MARKET_MINOR)
    return "" if found == wanted else f"a deal came to {found}"


def _wrong_step(result: dict[str, Any]) -> str:
    return "" if result["status"] in ("opened", "weighed") else f"a deal is {result['status']}"


async def open_market(opener: Opener, lanes: int) -> list[MarketLane]:
    """Open the market with one stall, one lot that does not run out, and its buyers."""
    farmer, stall, market = [await opener.account("merchant") for _ in range(3)]
    advance, interest = [await opener.account("merchant") for _ in range(2)]
    terms = {
        "opens": "00:00:00", "closes": "00:00:00", "inspection_required": False,
        "fee_tiers": [{"from_minor": 0, "ppm": 10_000}], "dispute_minutes": _DISPUTE_MINUTES,
    }  # fmt: skip
    await opener.call(
        _PACK, "open_market", market_id=_MARKET, fee_account=market, advance_account=advance,
        interest_account=interest, terms=terms,
    )  # fmt: skip
    await opener.call(
        _PACK, "register_scale", scale_id=_SCALE, market_id=_MARKET, division_g=100,
        max_g=100_000, verified_until="2099-12-31",
    )  # fmt: skip
    await opener.call(
        _PACK, "open_stall", stall_id=_STALL, market_id=_MARKET, account_id=stall,
        commission_ppm=30_000,
    )  # fmt: skip
    await opener.call(_PACK, "register_farmer", farmer_id=_FARMER, account_id=farmer)
    await opener.call(
        _PACK, "register_lot", lot_id=_LOT, market_id=_MARKET, stall_id=_STALL,
        farmer_id=_FARMER, goods="cabbage", declared_g=100_000_000,
    )  # fmt: skip

    async def one(number: int) -> MarketLane:
        lane = MarketLane(number, await opener.funded(), (farmer, stall, market))
        await opener.call(
            _PACK, "register_buyer", buyer_id=lane.key, market_id=_MARKET,
            account_id=lane.account,
        )  # fmt: skip
        return lane

    return await opener.each(one, lanes)
