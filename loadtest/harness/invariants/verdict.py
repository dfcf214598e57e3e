"""The verdict on the books after a run: the ledger audit, and exactly once. It comes first.

A run whose books are wrong has no latency worth naming: whatever it measured, it ends with
:data:`EXIT_VIOLATED`.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from loadtest.harness.invariants.exactly_once import (
    PAYMENT_SOURCES,
    Finding,
    check_exactly_once,
)
from loadtest.harness.invariants.ledger_sums import LedgerRun, Recorded, Source
from loadtest.harness.invariants.multiset import MultisetSum
from zhihui.audit import run_audit

__all__ = ("EXIT_VIOLATED", "InvariantReport", "check_invariants", "ledger_position")

EXIT_VIOLATED = 90

_CONNECT_TIMEOUT_S = 10.0

# Offences named of each check of the audit that fails.
_NAMED_MAX = 3


class InvariantReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; ``audited`` tells whether the whole ledger was looked at."""

    findings: tuple[Finding, ...]
    audited: bool

    @property
    def ok(self) -> bool:
        """Whether every claim holds."""
        return all(finding.ok for finding in self.findings)

    def violated(self) -> tuple[Finding, ...]:
        """Return the claims that do not hold."""
        return tuple(finding for finding in self.findings if not finding.ok)


async def ledger_position(dsn: str) -> int:
    """Return the number of the last change there is, to be taken before a run begins."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        found = await connection.fetchval("SELECT coalesce(max(seq), 0) FROM zhihui.change")
    finally:
        await connection.close()
    return int(found)


async def check_invariants(
    dsn: str,
    run: LedgerRun,
    *,
    key: bytes,
    acknowledged: MultisetSum,
    unknown: Sequence[Recorded] = (),
    sources: Sequence[Source] = PAYMENT_SOURCES,
    audit: bool = True,
) -> InvariantReport:
    """Check the books when nothing of the run is under way any more.

    ``audit`` looks at every row of the ledger too, which takes some three seconds a million
    payments.
    """
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        findings = await check_exactly_once(
            connection,
            run,
            key=key,
            acknowledged=acknowledged,
            unknown=unknown,
            sources=sources,
        )
    finally:
        await connection.close()
    if audit:
        findings += await _audit(dsn)
    return InvariantReport(findings=tuple(findings), audited=audit)


async def _audit(dsn: str) -> list[Finding]:
    report = await run_audit(dsn)
    findings = []
    for check in report.checks:
        detail = f"{check.rows:,} rows"
        if not check.ok:
            named = "; ".join(
                f"{one.row}: {one.found}, expected {one.expected}"
                for one in check.offences[:_NAMED_MAX]
            )
            detail = f"{check.offending:,} of {detail}: {named}"
        findings.append(
            Finding(name=f"audit_{check.name}", claim=check.claim, ok=check.ok, detail=detail)
        )
    return findings
