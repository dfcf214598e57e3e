"""Samples of the messages about accounts, holds, events and published requests."""

from typing import Any

from tests.conformance.samples.payments import PLAIN_PAYMENT

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_OPENED = {
    "account_id": "anna",
    "holder": "Anna",
    "type": "customer",
    "currency": "CNY",
    "status": "open",
    "opened_at": "2026-11-23T08:00:00Z",
}

_HOLD = {
    "hold_id": "hold-1",
    "account_id": "anna",
    "payee": "mall",
    "status": "open",
    "purpose": "hold",
    "amount_minor": 500,
    "captured_minor": 200,
    "released_minor": 0,
    "remaining_minor": 300,
    "currency": "CNY",
    "reference": "押金",
    "created_at": "2026-11-23T08:00:00Z",
    "expires_at": None,
}

REQUESTS: Samples = {
    "account.open": {"request_id": "request-1", "holder": "李雷", "type": "merchant"},
    "account.get": {"account_id": "anna"},
    "account.statement": {"account_id": "anna", "after": 100, "limit": 500},
    "account.deposit": {
        "request_id": "request-1",
        "account_id": "anna",
        "amount_minor": 10**13,
        "source": "external:unionpay",
    },
    "account.freeze": {
        "request_id": "request-1",
        "account_id": "anna",
        "reason": "法院冻结",
        "amount_minor": 100,
    },
    "account.unfreeze": {"request_id": "request-1", "hold_id": "hold-1"},
    "account.close": {"request_id": "request-1", "account_id": "anna", "transfer_to": "mall"},
    "hold.place": {
        "request_id": "request-1",
        "account_id": "anna",
        "amount_minor": 500,
        "payee": "mall",
        "expires_in_s": 3600,
        "reference": "押金",
    },
    "hold.capture": {
        "request_id": "request-1",
        "hold_id": "hold-1",
        "amount_minor": 200,
        "payee": "mall",
        "final": True,
    },
    "hold.void": {"request_id": "request-1", "hold_id": "hold-1"},
    "hold.get": {"hold_id": "hold-1"},
    "event.list": {"after": 100, "limit": 500},
}

RESULTS: Samples = {
    "account.open": _OPENED,
    "account.get": {**_OPENED, "posted_minor": 100, "available_minor": 90, "held_minor": 10},
    "account.freeze": {
        "account_id": "anna",
        "status": "open",
        "hold_id": "hold-1",
        "amount_minor": 100,
        "reason": "法院冻结",
        "frozen_at": "2026-11-23T08:00:00Z",
    },
    "account.unfreeze": {
        "account_id": "anna",
        "hold_id": None,
        "amount_minor": None,
        "unfrozen_at": "2026-11-23T08:00:00Z",
    },
    "account.close": {
        "account_id": "anna",
        "status": "closed",
        "transfer_to": "mall",
        "transferred_minor": 100,
        "closed_at": "2026-11-23T08:00:00Z",
    },
    "hold.place": _HOLD,
    "hold.capture": {
        "hold_id": "hold-1",
        "account_id": "anna",
        "payee": "mall",
        "status": "open",
        "captured_minor": 200,
        "released_minor": 0,
        "remaining_minor": 300,
        "currency": "CNY",
        "captured_at": "2026-11-23T08:00:00Z",
    },
    "hold.void": {**_HOLD, "status": "voided"},
    "hold.get": {**_HOLD, "expires_at": "2026-11-23T08:00:00Z"},
    "account.statement": {
        "account_id": "anna",
        "currency": "CNY",
        "entries": [
            {
                "number": 1,
                "amount_minor": -5,
                "balance_after_minor": 95,
                "operation": "payment.create",
                "request_id": "request-1",
                "at": "2026-11-23T08:00:00Z",
            }
        ],
        "next_after": None,
    },
    "account.deposit": {
        "deposit_id": "dep-1",
        "account_id": "anna",
        "source": "external:unionpay",
        "amount_minor": 100,
        "currency": "CNY",
        "created_at": "2026-11-23T08:00:00Z",
    },
    "event.list": {
        "events": [
            {
                "specversion": "1.0",
                "id": "ZHIHUI_EVENTS-101",
                "source": "/zhihui/shop",
                "type": "zhihui.payment.succeeded",
                "subject": "pay-1",
                "time": "2026-11-23T08:00:00Z",
                "datacontenttype": "application/json",
                "data": PLAIN_PAYMENT,
            }
        ],
        "next_after": 101,
        "more": False,
    },
}

EVENTS: Samples = {
    "account.opened": _OPENED,
    "account.frozen": RESULTS["account.freeze"],
    "account.unfrozen": RESULTS["account.unfreeze"],
    "account.closed": RESULTS["account.close"],
    "hold.placed": _HOLD,
    "hold.captured": RESULTS["hold.capture"],
    "hold.voided": RESULTS["hold.void"],
    "hold.expired": {**_HOLD, "status": "expired"},
    "deposit.succeeded": RESULTS["account.deposit"],
    "request.succeeded": {
        "request_id": "request-1",
        "operation": "payment.create",
        "result": PLAIN_PAYMENT,
    },
    "request.rejected": {
        "request_id": "request-1",
        "operation": "payment.create",
        "error": {
            "code": "insufficient_funds",
            "message": "not enough",
            "field": "payer",
            "retryable": False,
            "retry_after_s": None,
        },
    },
}
