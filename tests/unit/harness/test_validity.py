"""Validity: a run says when it was not the service that was measured, and how it ends."""

from typing import Any

import msgspec
import pytest

from loadtest.harness.assembly import Collected, assemble, judged
from loadtest.harness.claims import ClaimCount
from loadtest.harness.control import Findings
from loadtest.harness.model import Counts, GeneratorHealth, NameSample, PhaseMark, Sample
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import (
    ExitCode,
    GeneratorMachine,
    InvariantVerdict,
    RunResult,
    ValidityReason,
)
from loadtest.harness.statistics import Totals
from loadtest.histogram import Histogram

_MACHINE = GeneratorMachine(
    processor="", cores=2, memory_gib=1, system="", load_average=0, versions={}
)


def _run(
    *,
    seconds: int = 12,
    rate: Any = lambda _: 100,
    ms: Any = lambda _: 5.0,
    cpu: float = 0.2,
    late: int = 0,
    dropped: int = 0,
    lost: int = 0,
    thresholds: tuple[str, ...] = (),
    claims: tuple[ClaimCount, ...] = (),
    errors: dict[str, int] | None = None,
    aborted: bool = False,
    changed: bool = False,
    arrivals: str | None = "100",
) -> RunResult:
    """Return the result of a run whose every second is as told."""
    totals = Totals()
    totals.mark(PhaseMark(name="main", start_s=0, measured=True))
    collected = Collected(
        run_id="load-1",
        started_at="2026-01-01T00:00:00+00:00",
        plan=RunPlan(scenario="s", arrivals=arrivals, thresholds=thresholds),
        machine=_MACHINE,
        totals=totals,
        shaped=False,
        changed=changed,
        aborted=aborted,
        duration_s=float(seconds),
        claims=claims,
        errors=errors or {},
    )
    for index in range(seconds):
        sent = rate(index)
        times = Histogram()
        for _ in range(sent):
            times.record(ms(index) / 1000)
        counts = Counts(scheduled=sent + dropped, sent=sent, dropped=dropped, ok=sent - lost)
        name = NameSample(
            name="a", phase="main", measured=True, counts=counts, response=times.snapshot(),
            service=times.snapshot(),
        )  # fmt: skip
        health = GeneratorHealth(cpu_share=cpu, late=late)
        collected.add(
            Sample(
                index=index, start_s=float(index), seconds=1.0, phase="main", measured=True,
                names=(name,), generator=health,
            )
        )  # fmt: skip
    return assemble(collected)


def _codes(result: RunResult) -> set[str]:
    return {one.code for one in result.invalid}


def test_a_quiet_run_passes() -> None:
    """A steady run with its thresholds met ends with 0."""
    result = _run(thresholds=("p95<10ms", "rate>=99"))
    assert (result.exit_code, result.verdict, result.invalid) == (0, "pass", ())
    assert result.steadiness.ok is True


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cpu": 0.95}, "generator_saturated"),
        ({"late": 2}, "schedule_missed"),
        ({"dropped": 3}, "arrivals_dropped"),
        ({"lost": 1}, "flow_not_conserved"),
        ({"rate": lambda s: 100 if s < 6 else 60}, "not_steady"),
        ({"ms": lambda s: 5.0 + 10 * s}, "not_steady"),
        ({"rate": lambda _: 0}, "no_requests"),
        ({"errors": {"Driver: KeyError: 'x'": 3}}, "scenario_failed"),
    ],
)
def test_each_fault_makes_a_run_invalid(changes: dict[str, Any], code: str) -> None:
    """What speaks against the figures is named, and the run ends with 91."""
    result = _run(**changes)
    assert code in _codes(result)
    assert result.exit_code == 91


def test_noise_does_not_make_a_run_unsteady() -> None:
    """A median of 1 ms that becomes 4, or 100 answers that become 90, are noise."""
    assert _run(ms=lambda s: 1.0 if s < 6 else 4.0).steadiness.ok is True
    assert _run(rate=lambda s: 100 if s < 6 else 90).steadiness.ok is True


def test_steadiness_does_not_apply_where_the_load_is_to_change() -> None:
    """Neither a ramp, nor a run that was edited, nor a short one is called unsteady."""
    for result in (
        _run(arrivals="ramp:10-100:12s", rate=lambda s: 10 + 8 * s),
        _run(changed=True, rate=lambda s: 100 if s < 6 else 10),
        _run(seconds=5, rate=lambda s: 100 if s < 3 else 10),
    ):
        assert result.steadiness.ok is None
        assert result.exit_code == 0


def test_a_closed_run_misses_no_schedule() -> None:
    """Where nothing was promised a moment, nothing is late."""
    assert _run(arrivals=None, late=50).exit_code == 0


def test_the_worst_verdict_counts() -> None:
    """Wrong books come before an abort, that before the harness's faults, those before limits."""
    broken = (ClaimCount(claim="c", checked=2, broken=1, detail="d"),)
    missed = ("p95<1ms",)
    cases: list[tuple[dict[str, Any], int]] = [
        ({"claims": broken, "aborted": True, "cpu": 1.0, "thresholds": missed}, 90),
        ({"aborted": True, "cpu": 1.0, "thresholds": missed}, 105),
        ({"cpu": 1.0, "thresholds": missed}, 91),
        ({"thresholds": missed}, 99),
        # The service could not keep up: a limit that was missed was missed.
        ({"thresholds": missed, "ms": lambda s: 5.0 + 10 * s}, 99),
        ({"thresholds": missed, "dropped": 10}, 99),
        ({"dropped": 10}, 91),
    ]
    assert [_run(**changes).exit_code for changes, _ in cases] == [code for _, code in cases]


def test_observers_add_to_the_verdict() -> None:
    """An invariant that an observer found broken makes a passed run end with 90."""
    passed = _run()
    broken = Findings(invariants=(InvariantVerdict(claim="c", ok=False),), attachments={"a": 1})
    result = judged(passed, (broken, Findings(notes=("n",))))
    assert (result.exit_code, result.attachments, result.notes) == (90, {"a": 1}, ("n",))
    invalid = Findings(invalid=(ValidityReason(code="noisy", detail=""),))
    assert judged(passed, (invalid,)).exit_code == ExitCode.INVALID


def test_a_result_holds_no_password_and_survives_its_file() -> None:
    """The address is kept without its user, and JSON gives the same result back."""
    result = _run()
    assert msgspec.json.decode(msgspec.json.encode(result), type=RunResult) == result
    plan = RunPlan(scenario="s", url="nats://node:secret@127.0.0.1:4222")
    collected = Collected(
        run_id="load-1", started_at="", plan=plan, machine=_MACHINE, totals=Totals(), shaped=False
    )
    assert "secret" not in msgspec.json.encode(assemble(collected)).decode()
