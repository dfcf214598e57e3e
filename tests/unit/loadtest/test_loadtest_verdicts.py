"""Verdicts: a fast system that loses, invents or withholds something has failed."""

import msgspec
import pytest

from loadtest.cost import Cost, CpuSplit
from loadtest.plan import Result
from loadtest.verdicts import Measurement, judge
from zhihui.audit import AuditReport, CheckResult, Totals

_RESULT = Result(
    seconds=1.0,
    warmup_s=0.0,
    in_flight=1,
    ok=100,
    rejected=0,
    busy=0,
    failed=0,
    timed_out=0,
    total_sent=105,
    total_ok=100,
    total_rejected=0,
    total_unknown=5,
    per_second=100.0,
    p50_ms=1.0,
    p90_ms=1.0,
    p99_ms=1.0,
    max_ms=1.0,
    cpu_us_each=1.0,
    codes={},
)
_COST = Cost(
    cpu_us=CpuSplit(generator=1.0, service=1.0, nats=None, postgres=None),
    wal_bytes=1.0,
    other_cores=None,
)


def _round(relay_s: float | None = 0.1) -> Measurement:
    return Measurement(
        system="product", round=1, load=_RESULT, cost=_COST, relays=True, relay_s=relay_s
    )


def _audit(*, payments: int = 100, offending: int = 0) -> AuditReport:
    check = CheckResult(
        name="limits", claim="", rows=1, offending=offending, offences=(), duration_s=0.0
    )
    numbers = dict.fromkeys(Totals.__struct_fields__, 0) | {"payments": payments, "holdings": ()}
    return AuditReport(checks=(check,), totals=msgspec.convert(numbers, Totals), duration_s=0.0)


def _verdicts(measurement: Measurement, audit: AuditReport) -> list[bool]:
    return [verdict.ok for verdict in judge("product", [measurement], audit)]


@pytest.mark.parametrize("stored", [100, 103, 105])
def test_an_honest_run_passes(stored: int) -> None:
    """What was acknowledged is stored, and of what timed out any part may be."""
    assert _verdicts(_round(), _audit(payments=stored)) == [True, True, True]


@pytest.mark.parametrize("stored", [99, 106])
def test_a_lost_or_invented_payment_fails(stored: int) -> None:
    """Fewer rows than answers, or more than requests without one, fail the run."""
    assert _verdicts(_round(), _audit(payments=stored)) == [True, False, True]


def test_a_broken_ledger_fails_and_is_named() -> None:
    """An audit that does not hold fails the run and says which check."""
    verdicts = judge("product", [_round()], _audit(offending=1))
    assert [verdict.ok for verdict in verdicts] == [False, True, True]
    assert "limits" in verdicts[0].detail


def test_events_left_behind_fail() -> None:
    """A round whose events were not all relayed in time fails the run."""
    assert _verdicts(_round(relay_s=None), _audit()) == [True, True, False]
