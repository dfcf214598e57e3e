"""Samples of the messages about plugins."""

from typing import Any

__all__ = ("EVENTS", "REQUESTS", "RESULTS")

Samples = dict[str, dict[str, Any]]

_SHA256 = "683f4cb87ed564ac2155ebb3372b9786f3cb2c35f04d04a8845766b9fc8ffa5a"

_ASKED = {"request_id": "r-1", "name": "library", "reason": "the new rates", "by": "Wang Fang"}
_GENERATION = {
    "generation": 2,
    "version": "1.1.0",
    "sha256": _SHA256,
    "state": "canary",
    "canary_ppm": 100_000,
    "came_after": 0,
    "reason": "a tenth at first",
}
_CHANGED = {
    "name": "library",
    "generation": 2,
    "version": "1.1.0",
    "sha256": _SHA256,
    "state": "promoted",
    "canary_ppm": 0,
    "paused": False,
    "previous": 1,
    "plan_version": 7,
    "reason": "the new rates",
    "who": "ops: Wang Fang",
}
_ARCHIVE = {
    "sha256": _SHA256,
    "name": "library",
    "version": "1.1.0",
    "size_bytes": 30_720,
    "kernel_api": ">=0.1,<0.2",
    "summary": "A library lends books.",
    "license": "Apache-2.0",
    "capabilities": ["notify"],
    "operations": ["library.add", "library.lend"],
    "state_versions": {"book": 2},
    "vouched_by": "the operator",
}

_VERBS = ("load", "promote", "drain", "unload", "rollback", "pause", "resume")

REQUESTS: Samples = {
    "plugin.upload": {
        "request_id": "r-1",
        "sha256": _SHA256,
        "index": 0,
        "total": 1,
        # The seven bytes "library", compressed.
        "data": "eJzLyUwqSiyqBAALowL2",
    },
    "plugin.load": {
        **_ASKED,
        "sha256": _SHA256,
        "signature": {
            "name": "library",
            "version": "1.1.0",
            "sha256": _SHA256,
            "key": "9f3c1ad2b0e44c5f8a7d6e5c4b3a2910",
            "signature": "c2lnbmF0dXJl",
            "format": 1,
        },
    },
    "plugin.promote": {**_ASKED, "generation": 2, "canary_percent": None, "canary_ppm": 100_000},
    "plugin.drain": {**_ASKED, "generation": 1},
    "plugin.unload": {**_ASKED, "generation": 1, "leave_documents": False},
    "plugin.rollback": _ASKED,
    "plugin.pause": _ASKED,
    "plugin.resume": _ASKED,
    "plugin.list": {},
    "plugin.show": {"name": "library"},
}

RESULTS: Samples = {
    "plugin.upload": {"sha256": _SHA256, "total": 3, "missing": [1], "complete": False},
    **{f"plugin.{verb}": _CHANGED for verb in _VERBS},
    "plugin.list": {
        "plan_version": 7,
        "plugins": [{"name": "library", "paused": False, "generations": [_GENERATION]}],
    },
    "plugin.show": {
        "name": "library",
        "plan_version": 7,
        "paused": False,
        "highest_version": "1.1.0",
        "generations": [{"generation": _GENERATION, "archive": _ARCHIVE}],
    },
}

EVENTS: Samples = {
    f"plugin.{event}": _CHANGED
    for event in (
        "loaded", "promoted", "canary_set", "drained", "unloaded", "rolled_back", "paused",
        "resumed",
    )
}  # fmt: skip

EVENTS["plugin.generation_moved"] = {
    "name": "library", "generation": 2, "version": "1.1.0", "sha256": _SHA256, "node": "n1",
    "before": "running", "after": "draining", "reason": "", "at": "2026-11-25T08:00:00Z",
}  # fmt: skip
EVENTS["plugin.node_switched"] = {
    "name": "library", "what": "promoted", "promoted": 2, "canary": 0, "canary_ppm": 0,
    "node": "n1", "reason": "version 7 of the plan", "at": "2026-11-25T08:00:00Z",
}  # fmt: skip
