"""Samples of routing's messages."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_PAYMENT = {
    "method": "quick",
    "amount_minor": 1250,
    "app": "shop",
    "payee_type": "merchant",
    "hour": 16,
    "excluded": ["netsunion"],
}
_CANDIDATE = {
    "channel": "wechat",
    "excluded": None,
    "propensity_ppm": 987_500,
    "score": 0.9412,
    "success_rate": 0.9871,
    "success_rate_sd": 0.0112,
    "samples": 41.5,
    "latency_s": 0.25,
    "cost_minor": 8,
    "breaker": "closed",
}
_DECISION = {
    "chosen": "wechat",
    "propensity_ppm": 987_500,
    "probe": False,
    "alternatives": ["alipay"],
    "candidates": [
        _CANDIDATE,
        {**_CANDIDATE, "channel": "alipay", "propensity_ppm": 12_500, "breaker": "half_open"},
        {
            **_CANDIDATE,
            "channel": "unionpay",
            "excluded": "breaker_open",
            "propensity_ppm": 0,
            "breaker": "open",
        },
    ],
    "rules_version": 3,
    "retry_after_s": None,
}

REQUESTS: Samples = {
    "route.explain": {
        "payment_id": "pay-1",
        "payment": {
            "method": "quick",
            "amount_minor": 1250,
            "app": "shop",
            "payee_type": "merchant",
            "channel": "wechat",
            "excluded": ["alipay"],
            "hour": 23,
        },
    },
}

RESULTS: Samples = {
    "route.explain": {
        "node": "n1",
        "choices": [
            {
                "number": 1,
                "at": "2026-11-25T08:00:00Z",
                "chosen": "wechat",
                "propensity_ppm": 987_500,
                "rules_version": 3,
                "payment": _PAYMENT,
                "decision": _DECISION,
            }
        ],
        "now": {
            "payment": _PAYMENT,
            "decision": {**_DECISION, "chosen": None, "propensity_ppm": 0, "retry_after_s": 12.5},
        },
        "reasons": ["wechat has the best score of the channels that may be tried."],
    },
}

EVENTS: Samples = {}
