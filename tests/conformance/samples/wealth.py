"""Samples of the messages about funds and what customers hold of them."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-25T08:00:00Z"

_FUND = {
    "fund": "CASHPLUS",
    "name": "现金宝",
    "asset": "UNIT.CASHPLUS",
    "confirm_days": 1,
    "advanced_by": "own_bank",
    "advance_limit_minor": 100_000_000,
    "advanced_minor": 700_000,
    "units_minor": 4_003_506,
    "standing_rate": 5312,
    "income_through": "2026-11-24",
    "rate": 5312,
    "seven_day_yield_ppm": 19_460,
    "created_at": _AT,
}
_ORDER = {
    "order_id": "word-1",
    "kind": "subscribe",
    "status": "accepted",
    "fund": "CASHPLUS",
    "units_account": "anna.CASHPLUS",
    "cash_account": "anna",
    "amount_minor": 3_000_000,
    "sales_channel": "shop",
    "ordered_on": "2026-11-25",
    "settles_on": "2026-11-26",
    "earns_from": "2026-11-26",
    "created_at": _AT,
}
_REDEEMING = {**_ORDER, "order_id": "word-2", "kind": "redeem"}
_PAID = {**_ORDER, "order_id": "word-3", "kind": "instant", "status": "paid"}

REQUESTS: Samples = {
    "fund.create": {
        "request_id": "request-1",
        "fund": "CASHPLUS",
        "name": "现金宝",
        "advance": {"advanced_by": "own_bank", "limit_minor": 100_000_000},
        "confirm_days": 1,
        "standing_rate": 5312,
    },
    "fund.get": {"fund": "CASHPLUS"},
    "wealth.subscribe": {
        "request_id": "request-1",
        "fund": "CASHPLUS",
        "cash_account": "anna",
        "amount_minor": 3_000_000,
    },
    "wealth.redeem": {
        "request_id": "request-1",
        "units_account": "anna.CASHPLUS",
        "amount_minor": 700_000,
        "instant": True,
        "sales_channel": "shop",
    },
    "wealth.order": {"order_id": "word-1"},
    "wealth.get": {"units_account": "anna.CASHPLUS"},
    "wealth.income": {
        "request_id": "request-1",
        "fund": "CASHPLUS",
        "day": "2026-11-24",
        "rate": 5312,
        "standing": True,
    },
}

RESULTS: Samples = {
    "fund.create": {
        **_FUND,
        "advanced_by": None,
        "advance_limit_minor": 0,
        "advanced_minor": 0,
        "units_minor": 0,
        "standing_rate": None,
        "income_through": None,
        "rate": None,
        "seven_day_yield_ppm": None,
    },
    "fund.get": _FUND,
    "wealth.subscribe": _ORDER,
    "wealth.redeem": _PAID,
    "wealth.order": {**_REDEEMING, "status": "unpaid"},
    "wealth.get": {
        "units_account": "anna.CASHPLUS",
        "fund": "CASHPLUS",
        "cash_account": "anna",
        "units_minor": 3_000_159,
        "unconfirmed_minor": 0,
        "redeeming_minor": 100_000,
        "redeemable_minor": 2_900_159,
        "instant_minor": 1_000_000,
        "income_minor": 159,
        "last_income_minor": 159,
        "income_through": "2026-11-27",
        "opened_at": _AT,
    },
    "wealth.income": {"fund": "CASHPLUS", "day": "2026-11-24", "rate": 5312},
}

EVENTS: Samples = {
    "fund.created": RESULTS["fund.create"],
    "fund.cleared": {
        "fund": "CASHPLUS",
        "ordered_on": "2026-11-25",
        "cleared_on": "2026-11-26",
        "amount_minor": 700_000,
    },
    "fund.income_published": RESULTS["wealth.income"],
    "fund.income_distributed": {
        "fund": "CASHPLUS",
        "day": "2026-11-24",
        "rate": 5312,
        "holders": 2,
        "units_minor": 4_003_506,
        "income_minor": 212,
    },
    "wealth.subscribed": _ORDER,
    "wealth.confirmed": {**_ORDER, "status": "confirmed"},
    "wealth.redeeming": _REDEEMING,
    "wealth.redeemed": _PAID,
    "wealth.unpaid": {**_REDEEMING, "status": "unpaid"},
    "wealth.income_credited": {
        "units_account": "anna.CASHPLUS",
        "fund": "CASHPLUS",
        "day": "2026-11-27",
        "units_minor": 3_000_159,
        "rate": 5312,
        "income_minor": 159,
        "credited_to": "anna.CASHPLUS",
    },
}
