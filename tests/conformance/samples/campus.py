"""Samples of the campus pack's messages."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

# As a term of a small school writes them, packed.
# fmt: off
REQUESTS: Samples = {
    "campus.open_school": {
        "school_id": "hilltop", "accounts": {"supervised": "acct-supervised", "clearing":
        "acct-clearing", "subsidy_fund": "acct-fund", "power": "acct-power"}, "officers":
        [{"officer_id": "cashier", "may_request": True}, {"officer_id": "bursar", "may_approve":
        True}, {"officer_id": "principal", "may_request": True, "may_approve": True}],
        "request_id": "r-1"
    },
    "campus.import_roster": {
        "school_id": "hilltop", "terms": [{"term_id": "2026-autumn", "name": "Autumn 2026",
        "begins_at": "2026-09-01T04:00:00+00:00", "ends_at": "2027-01-15T04:00:00+00:00"}],
        "classes": [{"class_id": "7a", "grade": "7"}], "students": [{"student_id": "ann",
        "class_id": "7a", "name": "Ann", "guardians": [{"guardian_id": "mother"},
        {"guardian_id": "father"}]}], "request_id": "r-2"
    },
    "campus.bind_wallet": {
        "student_id": "ann", "account_id": "acct-ann", "request_id": "r-3"
    },
    "campus.bind_guardian": {
        "guardian_id": "mother", "account_id": "acct-mother", "request_id": "r-8"
    },
    "campus.register_terminal": {
        "terminal_id": "canteen-1", "school_id": "hilltop", "payee": "acct-canteen-1",
        "category": "canteen", "public_key":
        "4cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29", "request_id": "r-11"
    },
    "campus.get_school": {
        "school_id": "hilltop"
    },
    "campus.set_cap": {
        "student_id": "ann", "guardian_id": "mother", "day_cap_minor": 3000, "request_id":
        "r-14"
    },
    "campus.top_up": {
        "student_id": "ann", "guardian_id": "mother", "amount_minor": 4000, "request_id": "r-15"
    },
    "campus.grant_subsidy": {
        "student_id": "ann", "grant_id": "living-1", "amount_minor": 2000, "expires_at":
        "2026-10-07T04:00:00+00:00", "request_id": "r-16"
    },
    "campus.buy_online": {
        "terminal_id": "canteen-1", "sequence": 1, "student_id": "ann", "amount_minor": 1250,
        "purchased_at": "2026-09-07T04:00:00+00:00", "signature":
        "ed96698db5363e261ca224fd6427d4bae4e353ff9d660301dd03e7181cec2f5298c4af46779b1f44cac57c0148f7a2e7edc9b40b9c1ec0a81dce95d0180ff503",
        "request_id": "r-18"
    },
    "campus.upload_sales": {
        "terminal_id": "canteen-1", "records": [{"sequence": 5, "student_id": "ben",
        "amount_minor": 600, "purchased_at": "2026-09-07T04:00:00+00:00", "signature":
        "5ea54c2339b134314db55b29d1ca1856fbbfc62693630a18b47c981baaa27601c8d6dce8fe0226bbdf708ca76feab7449bb99d88d3fab31249eadb870f07a902"},
        {"sequence": 4, "student_id": "ann", "amount_minor": 200, "purchased_at":
        "2026-09-07T04:00:00+00:00", "signature":
        "da08c8aea8fd72aa66adb85f14b7eda483a9b8f4f5af4c3cf617dd2b8bc4502818f1c37f850f7befc230792e6275220bab62174f1e417751903198c2753f4d08"}],
        "request_id": "r-22"
    },
    "campus.issue_bills": {
        "batch_id": "tuition", "school_id": "hilltop", "term_id": "2026-autumn", "kind":
        "tuition", "title": "Tuition 2026", "due_at": "2026-10-07T04:00:00+00:00", "rows":
        [{"student_id": "ann", "amount_minor": 250000}, {"student_id": "ben", "amount_minor":
        240000}], "request_id": "r-23"
    },
    "campus.pay_bill": {
        "student_id": "ann", "bill_id": "tuition", "guardian_id": "mother", "amount_minor":
        100000, "request_id": "r-25"
    },
    "campus.agree_instalments": {
        "student_id": "ann", "bill_id": "tuition", "officer_id": "bursar", "weights": [3, 2],
        "first_due_at": "2026-09-27T04:00:00+00:00", "every_days": 30, "request_id": "r-26"
    },
    "campus.waive_bill": {
        "student_id": "eve", "bill_id": "books", "officer_id": "bursar", "reason": "hardship",
        "request_id": "r-27"
    },
    "campus.get_family": {
        "guardian_id": "mother", "student_ids": ["ann", "ben"]
    },
    "campus.pay_family": {
        "guardian_id": "mother", "items": [{"student_id": "ann", "bill_id": "books",
        "amount_minor": 20000}, {"student_id": "ben", "bill_id": "books", "amount_minor":
        20000}], "request_id": "r-29"
    },
    "campus.get_batch": {
        "batch_id": "tuition"
    },
    "campus.get_student": {
        "student_id": "ann"
    },
    "campus.settle_debts": {
        "student_id": "ann", "request_id": "r-33"
    },
    "campus.revoke_subsidy": {
        "student_id": "ben", "grant_id": "living-2", "officer_id": "bursar", "reason":
        "granted in error", "request_id": "r-34"
    },
    "campus.open_room": {
        "room_id": "room-1", "school_id": "hilltop", "steps": [{"kwh_minor": 52, "up_to_units":
        6000}, {"kwh_minor": 57}], "low_units": 2000, "meter_units": 100, "request_id": "r-36"
    },
    "campus.top_up_power": {
        "room_id": "room-1", "student_id": "ann", "guardian_id": "mother", "amount_minor": 2000,
        "request_id": "r-37"
    },
    "campus.read_meter": {
        "room_id": "room-1", "meter_units": 2600, "read_at": "2026-09-07T04:00:00+00:00",
        "request_id": "r-38"
    },
    "campus.get_room": {
        "room_id": "room-1"
    },
    "campus.replace_meter": {
        "room_id": "room-1", "old_meter_units": 2700, "new_meter_units": 0, "replaced_at":
        "2026-09-07T04:01:00+00:00", "request_id": "r-40"
    },
    "campus.request_release": {
        "release_id": "rel-1", "school_id": "hilltop", "payee": "acct-caterer", "amount_minor":
        5000, "purpose": "catering", "reason": "meals of September", "officer_id": "cashier",
        "request_id": "r-41"
    },
    "campus.approve_release": {
        "release_id": "rel-1", "officer_id": "bursar", "request_id": "r-43"
    },
    "campus.refuse_release": {
        "release_id": "rel-2", "officer_id": "bursar", "reason": "no invoice", "request_id":
        "r-44"
    },
    "campus.get_release": {
        "release_id": "rel-1"
    },
    "campus.get_terminal": {
        "terminal_id": "canteen-1"
    },
    "campus.write_off_sequence": {
        "terminal_id": "canteen-1", "first": 1, "last": 12, "reason": "till broken",
        "request_id": "r-47"
    },
    "campus.leave_school": {
        "student_id": "ann", "guardian_id": "mother", "balance_minor": 6100, "request_id":
        "r-49"
    },
}

RESULTS: Samples = {
    "campus.open_school": {
        "school_id": "hilltop", "accounts": {"supervised": "acct-supervised", "clearing":
        "acct-clearing", "subsidy_fund": "acct-fund", "power": "acct-power"}, "status": "opened"
    },
    "campus.import_roster": {
        "school_id": "hilltop", "revision": 1, "terms": 1, "classes": 1, "accepted": 1,
        "refused": [], "status": "imported"
    },
    "campus.bind_wallet": {
        "student_id": "ann", "account_id": "acct-ann", "status": "bound"
    },
    "campus.bind_guardian": {
        "guardian_id": "mother", "account_id": "acct-mother", "status": "bound"
    },
    "campus.register_terminal": {
        "terminal_id": "canteen-1", "school_id": "hilltop", "payee": "acct-canteen-1",
        "category": "canteen", "status": "registered"
    },
    "campus.get_school": {
        "school_id": "hilltop", "accounts": {"supervised": "acct-supervised", "clearing":
        "acct-clearing", "subsidy_fund": "acct-fund", "power": "acct-power"}, "officers":
        [{"officer_id": "cashier", "may_request": True, "may_approve": False}, {"officer_id":
        "bursar", "may_request": False, "may_approve": True}, {"officer_id": "principal",
        "may_request": True, "may_approve": True}], "zone": "Asia/Shanghai",
        "remind_every_days": 7, "terms": [{"term_id": "2026-autumn", "name": "Autumn 2026",
        "begins_at": "2026-09-01T04:00:00Z", "ends_at": "2027-01-15T04:00:00Z"}], "classes":
        [{"class_id": "7a", "grade": "7"}], "revision": 3, "status": "open"
    },
    "campus.set_cap": {
        "student_id": "ann", "guardian_id": "mother", "day_cap_minor": 3000, "status": "set"
    },
    "campus.top_up": {
        "student_id": "ann", "payer": "acct-mother", "amount_minor": 4000, "collected_minor": 0,
        "debts_minor": 0, "status": "topped_up"
    },
    "campus.grant_subsidy": {
        "student_id": "ann", "grant_id": "living-1", "amount_minor": 2000, "grants_minor": 2000,
        "expires_at": "2026-10-07T04:00:00Z", "status": "granted"
    },
    "campus.buy_online": {
        "student_id": "ann", "terminal_id": "canteen-1", "sequence": 1, "amount_minor": 1250,
        "subsidy_minor": 1250, "own_minor": 0, "owed_minor": 0, "collected_minor": 0,
        "debts_minor": 0, "status": "charged"
    },
    "campus.upload_sales": {
        "terminal_id": "canteen-1", "accepted": 1, "accepted_minor": 600, "duplicates": 0,
        "refused": [{"index": 1, "sequence": 4, "code": "bad_signature"}], "missing": [{"first":
        4, "last": 4}], "status": "partly"
    },
    "campus.issue_bills": {
        "batch_id": "tuition", "accepted": 2, "accepted_minor": 490000, "refused": [], "status":
        "issued"
    },
    "campus.pay_bill": {
        "student_id": "ann", "bill_id": "tuition", "kind": "tuition", "payer": "acct-mother",
        "paid_minor": 100000, "open_minor": 150000, "status": "partly_paid"
    },
    "campus.agree_instalments": {
        "student_id": "ann", "bill_id": "tuition", "officer_id": "bursar", "open_minor": 150000,
        "instalments": [{"due_at": "2026-09-27T04:00:00Z", "amount_minor": 90000}, {"due_at":
        "2026-10-27T04:00:00Z", "amount_minor": 60000}], "status": "agreed"
    },
    "campus.waive_bill": {
        "student_id": "eve", "bill_id": "books", "officer_id": "bursar", "reason": "hardship",
        "waived_minor": 20000, "open_minor": 0, "status": "waived"
    },
    "campus.get_family": {
        "guardian_id": "mother", "account_id": "acct-mother", "children": [{"student_id": "ann",
        "bills": [{"bill_id": "books", "school_id": "hilltop", "term_id": "2026-autumn", "kind":
        "books", "title": "Books 2026", "payee": "acct-supervised", "due_at":
        "2026-09-08T04:00:00Z", "amount_minor": 20000, "remind_every_days": 7, "paid_minor": 0,
        "waived_minor": 0, "instalments": [], "settled_before_minor": 0, "reminders": 0},
        {"bill_id": "tuition", "school_id": "hilltop", "term_id": "2026-autumn", "kind":
        "tuition", "title": "Tuition 2026", "payee": "acct-supervised", "due_at":
        "2026-10-07T04:00:00Z", "amount_minor": 250000, "remind_every_days": 7, "paid_minor":
        100000, "waived_minor": 0, "instalments": [{"due_at": "2026-09-27T04:00:00Z",
        "amount_minor": 90000}, {"due_at": "2026-10-27T04:00:00Z", "amount_minor": 60000}],
        "settled_before_minor": 100000, "reminders": 0}], "bills_minor": 170000, "debts_minor":
        2000}, {"student_id": "ben", "bills": [{"bill_id": "books", "school_id": "hilltop",
        "term_id": "2026-autumn", "kind": "books", "title": "Books 2026", "payee":
        "acct-supervised", "due_at": "2026-09-08T04:00:00Z", "amount_minor": 20000,
        "remind_every_days": 7, "paid_minor": 0, "waived_minor": 0, "instalments": [],
        "settled_before_minor": 0, "reminders": 0}, {"bill_id": "tuition", "school_id":
        "hilltop", "term_id": "2026-autumn", "kind": "tuition", "title": "Tuition 2026",
        "payee": "acct-supervised", "due_at": "2026-10-07T04:00:00Z", "amount_minor": 240000,
        "remind_every_days": 7, "paid_minor": 0, "waived_minor": 0, "instalments": [],
        "settled_before_minor": 0, "reminders": 0}], "bills_minor": 260000, "debts_minor": 0}],
        "bills_minor": 430000, "debts_minor": 2000, "status": "bound"
    },
    "campus.pay_family": {
        "guardian_id": "mother", "items": [{"student_id": "ann", "bill_id": "books",
        "amount_minor": 20000}, {"student_id": "ben", "bill_id": "books", "amount_minor":
        20000}], "paid_minor": 40000, "status": "paid"
    },
    "campus.get_batch": {
        "batch_id": "tuition", "school_id": "hilltop", "term_id": "2026-autumn", "kind":
        "tuition", "title": "Tuition 2026", "due_at": "2026-10-07T04:00:00Z", "sent": 2,
        "issued": 2, "refused": 0, "settled": 0, "issued_minor": 490000, "paid_minor": 100000,
        "waived_minor": 0, "open_minor": 390000, "status": "open"
    },
    "campus.get_student": {
        "student_id": "ann", "school_id": "hilltop", "class_id": "7a", "name": "Ann",
        "guardians": [{"guardian_id": "mother", "relation": "guardian"}, {"guardian_id":
        "father", "relation": "guardian"}], "revision": 1, "wallet": "acct-ann",
        "day_cap_minor": 3000, "debts": [{"ref": "shop-1:1", "payee": "acct-shop-1",
        "amount_minor": 2000, "purchased_at": "2026-09-07T04:00:00Z", "sales": 1}, {"ref":
        "shop-1:2", "payee": "acct-shop-1", "amount_minor": 900, "purchased_at":
        "2026-09-07T04:00:00Z", "sales": 1}], "debts_minor": 2900, "grants": [], "grants_minor":
        0, "bills": [{"bill_id": "tuition", "school_id": "hilltop", "term_id": "2026-autumn",
        "kind": "tuition", "title": "Tuition 2026", "payee": "acct-supervised", "due_at":
        "2026-10-07T04:00:00Z", "amount_minor": 250000, "remind_every_days": 7, "paid_minor":
        100000, "waived_minor": 0, "instalments": [{"due_at": "2026-09-27T04:00:00Z",
        "amount_minor": 90000}, {"due_at": "2026-10-27T04:00:00Z", "amount_minor": 60000}],
        "settled_before_minor": 100000, "reminders": 0}], "bills_minor": 150000, "bills_ended":
        1, "sales": 5, "status": "active"
    },
    "campus.settle_debts": {
        "student_id": "ann", "collected_minor": 2900, "debts_minor": 0, "status": "settled"
    },
    "campus.revoke_subsidy": {
        "student_id": "ben", "grant_id": "living-2", "returned_minor": 900, "reason":
        "granted in error", "status": "revoked"
    },
    "campus.open_room": {
        "room_id": "room-1", "steps": [{"kwh_minor": 52, "up_to_units": 6000}, {"kwh_minor": 57,
        "up_to_units": None}], "low_units": 2000, "left_units": 0, "status": "opened"
    },
    "campus.top_up_power": {
        "room_id": "room-1", "student_id": "ann", "payer": "acct-mother", "amount_minor": 2000,
        "bought_units": 3846, "kept": 8, "left_units": 3846, "status": "bought"
    },
    "campus.read_meter": {
        "room_id": "room-1", "meter_units": 2600, "used_units": 2500, "left_units": 1346,
        "status": "taken"
    },
    "campus.get_room": {
        "room_id": "room-1", "school_id": "hilltop", "steps": [{"kwh_minor": 52, "up_to_units":
        6000}, {"kwh_minor": 57, "up_to_units": None}], "low_units": 2000, "meter_units": 2600,
        "read_at": "2026-09-07T04:00:00Z", "bought_units": 3846, "used_units": 2500,
        "left_units": 1346, "paid_minor": 2000, "kept": 8, "status": "low"
    },
    "campus.replace_meter": {
        "room_id": "room-1", "meter_units": 0, "used_units": 2600, "left_units": 1246, "status":
        "replaced"
    },
    "campus.request_release": {
        "release_id": "rel-1", "school_id": "hilltop", "payee": "acct-caterer", "amount_minor":
        5000, "purpose": "catering", "reason": "meals of September", "requested_by": "cashier",
        "lapses_at": "2026-09-14T04:01:00Z", "decided_by": "", "decision": "", "status":
        "requested"
    },
    "campus.approve_release": {
        "release_id": "rel-1", "school_id": "hilltop", "payee": "acct-caterer", "amount_minor":
        5000, "purpose": "catering", "reason": "meals of September", "requested_by": "cashier",
        "lapses_at": "2026-09-14T04:01:00Z", "decided_by": "bursar", "decision": "", "status":
        "released"
    },
    "campus.refuse_release": {
        "release_id": "rel-2", "school_id": "hilltop", "payee": "acct-caterer", "amount_minor":
        5000, "purpose": "catering", "reason": "meals of September", "requested_by": "cashier",
        "lapses_at": "2026-09-14T04:01:00Z", "decided_by": "bursar", "decision": "no invoice",
        "status": "refused"
    },
    "campus.get_release": {
        "release_id": "rel-1", "school_id": "hilltop", "payee": "acct-caterer", "amount_minor":
        5000, "purpose": "catering", "reason": "meals of September", "requested_by": "cashier",
        "lapses_at": "2026-09-14T04:01:00Z", "decided_by": "bursar", "decision": "", "status":
        "released"
    },
    "campus.get_terminal": {
        "terminal_id": "canteen-1", "school_id": "hilltop", "payee": "acct-canteen-1",
        "category": "canteen", "accepted": 4, "accepted_minor": 5250, "seen": [{"first": 1,
        "last": 3}, {"first": 5, "last": 5}], "missing": [{"first": 4, "last": 4}],
        "written_off": [], "status": "registered"
    },
    "campus.write_off_sequence": {
        "terminal_id": "canteen-1", "first": 1, "last": 12, "written_off": 8, "reason":
        "till broken", "status": "written_off"
    },
    "campus.leave_school": {
        "student_id": "ann", "payee": "acct-mother", "debts_paid_minor": 0, "paid_out_minor":
        6100, "subsidies_returned_minor": 0, "status": "left"
    },
}

EVENTS: Samples = {
    "campus.school_opened": RESULTS["campus.open_school"],
    "campus.roster_imported": RESULTS["campus.import_roster"],
    "campus.student_enrolled": {
        "student_id": "ann", "school_id": "hilltop", "class_id": "7a", "revision": 1, "status":
        "enrolled"
    },
    "campus.wallet_bound": RESULTS["campus.bind_wallet"],
    "campus.guardian_bound": RESULTS["campus.bind_guardian"],
    "campus.terminal_registered": RESULTS["campus.register_terminal"],
    "campus.cap_set": RESULTS["campus.set_cap"],
    "campus.topped_up": RESULTS["campus.top_up"],
    "campus.subsidy_granted": RESULTS["campus.grant_subsidy"],
    "campus.sale_charged": RESULTS["campus.buy_online"],
    "campus.sales_uploaded": {
        "terminal_id": "canteen-1", "accepted": 2, "accepted_minor": 3400, "duplicates": 0,
        "refused": [{"index": 2, "sequence": 4, "code": "bad_signature"}], "missing": [{"first":
        1, "last": 1}], "status": "partly"
    },
    "campus.cap_exceeded": {
        "student_id": "ann", "ref": "canteen-1:2", "day": "2026-09-07", "spent_minor": 3750,
        "day_cap_minor": 3000
    },
    "campus.debt_recorded": {
        "student_id": "ann", "ref": "shop-1:1", "payee": "acct-shop-1", "amount_minor": 2000,
        "debts_minor": 2000
    },
    "campus.terminal_conflict": {
        "terminal_id": "canteen-1", "accepted": 0, "accepted_minor": 0, "duplicates": 0,
        "refused": [{"index": 0, "sequence": 3, "code": "conflict"}], "missing": [], "status":
        "refused"
    },
    "campus.bills_issued": RESULTS["campus.issue_bills"],
    "campus.bill_issued": {
        "student_id": "ann", "bill_id": "tuition", "kind": "tuition", "amount_minor": 250000,
        "due_at": "2026-10-07T04:00:00Z", "status": "issued"
    },
    "campus.bill_paid": RESULTS["campus.pay_bill"],
    "campus.instalments_agreed": RESULTS["campus.agree_instalments"],
    "campus.bill_waived": RESULTS["campus.waive_bill"],
    "campus.family_paid": RESULTS["campus.pay_family"],
    "campus.family_credited": {
        "student_id": "ann", "bill_id": "books", "payer": "acct-mother", "taken_minor": 20000,
        "returned_minor": 0, "waiting_minor": 0, "open_minor": 0, "status": "taken"
    },
    "campus.batch_settled": {
        "batch_id": "books", "school_id": "hilltop", "term_id": "2026-autumn", "kind": "books",
        "title": "Books 2026", "due_at": "2026-09-08T04:00:00Z", "sent": 3, "issued": 3,
        "refused": 0, "settled": 3, "issued_minor": 60000, "paid_minor": 40000, "waived_minor":
        20000, "open_minor": 0, "status": "settled"
    },
    "campus.debts_collected": RESULTS["campus.settle_debts"],
    "campus.subsidy_ended": RESULTS["campus.revoke_subsidy"],
    "campus.room_opened": RESULTS["campus.open_room"],
    "campus.power_bought": RESULTS["campus.top_up_power"],
    "campus.power_low": {
        "room_id": "room-1", "left_units": 1346, "status": "low"
    },
    "campus.meter_replaced": RESULTS["campus.replace_meter"],
    "campus.release_requested": RESULTS["campus.request_release"],
    "campus.release_decided": RESULTS["campus.approve_release"],
    "campus.sequence_written_off": RESULTS["campus.write_off_sequence"],
    "campus.bill_late": {
        "student_id": "ann", "bill_id": "tuition", "kind": "tuition", "title": "Tuition 2026",
        "overdue_minor": 90000, "open_minor": 150000, "reminder": 1, "status": "late"
    },
    "campus.student_left": RESULTS["campus.leave_school"],
}
