"""Facts and rules as the tests of risk write them."""

from typing import Any

import msgspec

from actors.risk.engine import Engine
from actors.risk.history import MemoryHistory
from actors.risk.rule_document import rules_from
from actors.risk.windows import Window
from schemas.risk import RiskFacts

__all__ = ("DAY_MS", "MORNING_MS", "document", "engine_of", "facts", "remember", "rule")

# 2026-11-25 10:00 in Shanghai, a Wednesday.
MORNING_MS = 1_795_572_000_000
DAY_MS = 86_400_000

_SHAPES: dict[str, dict[str, Any]] = {
    "amount": {"above_minor": 1_000},
    "velocity": {"per": "customer", "window_s": 86_400, "count_max": 3},
    "list": {"subject": "payee", "mode": "block", "values": ["acct_bad"]},
    "night": {"from_hour": 23, "to_hour": 6},
    "merchant_category": {"categories": ["7995"]},
    "geo_speed": {"kmh_max": 1_000},
    "new_device": {},
    "new_payee": {},
}


def rule(kind: str, name: str = "", action: str = "decline", **fields: Any) -> dict[str, Any]:
    """Return a rule of a document, sound as it is."""
    name = name or kind.replace("_", "-")
    reason = name.replace("-", "_")
    return {"id": name, "kind": kind, "action": action, "reason": reason,
            **_SHAPES[kind], **fields}  # fmt: skip


def document(*rules: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Return a document of these rules."""
    return {"version": 1, "rules": list(rules), "defaults": defaults}


def engine_of(*rules: dict[str, Any], **defaults: Any) -> Engine:
    """Return the engine of these rules."""
    return Engine(rules_from(document(*rules, **defaults)))


def facts(**fields: Any) -> RiskFacts:
    """Return a plain payment of 500 fen on a Wednesday morning."""
    plain = RiskFacts("shop", "pay_1", "cust_1", "acct_a", "acct_b", 500, "quick", MORNING_MS)
    return msgspec.structs.replace(plain, **fields)


def remember(engine: Engine, history: MemoryHistory, one: RiskFacts) -> None:
    """Count a movement as the ledger would after its commit."""
    steps = engine.steps(one, history, frozenset())
    buckets = {want.name: want.buckets for want in engine.wants(one)}
    for step in steps.counts:
        name, _, bucket = step.tally_id.rpartition(":")
        if name in buckets:
            window = history.windows.setdefault(name, Window(buckets[name]))
            window.add(int(bucket), step.count, step.amount_minor)
    history.marks.update(step.tally_id for step in steps.marks)
