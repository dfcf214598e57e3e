"""Samples of the messages about points and coupons."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-25T08:00:00Z"
_END = "2026-12-31T16:00:00Z"

_GRANTED = {
    "points_account": "anna.points",
    "account_id": "anna",
    "batch_id": "pts-1",
    "points": 20_000,
    "worth_minor": 20_000,
    "sponsor_account": "expense:marketing",
    "ends_on": "2026-12-31",
    "reason": "开户礼",
    "granted_at": _AT,
}
_COUPON = {
    "coupon_id": "cpn-1",
    "campaign": "spring",
    "budget_minor": 100_000,
    "discount": {
        "face_minor": None,
        "rate_ppm": 100_000,
        "cap_minor": 1000,
        "spend_min_minor": 5000,
    },
    "status": "issued",
    "starts_at": _AT,
    "ends_at": _END,
    "sponsor_account": "mall",
    "holder": "anna",
    "payment_id": None,
    "paid_minor": 0,
    "issued_at": _AT,
}
_USED = {**_COUPON, "status": "used", "payment_id": "pay-1", "paid_minor": 1000}
_SPENT = {
    "points_account": "anna.points",
    "payment_id": "pay-1",
    "points": 5000,
    "worth_minor": 5000,
}

REQUESTS: Samples = {
    "points.grant": {
        "request_id": "request-1",
        "account_id": "anna",
        "points": 20_000,
        "sponsor_account": "mall",
        "ends_on": "2026-12-31",
        "reason": "开户礼",
    },
    "points.get": {"points_account": "anna.points"},
    "coupon.issue": {
        "request_id": "request-1",
        "campaign": "spring",
        "budget_minor": 100_000,
        "discount": {
            "face_minor": 1000,
            "rate_ppm": None,
            "cap_minor": None,
            "spend_min_minor": 5000,
        },
        "starts_at": _AT,
        "ends_at": _END,
        "sponsor_account": "mall",
        "for_app": "shop",
        "holder": "anna",
    },
    "coupon.get": {"coupon_id": "cpn-1"},
    "coupon.revoke": {"request_id": "request-1", "coupon_id": "cpn-1"},
}

RESULTS: Samples = {
    "points.grant": _GRANTED,
    "points.get": {
        "points_account": "anna.points",
        "account_id": "anna",
        "points": 15_000,
        "worth_minor": 15_000,
        "batches": [
            {"batch_id": "pts-1", "points": 14_000, "worth_minor": 14_000, "ends_on": "2026-12-31"},
            {"batch_id": "pts-2", "points": 1000, "worth_minor": 1000, "ends_on": None},
        ],
    },
    "coupon.issue": _COUPON,
    "coupon.get": _USED,
    "coupon.revoke": {**_COUPON, "status": "revoked"},
}

EVENTS: Samples = {
    "coupon.issued": _COUPON,
    "coupon.restored": _COUPON,
    "coupon.revoked": RESULTS["coupon.revoke"],
    "coupon.used": _USED,
    "points.expired": {
        "points_account": "anna.points",
        "batch_id": "pts-1",
        "points": 14_000,
        "worth_minor": 14_000,
        "sponsor_account": "mall",
    },
    "points.granted": {**_GRANTED, "ends_on": None},
    "points.returned": {**_SPENT, "points": 2000, "worth_minor": 2000},
    "points.spent": _SPENT,
}
