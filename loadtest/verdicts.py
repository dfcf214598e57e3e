"""What a measurement must prove before its speed counts: nothing lost, nothing invented."""

import msgspec

from loadtest.cost import Cost
from loadtest.plan import Result
from zhihui.audit import AuditReport

__all__ = ("Measurement", "Verdict", "judge")


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one system.

    ``relays`` tells whether it publishes its events; ``relay_s`` is how many seconds after the
    round all of them were, None when they were not in time.
    """

    system: str
    round: int
    load: Result
    cost: Cost
    relays: bool = False
    relay_s: float | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that the run itself proved or refuted."""

    claim: str
    ok: bool
    detail: str


def judge(system: str, rounds: list[Measurement], audit: AuditReport) -> list[Verdict]:
    """Judge all rounds of one system by the audit of its database."""
    failed = ", ".join(check.name for check in audit.checks if not check.ok)
    acknowledged = sum(m.load.total_ok for m in rounds)
    unknown = sum(m.load.total_unknown for m in rounds)
    stored = audit.totals.payments
    verdicts = [
        Verdict(
            claim=f"the audit of the {system}'s ledger holds",
            ok=audit.ok,
            detail=failed or f"{len(audit.checks)} checks in {audit.duration_s:.1f} s",
        ),
        Verdict(
            claim=f"every payment that the {system} acknowledged is stored, and no other",
            ok=acknowledged <= stored <= acknowledged + unknown,
            detail=f"{acknowledged:,} acknowledged, {unknown:,} unknown, {stored:,} stored",
        ),
    ]
    if any(m.relays for m in rounds):
        verdicts.append(_judge_relay(system, rounds))
    return verdicts


def _judge_relay(system: str, rounds: list[Measurement]) -> Verdict:
    waits = [m.relay_s for m in rounds if m.relay_s is not None]
    late = len(rounds) - len(waits)
    return Verdict(
        claim=f"every event of the {system} reached JetStream",
        ok=late == 0,
        detail=f"not in time after {late} of {len(rounds)} rounds"
        if late
        else f"at most {max(waits):.2f} s after a round",
    )
