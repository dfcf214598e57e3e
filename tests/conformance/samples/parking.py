"""Samples of the parking pack's messages: a day of one lot, as it answered."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

# fmt: off
REQUESTS: Samples = {
    "parking.open_lot": {"lot_id": "lot-1", "payee": "mall", "tariff": {"hour_minor": 500,
        "night_hour_minor": 200, "daily_cap_minor": 4000, "unit_minutes": 30, "steps":
        [{"after_minutes": 60, "hour_minor": 300}], "night_cap_minor": 800, "cap_from": "entry",
        "new_energy_free_minutes": 60, "zone": "UTC"}, "shares": [{"payee": "landlord", "ppm":
        300000}], "rules": {"capacity": 1, "wait_entry_minutes": 30, "lost_ticket_minor": 5000,
        "reentry_hours": 12, "max_stay_hours": 72, "refuse_debt_above_minor": 10000,
        "gate_skew_s": 60, "stamp_minutes_max": 240, "dispute_days": 7, "leave_minutes": 20,
        "dispute_hours": 48}, "plans": [{"plan_id": "family", "months": 1, "price_minor": 60000,
        "places": 1, "plates_max": 2}], "request_id": "request-1"},
    "parking.count_lot": {"lot_id": "lot-1", "casual": 0, "passes": 0, "counted_at":
        "2026-06-15T06:00:00Z", "request_id": "request-1"},
    "parking.get_lot": {"lot_id": "lot-1"},
    "parking.bind": {"request_id": "request-1", "plate": "粤B12345", "account_id": "anna",
        "mandate": {"session_cap_minor": 10000, "day_cap_minor": 20000, "lots": ["lot-1"],
        "until": "2027-06-15T00:00:00Z"}},
    "parking.unbind": {"plate": "粤B12345", "request_id": "request-1"},
    "parking.enter": {"plate": "粤B12345", "lot_id": "lot-1", "entered_at":
        "2026-06-15T08:00:00Z", "request_id": "request-1"},
    "parking.exit": {"plate": "粤B12345", "lot_id": "lot-1", "left_at": "2026-06-15T11:00:00Z",
        "request_id": "request-1"},
    "parking.settle": {"request_id": "request-1", "plate": "粤B12345", "lot_id": "lot-1",
        "account_id": "anna"},
    "parking.get": {"plate": "粤B12345"},
    "parking.prepay": {"plate": "粤B12345", "lot_id": "lot-1", "paid_at": "2026-06-15T10:00:00Z",
        "account_id": "anna", "request_id": "request-1"},
    "parking.register_merchant": {"merchant_id": "cinema", "account_id": "cinema", "lots":
        ["lot-1"], "minutes_max": 120, "pays_ppm": 500000, "request_id": "request-1"},
    "parking.stamp": {"plate": "粤B12345", "merchant_id": "cinema", "minutes": 60, "receipt":
        "ticket 17", "request_id": "request-1"},
    "parking.buy_pass": {"pass_id": "card-1", "lot_id": "lot-1", "plan_id": "family",
        "account_id": "anna", "plates": ["粤B12345", "粤B54321"], "from_day": "2026-06-15",
        "request_id": "request-1"},
    "parking.renew_pass": {"pass_id": "card-1", "account_id": "anna", "from_day": "2026-07-20",
        "request_id": "request-1"},
    "parking.change_plates": {"pass_id": "card-1", "plates": ["粤B12345"], "request_id":
        "request-1"},
    "parking.get_pass": {"pass_id": "card-1"},
    "parking.dispute": {"plate": "粤B12345", "dispute_id": "d-1", "lot_id": "lot-1",
        "entered_at": "2026-06-15T08:00:00Z", "opened_at": "2026-06-15T12:00:00Z", "reason":
        "wrong_time", "evidence": "photo 3", "request_id": "request-1"},
    "parking.decide_dispute": {"plate": "粤B12345", "dispute_id": "d-1", "decision": "refund",
        "fee_minor": 300, "evidence": "photo 4", "request_id": "request-1"},
}

RESULTS: Samples = {
    "parking.open_lot": {"lot_id": "lot-1", "payee": "mall", "tariff": {"free_minutes": 0,
        "hour_minor": 500, "night_hour_minor": 200, "daily_cap_minor": 4000, "night_from":
        "22:00:00", "night_until": "06:00:00", "zone": "UTC", "unit_minutes": 30, "steps":
        [{"after_minutes": 60, "hour_minor": 300}], "night_cap_minor": 800, "cap_from": "entry",
        "new_energy_free_minutes": 60}, "status": "opened", "shares": [{"payee": "landlord",
        "ppm": 300000}], "rules": {"capacity": 1, "leave_minutes": 20, "wait_entry_minutes": 30,
        "lost_ticket_minor": 5000, "reentry_hours": 12, "max_stay_hours": 72,
        "refuse_debt_above_minor": 10000, "gate_skew_s": 60, "stamp_minutes_max": 240,
        "dispute_days": 7, "dispute_hours": 48}, "plans": [{"plan_id": "family", "months": 1,
        "price_minor": 60000, "places": 1, "plates_max": 2}]},
    "parking.count_lot": {"lot_id": "lot-1", "casual": 0, "passes": 0, "drift": 0, "status":
        "counted"},
    "parking.get_lot": {"lot_id": "lot-1", "casual": 0, "passes": 0, "free": 1, "status":
        "open"},
    "parking.bind": {"plate": "粤B12345", "account_id": "anna", "arrears_minor": 0, "status":
        "bound"},
    "parking.unbind": {"plate": "粤B12345", "account_id": "anna", "arrears_minor": 0, "status":
        "unbound"},
    "parking.enter": {"plate": "粤B12345", "lot_id": "lot-1", "entered_at":
        "2026-06-15T08:00:00Z", "arrears_minor": 0, "lost_exit": None, "status": "entered"},
    "parking.exit": {"plate": "粤B12345", "lot_id": "lot-1", "entered_at":
        "2026-06-15T08:00:00Z", "left_at": "2026-06-15T11:00:00Z", "fee_minor": 1100,
        "paid_minor": 300, "collected_minor": 0, "arrears_minor": 0, "status": "paid",
        "prepaid_minor": 500, "merchant_minor": 150, "discount_minor": 150},
    "parking.settle": {"plate": "粤B12345", "paid_minor": 1500, "arrears_minor": 600, "status":
        "settled"},
    "parking.get": {"plate": "粤B12345", "status": "inside", "account_id": "anna",
        "arrears_minor": 0, "stay": {"lot_id": "lot-1", "entered_at": "2026-06-15T13:00:00Z"},
        "last": {"plate": "粤B12345", "lot_id": "lot-1", "entered_at": "2026-06-15T08:00:00Z",
        "left_at": "2026-06-15T11:00:00Z", "fee_minor": 1100, "paid_minor": 300,
        "collected_minor": 0, "arrears_minor": 0, "status": "paid", "prepaid_minor": 500,
        "merchant_minor": 150, "discount_minor": 150}, "mandate": {"session_cap_minor": 10000,
        "day_cap_minor": 20000, "lots": ["lot-1"], "until": "2027-06-15T00:00:00Z"}, "passes":
        [{"pass_id": "card-1", "lot_id": "lot-1", "valid_from": "2026-07-20T00:00:00Z",
        "valid_until": "2026-08-20T00:00:00Z"}]},
    "parking.prepay": {"plate": "粤B12345", "lot_id": "lot-1", "paid_minor": 500,
        "prepaid_minor": 500, "leave_by": "2026-06-15T10:20:00Z", "status": "prepaid"},
    "parking.register_merchant": {"merchant_id": "cinema", "account_id": "cinema", "lots":
        ["lot-1"], "minutes_max": 120, "pays_ppm": 500000, "status": "registered"},
    "parking.stamp": {"plate": "粤B12345", "lot_id": "lot-1", "merchant_id": "cinema", "minutes":
        60, "held_minor": 375, "stamped_minutes": 60, "status": "stamped"},
    "parking.buy_pass": {"pass_id": "card-1", "lot_id": "lot-1", "account_id": "anna", "plan":
        {"plan_id": "family", "months": 1, "price_minor": 60000, "places": 1, "plates_max": 2},
        "plates": ["粤B12345", "粤B54321"], "valid_from": "2026-06-15T00:00:00Z", "valid_until":
        "2026-07-15T00:00:00Z", "paid_minor": 60000, "inside": [], "queue": [], "status":
        "bought"},
    "parking.renew_pass": {"pass_id": "card-1", "lot_id": "lot-1", "account_id": "anna", "plan":
        {"plan_id": "family", "months": 1, "price_minor": 60000, "places": 1, "plates_max": 2},
        "plates": ["粤B12345", "粤B54321"], "valid_from": "2026-07-20T00:00:00Z", "valid_until":
        "2026-08-20T00:00:00Z", "paid_minor": 60000, "inside": [], "queue": [], "status":
        "renewed"},
    "parking.change_plates": {"pass_id": "card-1", "lot_id": "lot-1", "account_id": "anna",
        "plan": {"plan_id": "family", "months": 1, "price_minor": 60000, "places": 1,
        "plates_max": 2}, "plates": ["粤B12345"], "valid_from": "2026-07-20T00:00:00Z",
        "valid_until": "2026-08-20T00:00:00Z", "paid_minor": 0, "inside": [], "queue": [],
        "status": "changed"},
    "parking.get_pass": {"pass_id": "card-1", "lot_id": "lot-1", "account_id": "anna", "plan":
        {"plan_id": "family", "months": 1, "price_minor": 60000, "places": 1, "plates_max": 2},
        "plates": ["粤B12345"], "valid_from": "2026-07-20T00:00:00Z", "valid_until":
        "2026-08-20T00:00:00Z", "paid_minor": 0, "inside": [], "queue": [], "status": "held"},
    "parking.dispute": {"plate": "粤B12345", "dispute_id": "d-1", "lot_id": "lot-1",
        "entered_at": "2026-06-15T08:00:00Z", "kind": "paid", "amount_minor": 800, "reason":
        "wrong_time", "evidence": "photo 3", "due_at": "2026-06-17T12:00:00Z", "status":
        "disputed"},
    "parking.decide_dispute": {"plate": "粤B12345", "dispute_id": "d-1", "lot_id": "lot-1",
        "entered_at": "2026-06-15T08:00:00Z", "refunded_minor": 500, "waived_minor": 0,
        "arrears_minor": 0, "evidence": "photo 4", "by": "operator", "status": "refunded"},
}

EVENTS: Samples = {
    "parking.arrears_collected": RESULTS["parking.settle"],
    "parking.arrears_recorded": RESULTS["parking.exit"],
    "parking.dispute_decided": RESULTS["parking.decide_dispute"],
    "parking.dispute_opened": RESULTS["parking.dispute"],
    "parking.entered": RESULTS["parking.enter"],
    "parking.exit_lost": {"lot_id": "lot-1", "entered_at": "2026-11-23T08:00:00+08:00",
        "fee_minor": 4000},
    "parking.exit_unmatched": {"plate": "粤B54321", "lot_id": "w", "left_at":
        "2026-06-15T15:00:00Z"},
    "parking.exited": RESULTS["parking.exit"],
    "parking.lot_free": {"lot_id": "lot-1", "casual": 0, "capacity": 1, "is_full": False},
    "parking.lot_full": {"lot_id": "lot-1", "casual": 1, "capacity": 1, "is_full": True},
    "parking.lot_opened": RESULTS["parking.open_lot"],
    "parking.pass_refused": {"plate": "粤B54321", "pass_id": "card-6"},
    "parking.pass_renewed": RESULTS["parking.renew_pass"],
    "parking.pass_sold": RESULTS["parking.buy_pass"],
    "parking.plates_changed": RESULTS["parking.change_plates"],
    "parking.prepaid": RESULTS["parking.prepay"],
    "parking.stamp_expired": {"plate": "粤B12345", "lot_id": "lot-1", "merchant_id": "cinema",
        "minutes": 60},
    "parking.stay_overdue": {"plate": "粤B54321", "lot_id": "lot-1", "entered_at":
        "2026-06-15T17:00:00Z", "fee_minor": 4000, "dispute_id": "review-1781542800"},
    "parking.stay_stamped": RESULTS["parking.stamp"],
    "parking.vehicle_bound": RESULTS["parking.bind"],
    "parking.vehicle_unbound": RESULTS["parking.unbind"],
}
# fmt: on
