"""Samples of the payment service's messages."""

from typing import Any

__all__ = ("EVENTS", "PLAIN_PAYMENT", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-25T08:00:00Z"
_LATER = "2026-12-02T08:00:00Z"

# What a plain payment from one account is answered with: nothing but what it always had.
PLAIN_PAYMENT = {
    "payment_id": "pay-1",
    "request_id": "request-1",
    "method": "quick",
    "status": "succeeded",
    "payer": "anna",
    "payee": "mall",
    "amount_minor": 1250,
    "currency": "CNY",
    "reference": "",
    "created_at": "2026-11-23T08:00:00Z",
}

_SPLIT_RULE = {
    "shares": [
        {"type": "ppm", "account_id": "stall-7", "ppm": 700_000},
        {"type": "fixed", "account_id": "carrier", "amount_minor": 300},
    ],
    "remainder": "market",
    "within": ["wechat"],
}
_FUNDING = [
    {"type": "coupon", "coupon_id": "cpn-1", "amount_minor": None},
    {"type": "points", "account_id": "anna.points", "amount_minor": 500},
    {
        "type": "wealth",
        "units_account": "anna.CASHPLUS",
        "cash_account": "anna",
        "amount_minor": 4000,
    },
    {"type": "credit", "line_id": "line-1", "quote_id": "quote-1", "amount_minor": 6000},
    {"type": "account", "account_id": "anna", "amount_minor": 1000},
    {"type": "channel", "channel": "wechat", "payer_reference": "openid-7", "amount_minor": None},
]
_FAILURE = {
    "code": "channel_unavailable",
    "message": "no channel took the payment",
    "field": "funding",
    "retryable": True,
    "retry_after_s": 5.0,
}
_REFUND = {
    "refund_id": "rfd-1",
    "payment_id": "pay-2",
    "request_id": "request-2",
    "status": "succeeded",
    "amount_minor": 5000,
    "currency": "CNY",
    "payment_status": "partially_refunded",
    "refunded_minor": 5000,
    "created_at": _AT,
    "sources": [
        {"number": 2, "amount_minor": 4500},
        {"number": 1, "amount_minor": 500, "returned_minor": 500},
    ],
    "fee_returned_minor": 19,
    "splits": [{"account_id": "stall-7", "amount_minor": 3487}],
    "reason": "退货",
}
_PAYMENT = {
    **PLAIN_PAYMENT,
    "payment_id": "pay-2",
    "amount_minor": 12_000,
    "reference": "早餐",
    "description": "豆浆和油条",
    "captured_minor": 12_000,
    "fee_minor": 46,
    "sources": [
        {
            "number": 1,
            "type": "points",
            "account_id": "anna.points",
            "amount_minor": 500,
            "charged_minor": 500,
        },
        {"number": 2, "type": "account", "account_id": "anna", "amount_minor": 11_500},
    ],
    "splits": [{"account_id": "stall-7", "amount_minor": 8368}],
}
_FULL = {
    **_PAYMENT,
    "method": "qr_dynamic",
    "status": "disputed",
    "refunded_minor": 5000,
    "refunds": [_REFUND],
    "disputes": [
        {
            "dispute_id": "dsp-1",
            "status": "released",
            "amount_minor": 1000,
            "reason": "货不对板",
            "opened_at": _AT,
            "resolved_at": _LATER,
            "resolution": "商户举证充分",
        }
    ],
    "history": [
        {"event": "succeeded", "status": "succeeded", "amount_minor": 12_000, "at": _AT},
        {"event": "refunded", "status": "partially_refunded", "amount_minor": 5000, "at": _AT},
    ],
    "mandate_id": "man-1",
    "qr_code_id": "qr-1",
    "qr_class": "dynamic",
}
_GUARANTEED = {
    **_PAYMENT,
    "method": "guaranteed",
    "status": "guaranteed",
    "captured_minor": 0,
    "confirms_at": _LATER,
}
_AUTHORIZED = {
    **PLAIN_PAYMENT,
    "method": "authorized",
    "status": "authorized",
    "amount_minor": 50_000,
    "captured_minor": 0,
    "sources": [
        {
            "number": 1,
            "type": "account",
            "account_id": "anna",
            "amount_minor": 0,
            "held_minor": 50_000,
        }
    ],
    "expires_at": _LATER,
}
_PROCESSING = {
    **PLAIN_PAYMENT,
    "status": "processing",
    "payer": "channel:wechat",
    "captured_minor": 0,
    "sources": [
        {
            "number": 1,
            "type": "channel",
            "account_id": "channel:wechat:suspense",
            "amount_minor": 0,
            "held_minor": 1250,
        }
    ],
}
_FAILED = {**_PROCESSING, "status": "failed", "failure": _FAILURE}
_IN_REVIEW = {**_PAYMENT, "status": "in_review", "captured_minor": 0, "review_until": _LATER}

REQUESTS: Samples = {
    "payment.create": {
        "request_id": "request-1",
        "payee": "mall",
        "amount_minor": 12_000,
        "currency": "CNY",
        "reference": "早餐",
        "method": "seamless",
        "funding": _FUNDING,
        "description": "豆浆和油条",
        "device_id": "device-1",
        "geo": {"latitude_udeg": 31_230_416, "longitude_udeg": 121_473_701},
        "merchant_category": "5411",
        "verification": {"factors": ["password", "sms", "biometric", "certificate"]},
        "mandate_id": "man-1",
        "mandate_token": {"type": "plate", "value": "粤B12345"},
        "qr": {"code_id": "qr-1"},
        "confirm_after_days": 7,
        "expires_in_s": 86_400,
        "split": _SPLIT_RULE,
    },
    "payment.confirm": {"request_id": "request-1", "payment_id": "pay-1"},
    "payment.capture": {
        "request_id": "request-1",
        "payment_id": "pay-1",
        "amount_minor": 12_345,
        "final": True,
    },
    "payment.void": {"request_id": "request-1", "payment_id": "pay-1"},
    "payment.refund": {
        "request_id": "request-1",
        "payment_id": "pay-1",
        "amount_minor": 5000,
        "reason": "退货",
        "source_order": [2, 1],
    },
    "payment.dispute": {
        "request_id": "request-1",
        "payment_id": "pay-1",
        "reason": "货不对板",
        "amount_minor": 1000,
    },
    "payment.resolve": {
        "request_id": "request-1",
        "payment_id": "pay-1",
        "decision": "release",
        "reason": "商户举证充分",
    },
    "payment.review": {
        "request_id": "request-1",
        "payment_id": "pay-1",
        "decision": "approve",
        "reason": "已与客户核实",
    },
    "payment.reverse": {
        "request_id": "request-1",
        "payment_id": "pay-1",
        "reason": "重复扣款",
    },
    "payment.retry_refund": {
        "request_id": "request-1",
        "payment_id": "pay-1",
        "refund_id": "rfd-1",
    },
    "payment.get": {"payment_id": "pay-1", "request_id": None},
    "payment.list": {
        "payer": "anna",
        "payee": None,
        "status": "partially_refunded",
        "since": _AT,
        "until": _LATER,
        "after": "pay-1",
        "limit": 200,
    },
}

RESULTS: Samples = {
    "payment.create": PLAIN_PAYMENT,
    "payment.confirm": {**_PAYMENT, "method": "guaranteed"},
    "payment.capture": {
        **_AUTHORIZED,
        "status": "partially_captured",
        "captured_minor": 12_345,
        "fee_minor": 47,
    },
    "payment.void": {**_GUARANTEED, "status": "voided"},
    "payment.refund": _REFUND,
    "payment.dispute": {**_PAYMENT, "status": "disputed"},
    "payment.resolve": _FULL,
    "payment.review": _PAYMENT,
    "payment.reverse": {**_PAYMENT, "status": "reversed", "refunded_minor": 12_000},
    "payment.retry_refund": {**_REFUND, "status": "processing"},
    "payment.get": _FULL,
    "payment.list": {"payments": [PLAIN_PAYMENT, _PROCESSING], "next_after": "pay-2"},
}

EVENTS: Samples = {
    "payment.authorized": _AUTHORIZED,
    "payment.captured": RESULTS["payment.capture"],
    "payment.delayed": _PROCESSING,
    "payment.dispute_released": _FULL,
    "payment.disputed": RESULTS["payment.dispute"],
    "payment.expired": {**_AUTHORIZED, "status": "expired"},
    "payment.failed": _FAILED,
    "payment.guaranteed": _GUARANTEED,
    "payment.in_review": _IN_REVIEW,
    "payment.processing": _PROCESSING,
    "payment.refund_failed": {**_REFUND, "status": "failed", "failure": _FAILURE},
    "payment.refund_retried": RESULTS["payment.retry_refund"],
    "payment.refund_settled": _REFUND,
    "payment.refunded": {**_REFUND, "status": "processing"},
    "payment.reversed": RESULTS["payment.reverse"],
    "payment.succeeded": PLAIN_PAYMENT,
    "payment.voided": RESULTS["payment.void"],
}
