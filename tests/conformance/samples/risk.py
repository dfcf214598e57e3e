"""Samples of the risk service's messages, which are for the back office."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-25T08:00:00Z"

_HIT = {
    "rule_id": "new-payee-large",
    "kind": "rule",
    "stage": "active",
    "action": "review",
    "reason": "新收款人大额付款",
    "effect": "review",
}

REQUESTS: Samples = {
    "risk.reviews": {"after": 1200, "limit": 500},
    "risk.explain": {"subject": "pay-1", "app": "shop", "request_id": "request-1"},
    "risk.report": {"since": _AT, "until": "2026-12-02T08:00:00Z"},
}

RESULTS: Samples = {
    "risk.reviews": {
        "reviews": [
            {
                "payment_id": "pay-1",
                "app": "shop",
                "request_id": "request-1",
                "customer": "cust-1",
                "payer": "anna",
                "payee": "mall",
                "method": "quick",
                "amount_minor": 5_000_000,
                "currency": "CNY",
                "rules_version": 4,
                "hits": [_HIT],
                "at": _AT,
            }
        ],
        "next_after": 1201,
    },
    "risk.explain": {
        "subject": "pay-1",
        "app": "shop",
        "request_id": "request-1",
        "outcome": "review",
        "reasons": ["新收款人大额付款"],
        "rules_version": 4,
        "hits": [_HIT, {**_HIT, "rule_id": "night", "stage": "shadow", "effect": "decline"}],
        "at": _AT,
    },
    "risk.report": {
        "since": _AT,
        "until": "2026-12-02T08:00:00Z",
        "rules_version": 4,
        "rules": [
            {
                "rule_id": "new-payee-large",
                "kind": "rule",
                "stage": "active",
                "hits": 12,
                "amount_minor": 60_000_000,
                "effects": {"review": 12},
                "outcomes": {"review": 11, "decline": 1},
                "agreed": 12,
            }
        ],
        "decision_times": {"decisions": 40_000, "p50_us": 21.5, "p99_us": 160.0, "max_us": 900.0},
        "truncated": False,
    },
}

EVENTS: Samples = {}
