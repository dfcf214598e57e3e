"""Samples of the parking pack's messages."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_PLATE = "粤B12345"
_TARIFF = {"hour_minor": 500, "night_hour_minor": 200, "daily_cap_minor": 4000}
_IN_FULL = {
    **_TARIFF,
    "free_minutes": 0,
    "night_from": "22:00:00",
    "night_until": "06:00:00",
    "zone": "Asia/Shanghai",
}
_STAY = {
    "plate": _PLATE,
    "lot_id": "lot-1",
    "entered_at": "2026-11-23T08:00:00+08:00",
    "left_at": "2026-11-23T10:30:00+08:00",
    "fee_minor": 1500,
    "paid_minor": 1500,
    "collected_minor": 0,
    "arrears_minor": 0,
    "status": "paid",
}

REQUESTS: Samples = {
    "parking.open_lot": {
        "request_id": "request-1",
        "lot_id": "lot-1",
        "payee": "mall",
        "tariff": _TARIFF,
    },
    "parking.bind": {"request_id": "request-1", "plate": _PLATE, "account_id": "anna"},
    "parking.enter": {
        "request_id": "request-1",
        "plate": _PLATE,
        "lot_id": "lot-1",
        "entered_at": "2026-11-23T08:00:00+08:00",
    },
    "parking.exit": {
        "request_id": "request-1",
        "plate": _PLATE,
        "lot_id": "lot-1",
        "left_at": "2026-11-23T10:30:00+08:00",
    },
    "parking.settle": {"request_id": "request-1", "plate": _PLATE},
    "parking.get": {"plate": _PLATE},
}

RESULTS: Samples = {
    "parking.open_lot": {
        "lot_id": "lot-1",
        "payee": "mall",
        "tariff": _IN_FULL,
        "status": "opened",
    },
    "parking.bind": {
        "plate": _PLATE,
        "account_id": "anna",
        "arrears_minor": 0,
        "status": "bound",
    },
    "parking.enter": {
        "plate": _PLATE,
        "lot_id": "lot-1",
        "entered_at": "2026-11-23T08:00:00+08:00",
        "arrears_minor": 0,
        "lost_exit": None,
        "status": "entered",
    },
    "parking.exit": _STAY,
    "parking.settle": {"plate": _PLATE, "paid_minor": 1500, "status": "settled"},
    "parking.get": {
        "plate": _PLATE,
        "status": "outside",
        "account_id": None,
        "arrears_minor": 0,
        "stay": None,
        "last": _STAY,
    },
}

EVENTS: Samples = {
    "parking.lot_opened": RESULTS["parking.open_lot"],
    "parking.vehicle_bound": RESULTS["parking.bind"],
    "parking.entered": RESULTS["parking.enter"],
    "parking.exited": _STAY,
    "parking.arrears_recorded": _STAY,
    "parking.arrears_collected": RESULTS["parking.settle"],
    "parking.exit_lost": {
        "lot_id": "lot-1",
        "entered_at": "2026-11-23T08:00:00+08:00",
        "fee_minor": 4000,
    },
}
