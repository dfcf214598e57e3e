"""Samples of the customer service's messages."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-25T08:00:00Z"
_SOURCE = "external:card:acct-1"

_CUSTOMER = {
    "customer_id": "cust-1",
    "kind": "person",
    "name": "王*",
    "id_number": "310101********0014",
    "phone": "140****0001",
    "registered_at": _AT,
}
_BOUND = {
    "source": _SOURCE,
    "card": "6299 **** **** 0012",
    "card_kind": "class_1",
    "bank": "Sandbox Bank",
    "bound_at": _AT,
}
_CASE = {
    "case_id": "case-1",
    "kind": "personal",
    "status": "verifying",
    "waiting_on": "evidence",
    "customer_id": "cust-1",
    "account_class": "II",
    "account_id": None,
    "card": "6299 **** **** 0012",
    "reasons": ["low_quality"],
    "mismatched": [],
    "outage": None,
    "attempts_left": 2,
    "session_id": "session-1",
    "evidence": 1,
    "decided_by": None,
    "created_at": _AT,
    "updated_at": _AT,
    "expires_at": _AT,
}

REQUESTS: Samples = {
    "customer.register": {
        "request_id": "request-1",
        "name": "王梅",
        "id_number": "310101190101020014",
        "phone": "+8614000000001",
    },
    "customer.get": {"customer_id": "cust-1"},
    "customer.reveal": {
        "request_id": "request-1",
        "customer_id": "cust-1",
        "fields": ["name", "phone"],
        "purpose": "回访",
        "revealed_to": "clerk-7",
    },
    "account.open_personal": {
        "request_id": "request-1",
        "customer_id": "cust-1",
        "account_class": "III",
        "card_number": "6299990000000000012",
    },
    "account.open_corporate": {
        "request_id": "request-1",
        "credit_code": "91110101900000004N",
        "company_name": "北京停车服务有限公司",
        "legal_representative": {
            "name": "王梅",
            "id_number": "310101190101020014",
            "phone": "14000000001",
        },
    },
    "account.bind": {
        "request_id": "request-1",
        "account_id": "acct-1",
        "card_number": "6299990000000000012",
    },
    "account.withdraw": {
        "request_id": "request-1",
        "account_id": "acct-1",
        "amount_minor": 10_000,
        "currency": "CNY",
    },
    "case.get": {"case_id": "case-1"},
    "case.submit_evidence": {
        "request_id": "request-1",
        "case_id": "case-1",
        "evidence": [
            {"kind": "face_video", "reference": "store/2026/1.mp4", "sha256": "a" * 64},
        ],
    },
    "case.decide": {
        "request_id": "request-1",
        "case_id": "case-1",
        "decision": "approve",
        "reason": "与网点留存影像一致",
        "decided_by": "clerk-7",
    },
    "case.list": {"status": "pending_review", "after": "case-1", "limit": 200},
}

_WITHDRAWAL = {
    "withdrawal_id": "wdr-1",
    "account_id": "acct-1",
    "target": _SOURCE,
    "card": "6299 **** **** 0012",
    "amount_minor": 10_000,
    "currency": "CNY",
    "created_at": _AT,
}

RESULTS: Samples = {
    "customer.register": _CUSTOMER,
    "customer.get": {
        **_CUSTOMER,
        "accounts": [
            {
                "account_id": "acct-1",
                "account_class": "II",
                "status": "open",
                "opened_at": _AT,
                "bound": _BOUND,
            },
        ],
    },
    "customer.reveal": {
        "customer_id": "cust-1",
        "name": "王梅",
        "id_number": None,
        "phone": "14000000001",
    },
    "account.open_personal": {**_CASE, "status": "submitted"},
    "account.open_corporate": {**_CASE, "kind": "corporate", "attempts_left": None, "card": None},
    "account.bind": {**_CASE, "kind": "binding", "account_id": "acct-1"},
    "account.withdraw": _WITHDRAWAL,
    "case.get": _CASE,
    "case.submit_evidence": {**_CASE, "status": "examining"},
    "case.decide": {**_CASE, "status": "opened", "decided_by": "clerk-7", "expires_at": None},
    "case.list": {"cases": [_CASE], "next_after": "case-1"},
}

EVENTS: Samples = {
    "account.bound": {"account_id": "acct-1", "customer_id": "cust-1", **_BOUND},
    "customer.registered": _CUSTOMER,
    "customer.updated": _CUSTOMER,
    "withdrawal.succeeded": _WITHDRAWAL,
    "case.waiting": {**_CASE, "status": "submitted", "outage": "down"},
    **{
        f"case.{status}": {**_CASE, "status": status}
        for status in (
            "submitted", "elements_checked", "verifying", "examining", "pending_review", "opened",
            "bound", "rejected", "expired",
        )
    },
}  # fmt: skip
