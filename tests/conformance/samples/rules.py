"""Samples of the rule service's messages, which are for the back office."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_RULES = {
    "name": "routing",
    "version": 3,
    "rules": {"weights": {"success": 1.0, "latency": 0.05, "cost": 0.2}},
}

REQUESTS: Samples = {
    "rules.put": {
        "request_id": "request-1",
        "name": "routing",
        "rules": {"weights": {"success": 1.0, "latency": 0.05, "cost": 0.2}},
    },
    "rules.get": {"name": "routing"},
}

RESULTS: Samples = {"rules.put": _RULES, "rules.get": {**_RULES, "version": 0, "rules": {}}}

EVENTS: Samples = {"rules.put": _RULES}
