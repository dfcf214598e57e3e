"""Samples of the credit service's messages."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_AT = "2026-11-25T08:00:00Z"

_PENDING = {
    "line_id": "line-1",
    "customer_id": "cust-1",
    "kind": "instalment",
    "status": "pending",
    "limit_minor": 0,
    "account_id": "anna",
    "autopay": True,
    "reason": "",
    "created_at": _AT,
    "updated_at": _AT,
    "currency": "CNY",
}
_LINE = {**_PENDING, "status": "active", "limit_minor": 300_000}
_FROZEN = {**_LINE, "status": "frozen", "reason": "逾期"}

_NOTHING = {"penalty_minor": 0, "charge_minor": 0, "principal_minor": 0, "total_minor": 0}
_PAYABLE = {
    "penalty_minor": 11,
    "charge_minor": 720,
    "principal_minor": 40_000,
    "total_minor": 40_731,
}
_QUOTE = {
    "quote_id": "quote-1",
    "line_id": "line-1",
    "kind": "instalment",
    "status": "open",
    "amount_minor": 120_000,
    "method": "equal_principal",
    "fee_mode": "per_term",
    "fee_ppm": 6000,
    "daily_ppm": 0,
    "terms": [
        {
            "number": number,
            "due_on": due_on,
            "principal_minor": 40_000,
            "charge_minor": 720,
            "total_minor": 40_720,
        }
        for number, due_on in enumerate(("2026-12-25", "2027-01-25", "2027-02-25"), start=1)
    ],
    "charges_minor": 2160,
    "total_minor": 122_160,
    "annual_rate_ppm": 107_613,
    "effective_annual_rate_ppm": 113_077,
    "penalty_ppm_per_day": 500,
    "grace_days": 3,
    "created_at": _AT,
    "expires_at": "2026-11-25T08:30:00Z",
    "currency": "CNY",
}
_PLAN = {
    "plan_id": "plan-1",
    "line_id": "line-1",
    "customer_id": "cust-1",
    "quote_id": "quote-1",
    "payment_id": "pay-1",
    "kind": "instalment",
    "method": "equal_principal",
    "status": "active",
    "principal_minor": 120_000,
    "outstanding_minor": 80_000,
    "refunded_minor": 0,
    "returned_minor": 0,
    "penalty_minor": 0,
    "penalty_paid_minor": 0,
    "payable": _NOTHING,
    "terms": [
        {
            "number": 1,
            "due_on": "2026-12-25",
            "due": True,
            "principal_minor": 40_000,
            "charge_minor": 720,
            "principal_paid_minor": 40_000,
            "charge_paid_minor": 720,
            "paid_on": "2026-12-25",
        },
        {
            "number": 2,
            "due_on": "2027-01-25",
            "due": False,
            "principal_minor": 40_000,
            "charge_minor": 720,
            "principal_paid_minor": 0,
            "charge_paid_minor": 0,
            "paid_on": None,
        },
    ],
    "annual_rate_ppm": 107_613,
    "started_on": "2026-11-25",
    "today": "2026-12-25",
    "currency": "CNY",
}
_LOAN = {
    **_PLAN,
    "payment_id": None,
    "kind": "loan",
    "method": "interest_first",
    "terms": [],
    "outstanding_minor": 120_000,
}
_OVERDUE = {**_PLAN, "status": "overdue", "penalty_minor": 11, "payable": _PAYABLE}
_ENDED = {**_PLAN, "status": "settled", "outstanding_minor": 0, "terms": []}
_REPAID = {
    "line_id": "line-1",
    "account_id": "anna",
    "amount_minor": 40_731,
    "penalty_minor": 11,
    "charge_minor": 720,
    "principal_minor": 40_000,
    "plans": [
        {
            "plan_id": "plan-1",
            "status": "active",
            "penalty_minor": 11,
            "charge_minor": 720,
            "principal_minor": 40_000,
        }
    ],
    "repaid_at": _AT,
    "currency": "CNY",
}
_CHARGED = {
    "plan_id": "plan-1",
    "line_id": "line-1",
    "customer_id": "cust-1",
    "day": "2027-01-25",
    "terms": [2],
    "charge_minor": 720,
    "penalty_minor": 0,
    "payable": {**_PAYABLE, "penalty_minor": 0, "total_minor": 40_720},
    "currency": "CNY",
}

REQUESTS: Samples = {
    "credit.apply": {
        "request_id": "request-1",
        "customer_id": "cust-1",
        "kind": "loan",
        "account_id": "anna",
        "limit_minor": 300_000,
        "autopay": True,
    },
    "credit.grant": {
        "request_id": "request-1",
        "line_id": "line-1",
        "limit_minor": 300_000,
        "decided_by": "clerk-7",
    },
    "credit.decline": {
        "request_id": "request-1",
        "line_id": "line-1",
        "reason": "收入证明不足",
        "decided_by": "clerk-7",
    },
    "credit.limit": {
        "request_id": "request-1",
        "line_id": "line-1",
        "limit_minor": 500_000,
        "decided_by": "clerk-7",
    },
    "credit.status": {
        "request_id": "request-1",
        "line_id": "line-1",
        "status": "frozen",
        "reason": "逾期",
        "decided_by": "clerk-7",
    },
    "credit.close": {"request_id": "request-1", "line_id": "line-1"},
    "credit.autopay": {
        "request_id": "request-1",
        "line_id": "line-1",
        "autopay": False,
        "account_id": "anna-2",
    },
    "credit.get": {"line_id": "line-1"},
    "credit.quote": {
        "request_id": "request-1",
        "line_id": "line-1",
        "amount_minor": 120_000,
        "terms": 3,
        "method": "interest_first",
    },
    "credit.draw": {"request_id": "request-1", "line_id": "line-1", "quote_id": "quote-1"},
    "credit.repay": {
        "request_id": "request-1",
        "line_id": "line-1",
        "amount_minor": 40_731,
        "plan_id": "plan-1",
        "account_id": "anna-2",
    },
    "credit.plan": {"plan_id": "plan-1"},
    "credit.plans": {"line_id": "line-1", "after": "plan-1", "limit": 100},
    "credit.payoff": {"plan_id": "plan-1"},
    "credit.settle": {
        "request_id": "request-1",
        "plan_id": "plan-1",
        "total_minor": 80_720,
        "account_id": "anna-2",
    },
}

RESULTS: Samples = {
    "credit.apply": _PENDING,
    "credit.grant": _LINE,
    "credit.decline": {**_PENDING, "status": "declined", "reason": "收入证明不足"},
    "credit.limit": {**_LINE, "limit_minor": 500_000},
    "credit.status": _FROZEN,
    "credit.close": {**_LINE, "status": "closed"},
    "credit.autopay": {**_LINE, "autopay": False},
    "credit.get": {
        "line": _LINE,
        "drawn_minor": 80_000,
        "charges_minor": 731,
        "available_minor": 220_000,
        "payable": _PAYABLE,
        "overdue_plans": 1,
    },
    "credit.quote": _QUOTE,
    "credit.draw": _LOAN,
    "credit.repay": _REPAID,
    "credit.plan": _OVERDUE,
    "credit.plans": {"plans": [_PLAN, _LOAN], "next_after": "plan-2"},
    "credit.payoff": {
        "plan_id": "plan-1",
        "day": "2026-12-26",
        "penalty_minor": 0,
        "charge_minor": 720,
        "principal_minor": 80_000,
        "total_minor": 80_720,
        "currency": "CNY",
    },
    "credit.settle": {**_REPAID, "plans": []},
}

EVENTS: Samples = {
    "credit.applied": _PENDING,
    "credit.granted": _LINE,
    "credit.declined": RESULTS["credit.decline"],
    "credit.limit_changed": RESULTS["credit.limit"],
    "credit.frozen": _FROZEN,
    "credit.unfrozen": _LINE,
    "credit.closed": RESULTS["credit.close"],
    "credit.autopay_changed": RESULTS["credit.autopay"],
    "credit.autopay_failed": _OVERDUE,
    "credit.quoted": {**_QUOTE, "kind": "loan", "fee_mode": None, "fee_ppm": 0, "daily_ppm": 350},
    "credit.drawn": _LOAN,
    "credit.billed": _CHARGED,
    "credit.penalised": {**_CHARGED, "terms": [], "charge_minor": 0, "penalty_minor": 11},
    "credit.overdue": _OVERDUE,
    "credit.cured": _PLAN,
    "credit.repaid": _REPAID,
    "credit.refunded": {
        "plan_id": "plan-1",
        "line_id": "line-1",
        "customer_id": "cust-1",
        "payment_id": "pay-1",
        "refund_id": "rfd-1",
        "amount_minor": 120_000,
        "reduced_minor": 80_000,
        "returned_minor": 40_000,
        "returned_to": "anna",
        "currency": "CNY",
    },
    "credit.ended": _ENDED,
}
