"""Samples of the wholesale market pack's messages."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

# As an afternoon of the market writes them, packed.
# fmt: off
REQUESTS: Samples = {
    "wholesale_market.open_market": {
        "market_id": "m", "fee_account": "fees", "advance_account": "advance",
        "interest_account": "interest", "terms": {"zone": "UTC", "fee_tiers": [{"from_minor": 0,
        "ppm": 20000}, {"from_minor": 100000, "ppm": 10000}], "deposit_per_tonne_minor": 10000,
        "accept_minutes": 30, "dispute_minutes": 120, "reweigh_minutes": 60, "tolerance_ppm":
        1000, "interest_ppm": 1000, "overdue_ppm": 2000}, "request_id": "r-1"
    },
    "wholesale_market.register_scale": {
        "scale_id": "platform", "market_id": "m", "division_g": 100, "max_g": 5000000,
        "verified_until": "2026-06-15", "referee": False, "request_id": "r-2"
    },
    "wholesale_market.open_stall": {
        "stall_id": "s", "market_id": "m", "account_id": "stall", "commission_ppm": 50000,
        "request_id": "r-4"
    },
    "wholesale_market.register_farmer": {
        "farmer_id": "f", "account_id": "farmer", "request_id": "r-5"
    },
    "wholesale_market.register_carrier": {
        "carrier_id": "c", "account_id": "carrier", "per_kg_minor": 4, "request_id": "r-6"
    },
    "wholesale_market.register_lot": {
        "lot_id": "lot", "market_id": "m", "stall_id": "s", "farmer_id": "f", "goods":
        "cabbage", "declared_g": 10000000, "request_id": "r-7"
    },
    "wholesale_market.inspect_lot": {
        "lot_id": "lot", "passed": True, "request_id": "r-8"
    },
    "wholesale_market.register_buyer": {
        "buyer_id": "b", "market_id": "m", "account_id": "buyer", "request_id": "r-9"
    },
    "wholesale_market.set_credit": {
        "buyer_id": "b", "limit_minor": 30000, "terms": "day", "request_id": "r-10"
    },
    "wholesale_market.get_market": {
        "market_id": "m"
    },
    "wholesale_market.open_deal": {
        "buyer_id": "b", "deal_id": "d", "lot_id": "lot", "unit": "kg", "price_minor": 200,
        "carrier_id": "c", "request_id": "r-11"
    },
    "wholesale_market.weigh": {
        "buyer_id": "b", "deal_id": "d", "scale_id": "platform", "weighed_at":
        "2026-06-15T02:00:00Z", "line": 1, "gross_g": 110000, "tare_g": 10000, "request_id":
        "r-12"
    },
    "wholesale_market.pay": {
        "buyer_id": "b", "deal_id": "d", "method": "now", "lines": 1, "amount_minor": 20000,
        "request_id": "r-13"
    },
    "wholesale_market.dispute": {
        "buyer_id": "b", "deal_id": "d", "by": "buyer", "request_id": "r-14"
    },
    "wholesale_market.reweigh": {
        "buyer_id": "b", "deal_id": "d", "gross_g": 100000, "tare_g": 10000, "scale_id":
        "referee", "weighed_at": "2026-06-15T02:00:00Z", "request_id": "r-15"
    },
    "wholesale_market.get_deal": {
        "buyer_id": "b", "deal_id": "d"
    },
    "wholesale_market.accept": {
        "buyer_id": "b", "deal_id": "e", "discount_minor": 500, "request_id": "r-19"
    },
    "wholesale_market.reject": {
        "buyer_id": "b", "deal_id": "f", "reason": "rotten", "request_id": "r-23"
    },
    "wholesale_market.cancel_deal": {
        "buyer_id": "b", "deal_id": "g", "request_id": "r-26"
    },
    "wholesale_market.repay": {
        "buyer_id": "b", "amount_minor": 1000, "request_id": "r-30"
    },
    "wholesale_market.get_buyer": {
        "buyer_id": "b"
    },
    "wholesale_market.list_arrears": {
        "market_id": "m"
    },
    "wholesale_market.get_lot": {
        "lot_id": "lot"
    },
    "wholesale_market.get_stall": {
        "stall_id": "s"
    },
    "wholesale_market.default_lot": {
        "lot_id": "l2", "reason": "residues", "penalty_minor": 500, "request_id": "r-34"
    },
    "wholesale_market.close_lot": {
        "lot_id": "lot", "request_id": "r-35"
    },
}

RESULTS: Samples = {
    "wholesale_market.open_market": {
        "market_id": "m", "fee_account": "fees", "advance_account": "advance",
        "interest_account": "interest", "terms": {"zone": "UTC", "opens": "22:00:00", "closes":
        "10:00:00", "day_close": "18:00:00", "fee_tiers": [{"from_minor": 0, "ppm": 20000},
        {"from_minor": 100000, "ppm": 10000}], "fee_basis": "month_before", "wipe_minor": 1,
        "inspection_required": True, "deposit_per_tonne_minor": 10000, "lot_days": 3,
        "oversold_ppm": 20000, "accept_minutes": 30, "dispute_minutes": 120, "reweigh_minutes":
        60, "tolerance_ppm": 1000, "interest_ppm": 1000, "overdue_ppm": 2000}, "status":
        "opened"
    },
    "wholesale_market.register_scale": {
        "scale_id": "platform", "market_id": "m", "division_g": 100, "max_g": 5000000,
        "verified_until": "2026-06-15", "referee": False, "status": "registered"
    },
    "wholesale_market.open_stall": {
        "stall_id": "s", "market_id": "m", "account_id": "stall", "commission_ppm": 50000,
        "waits": False, "fee_ppm": 20000, "status": "opened"
    },
    "wholesale_market.register_farmer": {
        "farmer_id": "f", "account_id": "farmer", "status": "registered"
    },
    "wholesale_market.register_carrier": {
        "carrier_id": "c", "account_id": "carrier", "per_kg_minor": 4, "status": "registered"
    },
    "wholesale_market.register_lot": {
        "lot_id": "lot", "stall_id": "s", "farmer_id": "f", "goods": "cabbage", "declared_g":
        10000000, "deposit_minor": 100000, "status": "registered"
    },
    "wholesale_market.inspect_lot": {
        "lot_id": "lot", "report": "", "status": "passed"
    },
    "wholesale_market.register_buyer": {
        "buyer_id": "b", "market_id": "m", "account_id": "buyer", "status": "registered"
    },
    "wholesale_market.set_credit": {
        "buyer_id": "b", "limit_minor": 30000, "terms": "day", "used_minor": 0, "left_minor":
        30000, "status": "set"
    },
    "wholesale_market.get_market": {
        "market_id": "m", "fee_account": "fees", "advance_account": "advance",
        "interest_account": "interest", "terms": {"zone": "UTC", "opens": "22:00:00", "closes":
        "10:00:00", "day_close": "18:00:00", "fee_tiers": [{"from_minor": 0, "ppm": 20000},
        {"from_minor": 100000, "ppm": 10000}], "fee_basis": "month_before", "wipe_minor": 1,
        "inspection_required": True, "deposit_per_tonne_minor": 10000, "lot_days": 3,
        "oversold_ppm": 20000, "accept_minutes": 30, "dispute_minutes": 120, "reweigh_minutes":
        60, "tolerance_ppm": 1000, "interest_ppm": 1000, "overdue_ppm": 2000}, "status":
        "unchanged"
    },
    "wholesale_market.open_deal": {
        "buyer_id": "b", "deal_id": "d", "lot_id": "lot", "stall_id": "s", "price_minor": 200,
        "fee_ppm": 20000, "lines": 0, "amount_minor": 0, "status": "opened"
    },
    "wholesale_market.weigh": {
        "buyer_id": "b", "deal_id": "d", "line": 1, "revision": 1, "lines": 1, "net_g": 100000,
        "amount_minor": 20000, "status": "weighed"
    },
    "wholesale_market.pay": {
        "buyer_id": "b", "deal_id": "d", "amount_minor": 20000, "net_g": 100000, "parts":
        {"farmer_minor": 18200, "stall_minor": 1000, "market_minor": 400, "carrier_minor": 400},
        "source": "account", "due_at": None, "status": "paid"
    },
    "wholesale_market.dispute": {
        "buyer_id": "b", "deal_id": "d", "by": "buyer", "due_at": "2026-06-15T03:00:00Z",
        "status": "disputed"
    },
    "wholesale_market.reweigh": {
        "buyer_id": "b", "deal_id": "d", "net_before_g": 100000, "net_g": 90000, "amount_minor":
        18000, "difference_minor": -2000, "claimed_minor": 0, "status": "refunded"
    },
    "wholesale_market.get_deal": {
        "buyer_id": "b", "deal_id": "d", "lot_id": "lot", "stall_id": "s", "unit": "kg",
        "price_minor": 200, "loss_ppm": 0, "fee_ppm": 20000, "lines": [{"line": 1, "revision":
        1, "gross_g": 110000, "tare_g": 10000, "scale_id": "platform", "weighed_at":
        "2026-06-15T02:00:00Z"}], "net_g": 90000, "amount_minor": 18000, "discount_minor": 0,
        "parts": {"farmer_minor": 16380, "stall_minor": 900, "market_minor": 360,
        "carrier_minor": 360}, "source": "account", "dispute": "refunded", "status": "paid"
    },
    "wholesale_market.accept": {
        "buyer_id": "b", "deal_id": "e", "captured_minor": 19500, "discount_minor": 500,
        "parts": {"farmer_minor": 17735, "stall_minor": 975, "market_minor": 390,
        "carrier_minor": 400}, "by": "buyer", "status": "accepted"
    },
    "wholesale_market.reject": {
        "buyer_id": "b", "deal_id": "f", "released_minor": 20000, "reason": "rotten", "status":
        "rejected"
    },
    "wholesale_market.cancel_deal": {
        "buyer_id": "b", "deal_id": "g", "status": "cancelled"
    },
    "wholesale_market.repay": {
        "buyer_id": "b", "paid_minor": 1000, "interest_minor": 0, "unused_minor": 0,
        "owed_minor": 19000, "blocked": False, "status": "repaid"
    },
    "wholesale_market.get_buyer": {
        "buyer_id": "b", "market_id": "m", "account_id": "buyer", "limit_minor": 30000,
        "used_minor": 19000, "left_minor": 0, "owed_minor": 19000, "overdue_minor": 19000,
        "open_deals": 0, "debts": [{"deal_id": "h", "principal_minor": 19000, "interest_minor":
        0, "source": "advance", "due_at": "2026-06-15T18:00:00Z", "overdue": True}], "status":
        "blocked"
    },
    "wholesale_market.list_arrears": {
        "market_id": "m", "overdue_minor": 19000, "buyers": [{"buyer_id": "b", "overdue_minor":
        19000, "debts": 1, "since": "2026-06-15T18:00:00Z"}], "unlisted": 0, "status": "listed"
    },
    "wholesale_market.get_lot": {
        "lot_id": "lot", "market_id": "m", "stall_id": "s", "farmer_id": "f", "goods":
        "cabbage", "certificate": "", "declared_g": 10000000, "sold_g": 290000, "deals": 3,
        "deposit": "held", "deposit_minor": 100000, "captured_minor": 0, "short_minor": 0,
        "oversold": False, "registered_at": "2026-06-15T02:00:00Z", "status": "passed"
    },
    "wholesale_market.get_stall": {
        "stall_id": "s", "market_id": "m", "account_id": "stall", "commission_ppm": 50000,
        "waits": False, "fee_ppm": 20000, "turnover_minor": 57500, "turnover_before_minor": 0,
        "day_deals": 0, "day_weight_g": 0, "day_turnover_minor": 0, "day_commission_minor": 0,
        "day_fee_minor": 0, "status": "open"
    },
    "wholesale_market.default_lot": {
        "lot_id": "l2", "reason": "residues", "penalty_minor": 500, "released_minor": 500,
        "captured_minor": 500, "status": "defaulted"
    },
    "wholesale_market.close_lot": {
        "lot_id": "lot", "sold_g": 290000, "deals": 3, "released_minor": 100000,
        "captured_minor": 0, "by": "request", "status": "closed"
    },
}

EVENTS: Samples = {
    "wholesale_market.market_opened": RESULTS["wholesale_market.open_market"],
    "wholesale_market.stall_opened": RESULTS["wholesale_market.open_stall"],
    "wholesale_market.lot_registered": RESULTS["wholesale_market.register_lot"],
    "wholesale_market.lot_inspected": RESULTS["wholesale_market.inspect_lot"],
    "wholesale_market.buyer_registered": RESULTS["wholesale_market.register_buyer"],
    "wholesale_market.credit_set": RESULTS["wholesale_market.set_credit"],
    "wholesale_market.deal_opened": RESULTS["wholesale_market.open_deal"],
    "wholesale_market.deal_weighed": RESULTS["wholesale_market.weigh"],
    "wholesale_market.deal_paid": RESULTS["wholesale_market.pay"],
    "wholesale_market.deal_disputed": RESULTS["wholesale_market.dispute"],
    "wholesale_market.deal_reweighed": RESULTS["wholesale_market.reweigh"],
    "wholesale_market.deal_held": {
        "buyer_id": "b", "deal_id": "e", "amount_minor": 20000, "net_g": 100000, "parts":
        {"farmer_minor": 18200, "stall_minor": 1000, "market_minor": 400, "carrier_minor": 400},
        "source": "account", "due_at": "2026-06-15T02:30:00Z", "status": "held"
    },
    "wholesale_market.deal_accepted": RESULTS["wholesale_market.accept"],
    "wholesale_market.deal_rejected": RESULTS["wholesale_market.reject"],
    "wholesale_market.deal_cancelled": RESULTS["wholesale_market.cancel_deal"],
    "wholesale_market.deal_on_credit": {
        "buyer_id": "b", "deal_id": "h", "amount_minor": 20000, "net_g": 100000, "parts":
        {"farmer_minor": 18200, "stall_minor": 1000, "market_minor": 400, "carrier_minor": 400},
        "source": "advance", "due_at": "2026-06-15T18:00:00Z", "status": "on_credit"
    },
    "wholesale_market.debts_repaid": RESULTS["wholesale_market.repay"],
    "wholesale_market.dispute_lapsed": {
        "buyer_id": "b", "deal_id": "h", "status": "lapsed"
    },
    "wholesale_market.debts_overdue": {
        "buyer_id": "b", "overdue_minor": 19000, "deal_ids": ["h"], "status": "overdue"
    },
    "wholesale_market.stall_day_closed": {
        "stall_id": "s", "market_id": "m", "day": "2026-06-15", "deals": 3, "weight_g": 290000,
        "turnover_minor": 57500, "commission_minor": 2875, "fee_minor": 1150, "status": "closed"
    },
    "wholesale_market.debts_collected": {
        "buyer_id": "b", "paid_minor": 19057, "interest_minor": 57, "owed_minor": 0, "status":
        "collected"
    },
    "wholesale_market.lot_defaulted": RESULTS["wholesale_market.default_lot"],
    "wholesale_market.lot_closed": RESULTS["wholesale_market.close_lot"],
    "wholesale_market.deposit_claimed": {
        "lot_id": "l3", "deal_id": "d", "account_id": "buyer", "captured_minor": 100,
        "short_minor": 0, "status": "claimed"
    },
    "wholesale_market.lot_oversold": {
        "lot_id": "l3", "stall_id": "s", "declared_g": 1000000, "sold_g": 2000000, "status":
        "oversold"
    },
}
