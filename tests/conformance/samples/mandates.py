"""Samples of the messages about mandates and payment codes."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-25T08:00:00Z"

_MANDATE = {
    "mandate_id": "man-1",
    "status": "active",
    "account_id": "anna",
    "payee": "parking",
    "per_payment_minor": 5000,
    "per_day_minor": 10_000,
    "per_day_count": 2,
    "total_minor": None,
    "token": {"type": "plate", "value": "沪A00004"},
    "description": "停车无感支付",
    "created_at": _AT,
    "expires_at": "2027-11-25T08:00:00Z",
    "ended_at": None,
    "used_minor": 4200,
    "used_count": 3,
    "used_today_minor": 1400,
    "used_today_count": 1,
}
_CODE = {
    "code_id": "qr-1",
    "content": "zhihui:pay:qr-1",
    "type": "dynamic",
    "account_id": "mall",
    "amount_minor": 1250,
    "description": "3号桌",
    "created_at": _AT,
    "expires_at": "2026-11-25T08:01:00Z",
    "used": False,
}

REQUESTS: Samples = {
    "mandate.create": {
        "request_id": "request-1",
        "account_id": "anna",
        "per_payment_minor": 5000,
        "payee": "parking",
        "per_day_minor": 10_000,
        "per_day_count": 2,
        "total_minor": 1_000_000,
        "expires_in_days": 365,
        "token": {"type": "plate", "value": "沪A00004"},
        "description": "停车无感支付",
    },
    "mandate.revoke": {"request_id": "request-1", "mandate_id": "man-1", "reason": "车已出售"},
    "mandate.get": {"mandate_id": "man-1"},
    "qr.create": {
        "request_id": "request-1",
        "type": "customer",
        "account_id": "anna",
        "amount_minor": 50_000,
        "expires_in_s": 60,
        "description": "付款码",
    },
    "qr.get": {"code_id": "qr-1"},
}

RESULTS: Samples = {
    "mandate.create": _MANDATE,
    "mandate.revoke": {**_MANDATE, "status": "revoked", "ended_at": _AT},
    "mandate.get": {**_MANDATE, "payee": None, "token": {"type": "face", "value": "face-77"}},
    "qr.create": {**_CODE, "type": "static", "amount_minor": None, "expires_at": None},
    "qr.get": {**_CODE, "type": "customer", "account_id": None, "used": True},
}

EVENTS: Samples = {
    "mandate.created": _MANDATE,
    "mandate.expired": {**_MANDATE, "status": "expired", "ended_at": _AT},
    "mandate.revoked": RESULTS["mandate.revoke"],
}
