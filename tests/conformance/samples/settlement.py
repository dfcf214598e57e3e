"""Samples of the messages about merchants and their settlement."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-23T08:00:00Z"

_TERMS = {
    "cycle": "T+0",
    "settle_to": {"type": "account", "account_id": "stall-own"},
    "fee": {"ppm": 6000, "min_minor": 1, "max_minor": 5000},
    "method_fees": {"qr_static": {"ppm": 3800, "min_minor": 0, "max_minor": None}},
    "refund_fee": False,
    "splits": {
        "market": {
            "shares": [
                {"type": "ppm", "account_id": "market", "ppm": 50_000},
                {"type": "fixed", "account_id": "carrier", "amount_minor": 100},
            ],
            "remainder": None,
            "within": ["wechat"],
        }
    },
    "default_split": "market",
    "partner": {"partner_id": "sp-1", "account_id": "partner", "ppm": 10_000},
    "settle_now_from_minor": 500_000,
}
_MERCHANT = {
    "merchant_id": "stall",
    "app": "shop",
    "name": "七号摊",
    "category": "5411",
    "terms": _TERMS,
    "version": 1,
    "created_at": _AT,
    "updated_at": _AT,
}
_SETTLEMENT = {
    "settlement_id": "stl-1",
    "merchant_id": "stall",
    "number": 1,
    "day": "2026-11-22",
    "cycle": "D+1",
    "state": "settled",
    "cut_off_at": _AT,
    "legs": 3,
    "gross_minor": 10_333,
    "refunded_minor": 5000,
    "fee_minor": 32,
    "shared_minor": 265,
    "received_minor": 0,
    "net_minor": 5036,
    "carried_in_minor": -36,
    "carried_out_minor": 0,
    "payout_minor": 5000,
    "settle_to": {"type": "bank", "reference": "external:card:acct-1"},
    "reason": "",
    "opened_at": _AT,
    "ended_at": _AT,
}
_OPEN = {**_SETTLEMENT, "state": "open", "settle_to": None, "ended_at": None, "payout_minor": 0}

REQUESTS: Samples = {
    "merchant.create": {
        "request_id": "request-1",
        "account_id": "stall",
        "name": "七号摊",
        "terms": _TERMS,
        "category": "5411",
    },
    "merchant.update": {
        "request_id": "request-1",
        "merchant_id": "stall",
        "name": "八号摊",
        "terms": {**_TERMS, "settle_to": {"type": "bank", "reference": "external:card:acct-1"}},
        "category": None,
        "version": 1,
    },
    "merchant.get": {"merchant_id": "stall"},
    "settlement.run": {"request_id": "request-1", "merchant_id": "stall"},
    "settlement.get": {"settlement_id": "stl-1"},
    "settlement.list": {
        "merchant_id": "stall",
        "day": "2026-11-22",
        "after": 1,
        "limit": 200,
    },
    "settlement.statement": {
        "merchant_id": "stall",
        "day": "2026-11-22",
        "after": 7,
        "limit": 1000,
    },
    "settlement.clearing": {
        "day": "2026-11-22",
        "app": "shop",
        "after": "stall",
        "limit": 1000,
    },
}

RESULTS: Samples = {
    "merchant.create": _MERCHANT,
    "merchant.update": {**_MERCHANT, "version": 2},
    "merchant.get": {**_MERCHANT, "category": None},
    "settlement.run": _OPEN,
    "settlement.get": {
        **_SETTLEMENT,
        "state": "failed",
        "reason": "account_closed",
        "payout_minor": 0,
        "carried_out_minor": 5000,
    },
    "settlement.list": {"settlements": [_SETTLEMENT], "next_after": 1},
    "settlement.statement": {
        "merchant_id": "stall",
        "day": "2026-11-22",
        "lines": [
            {
                "settlement_id": "stl-1",
                "leg_id": "rfd-1",
                "kind": "refund",
                "payment_id": "pay-1",
                "method": "quick",
                "app": "shop",
                "at": _AT,
                "gross_minor": -100,
                "fee_minor": -1,
                "shared_minor": -5,
                "net_minor": -94,
            }
        ],
        "next_after": 7,
    },
    "settlement.clearing": {
        "day": "2026-11-22",
        "app": "shop",
        "lines": [{"account_id": "stall", "role": "merchant", "legs": 3, "amount_minor": 5036}],
        "next_after": None,
    },
}

EVENTS: Samples = {
    "merchant.created": _MERCHANT,
    "merchant.updated": RESULTS["merchant.update"],
    "settlement.opened": _OPEN,
    "settlement.computed": {**_OPEN, "state": "computed"},
    "settlement.paying": {**_SETTLEMENT, "state": "paying", "ended_at": None},
    "settlement.settled": _SETTLEMENT,
    "settlement.failed": RESULTS["settlement.get"],
}
