"""The rows that risk writes: which rules fired, and where customers were."""

from datetime import datetime
from typing import Any

import msgspec

from actors.risk.decision import Decision
from kernel.journal import FactTable
from kernel.memory_tables import Table, table
from schemas.change import Fact
from schemas.risk import GeoPoint, RiskFacts, RuleHit

__all__ = (
    "FACT_TABLES",
    "HIT_COLUMNS",
    "TABLES",
    "HitRow",
    "hit_facts",
    "place_fact",
    "public_hit",
)

HIT_COLUMNS = (
    "number", "app", "request_id", "subject", "customer", "payer", "payee", "method",
    "amount_minor", "currency", "rule_id", "kind", "stage", "action", "reason", "effect",
    "outcome", "rules_version", "at",
)  # fmt: skip
_HIT_TYPES = (
    "bigint", "text", "text", "text", "text", "text", "text", "text", "bigint", "text", "text",
    "text", "text", "text", "text", "text", "text", "bigint", "timestamptz",
)  # fmt: skip
_PLACE_COLUMNS = ("customer", "latitude_udeg", "longitude_udeg", "at")
_PLACE_TYPES = ("text", "bigint", "bigint", "timestamptz")

FACT_TABLES = (
    FactTable("risk_hit", HIT_COLUMNS, _HIT_TYPES),
    FactTable("risk_place", _PLACE_COLUMNS, _PLACE_TYPES),
)

TABLES: tuple[Table, ...] = (
    table(
        "risk_hit",
        ("change_seq bigint",
         *(f"{name} {kind}" for name, kind in zip(HIT_COLUMNS, _HIT_TYPES, strict=True))),
        ("change_seq", "number"),
        immutable=True,
    ),
    table(
        "risk_place",
        ("change_seq bigint",
         *(f"{name} {kind}" for name, kind in zip(_PLACE_COLUMNS, _PLACE_TYPES, strict=True))),
        ("customer", "change_seq"),
    ),
)  # fmt: skip


class HitRow(msgspec.Struct, frozen=True):
    """``change_seq`` and the columns of :data:`HIT_COLUMNS`."""

    change_seq: int
    number: int
    app: str
    request_id: str
    subject: str
    customer: str
    payer: str
    payee: str
    method: str
    amount_minor: int
    currency: str
    rule_id: str
    kind: str
    stage: str
    action: str
    reason: str
    effect: str
    outcome: str
    rules_version: int
    at: datetime


def hit_facts(
    facts: RiskFacts, decision: Decision, *, request_id: str, rules_version: int, at: datetime
) -> tuple[Fact, ...]:
    """Return one row for each rule that fired."""
    rows: list[tuple[Any, ...]] = [
        (number, facts.app, request_id, facts.subject, facts.customer, facts.payer, facts.payee,
         facts.method, facts.amount_minor, facts.currency, hit.rule_id, hit.kind, hit.stage,
         hit.action, hit.reason, hit.effect, decision.outcome, rules_version, at)
        for number, hit in enumerate(decision.hits)
    ]  # fmt: skip
    return tuple(Fact("risk_hit", row) for row in rows)


def place_fact(customer: str, point: GeoPoint, at: datetime) -> Fact:
    """Return the row that says where a customer paid."""
    return Fact("risk_place", (customer, point.latitude_udeg, point.longitude_udeg, at))


def public_hit(row: HitRow) -> RuleHit:
    """Return a hit as the operations answer it."""
    return RuleHit(
        rule_id=row.rule_id, kind=row.kind, stage=row.stage, action=row.action,
        reason=row.reason, effect=row.effect,
    )  # fmt: skip
