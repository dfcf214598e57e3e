"""Samples of the channel service's messages."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-25T08:00:00Z"

_ORDER = {
    "order_id": "cha-1",
    "kind": "pay",
    "channel": "wechat",
    "reference": "26112508000000000001",
    "channel_reference": "4200001234202611257654321",
    "amount_minor": 1250,
    "currency": "CNY",
    "state": "paid",
    "code": "SUCCESS",
    "reason": "",
    "code_url": "weixin://wxpay/bizpayurl?pr=7Qz",
    "asked": 2,
    "created_at": _AT,
    "settled_at": _AT,
    "next_at": None,
    "reconciled_at": None,
}
_OUTCOME = {
    "payment_id": "pay-1",
    "order_id": "cha-1",
    "kind": "pay",
    "channel": "wechat",
    "amount_minor": 1250,
    "currency": "CNY",
    "state": "paid",
    "outcome": "succeeded",
    "reason": "",
}

REQUESTS: Samples = {
    "channel.get": {"payment_id": "pay-1"},
    "channel.recheck": {"request_id": "request-1", "payment_id": "pay-1", "order_id": "cha-1"},
    "channel.reconcile": {
        "request_id": "request-1",
        "channel": "unionpay",
        "lines": [
            {"reference": "26112508000000000001", "kind": "pay", "amount_minor": 1250},
            {"reference": "26112508000000000002", "kind": "refund", "amount_minor": 200},
        ],
    },
}

RESULTS: Samples = {
    "channel.get": {
        "payment_id": "pay-1",
        "status": "paid",
        "orders": [
            {
                **_ORDER,
                "order_id": "cha-0",
                "state": "open",
                "settled_at": None,
                "next_at": _AT,
            },
            _ORDER,
        ],
    },
    "channel.recheck": _OUTCOME,
    "channel.reconcile": {
        "channel": "unionpay",
        "posted": 1,
        "in_minor": 1250,
        "out_minor": 0,
        "already": ["26112508000000000002"],
        "refused": ["26112508000000000009"],
    },
}

EVENTS: Samples = {
    "channel.paid": {**_OUTCOME, "outcome": ""},
    "channel.attempt_ended": {
        **_OUTCOME,
        "state": "failed",
        "outcome": "failed",
        "reason": "余额不足",
    },
    "channel.paid_late": {**_OUTCOME, "state": "paid_late"},
    "channel.refunded": {**_OUTCOME, "order_id": "chr-1", "kind": "refund"},
    "channel.refund_failed": {
        **_OUTCOME,
        "order_id": "chr-1",
        "kind": "refund",
        "state": "failed",
        "outcome": "failed",
        "reason": "账户已销户",
    },
}
