"""What one try of a search shows: the service's limit, the generator's, or wrong books."""

import msgspec
import pytest

from loadtest.harness.invariants import MultisetSum
from loadtest.harness.model import Counts, GeneratorHealth
from loadtest.harness.plan import RunPlan
from loadtest.harness.problems import PlanUnusable, RunFailed
from loadtest.harness.result import (
    ExitCode,
    FlowConservation,
    GeneratorMachine,
    InvariantVerdict,
    Latency,
    NameStatistics,
    Percentile,
    Resolution,
    RunResult,
    Steadiness,
    ThresholdVerdict,
    ValidityReason,
)
from loadtest.harness.search import Limits, Search, SearchReport, check_objective
from loadtest.harness.search.runner import judge_try

_TIMES = Latency(
    count=6_000, percentiles=(Percentile(percent=50.0, ms=2.0), Percentile(percent=99.0, ms=9.0))
)
_TOTAL = NameStatistics(
    name="",
    counts=Counts(scheduled=6_000, sent=6_000, ok=6_000),
    per_second=1_000.0,
    response=_TIMES,
    service=_TIMES,
    lag=_TIMES,
)
_GOOD = RunResult(
    run_id="load-1",
    started_at="",
    plan=RunPlan(scenario="payments"),
    machine=GeneratorMachine(
        processor="", cores=2, memory_gib=1.0, system="", load_average=0.0, versions={}
    ),
    duration_s=8.0,
    measured_s=6.0,
    warmup_s=2.0,
    exit_code=0,
    verdict="pass",
    aborted=False,
    total=_TOTAL,
    names=(),
    worst_window=None,
    marks=(),
    phases=(),
    timeline=(),
    flow=FlowConservation(ok=True, counts=Counts(), detail=""),
    steadiness=Steadiness(ok=True, detail=""),
    generator=GeneratorHealth(),
    resolution=Resolution(),
    acknowledged=MultisetSum(),
)


def _missed(expression: str) -> ThresholdVerdict:
    return ThresholdVerdict(expression=expression, ok=False, value=80.0, unit="ms")


_LATE = ValidityReason(code="schedule_missed", detail="many left late")


def _outcome(**changes: object) -> tuple[str, str]:
    tried = judge_try("ramp", 1_000.0, msgspec.structs.replace(_GOOD, **changes))
    return tried.outcome, tried.why


def test_what_meets_the_objective_holds() -> None:
    """A valid run of the rate that was asked for, with all thresholds met, holds."""
    assert _outcome() == ("held", "")


def test_a_missed_threshold_fails() -> None:
    """The reason names the threshold and what was measured."""
    assert _outcome(thresholds=(_missed("p99<30ms"),)) == ("failed", "p99<30ms: 80 ms")


def test_a_late_generator_says_nothing_of_the_service() -> None:
    """A response time that only the generator's lag spoiled is no limit of the service."""
    found = _outcome(thresholds=(_missed("p99<30ms"),), invalid=(_LATE,))
    assert found == ("unfit", "many left late")


def test_a_late_generator_does_not_hide_a_slow_service() -> None:
    """Where the service time missed the bound as well, it is the service that failed."""
    missed = (_missed("p99<30ms"), _missed("service_p99<30.0ms"))
    assert _outcome(thresholds=missed, invalid=(_LATE,))[0] == "failed"


def test_falling_behind_fails() -> None:
    """A run that was not steady, dropped arrivals, or answered fewer than came did not hold."""
    unsteady = ValidityReason(code="not_steady", detail="it slowed down")
    assert _outcome(invalid=(unsteady,)) == ("failed", "it slowed down")
    counts = Counts(scheduled=6_000, sent=5_990, dropped=10, ok=5_990)
    dropped = msgspec.structs.replace(_TOTAL, counts=counts)
    assert _outcome(total=dropped)[0] == "failed"
    slow = msgspec.structs.replace(_TOTAL, per_second=960.0)
    assert _outcome(total=slow) == ("failed", "960 answers a second of 1,000 asked for")


def test_wrong_books_come_before_everything() -> None:
    """However fast it was, a run whose books are wrong is a violation."""
    broken = InvariantVerdict(claim="all is well", ok=False, detail="it is not")
    found = _outcome(invariants=(broken,), thresholds=(_missed("p99<1ms"),), invalid=(_LATE,))
    assert found == ("violated", "all is well: it is not")


def test_an_aborted_try_ends_the_search() -> None:
    """A run that somebody ended is no try."""
    with pytest.raises(RunFailed, match="aborted"):
        _outcome(aborted=True)


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ("found", ExitCode.PASS),
        ("ceiling", ExitCode.PASS),
        ("generator", ExitCode.INVALID),
        ("nothing", ExitCode.THRESHOLD),
        ("violated", ExitCode.INVARIANT),
    ],
)
def test_the_end_of_a_search_is_an_exit_code(ended: str, code: ExitCode) -> None:
    """Each way to end has a code of its own meaning, as in a single run."""
    search = msgspec.convert(
        {"rate": None, "failed_rate": None, "ended": ended, "steps": []}, Search
    )
    assert SearchReport(objective=(), search=search, tries=(), knee=None).exit_code == code


def test_what_is_no_objective_is_refused() -> None:
    """An objective is a threshold, and what cannot be read is told before anything starts."""
    check_objective(["p99<30ms", "error_rate<0.1%"])
    with pytest.raises(PlanUnusable, match="p42"):
        check_objective(["p42<1ms"])
    assert Limits(start=1, ceiling=2).resolution == 0.05
