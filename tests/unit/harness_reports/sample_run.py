"""A run with all that a report has to show, made from a seed by the harness's own sums."""

import random
from collections.abc import Callable
from functools import cache

import msgspec

from loadtest.harness.invariants.multiset import MultisetSum
from loadtest.harness.model import (
    Counts,
    GeneratorHealth,
    NameSample,
    PhaseMark,
    Sample,
)
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import (
    ExitCode,
    FlowConservation,
    GeneratorMachine,
    InvariantVerdict,
    Resolution,
    RunResult,
    Steadiness,
    ThresholdVerdict,
)
from loadtest.harness.statistics import Totals, name_statistics
from loadtest.histogram import Histogram, HistogramSnapshot

__all__ = ("MARKS", "result_of", "sample_result", "samples")

MARKS = (
    PhaseMark(name="warm-up", start_s=0.0, measured=False),
    PhaseMark(name="steady", start_s=10.0, measured=True),
    PhaseMark(name="kill a node", start_s=50.0, measured=True),
    PhaseMark(name="recovered", start_s=62.0, measured=True),
)

_NAMES = (("pay", 0.7, 3.1), ("exit_lot", 0.25, 4.6), ("statement & <more>", 0.05, 9.0))


def _times(draw: Callable[[], float], count: int) -> HistogramSnapshot:
    histogram = Histogram()
    for _ in range(count):
        histogram.record(draw() / 1000)
    return histogram.take()


def _name_sample(
    source: random.Random, name: str, count: int, median_ms: float, mark: PhaseMark, second: int
) -> NameSample:
    killed = 50 <= second < 55
    slow = 40.0 if killed else 1.0
    late_ms = 600.0 * (55 - second) / 5 if killed else 0.0
    failed = count // 8 if killed else 0
    rejected = count // 50
    ok = count - failed - rejected

    def service() -> float:
        return source.lognormvariate(0, 0.45) * median_ms * slow

    return NameSample(
        name=name,
        phase=mark.name,
        measured=mark.measured,
        counts=Counts(
            scheduled=count,
            sent=count,
            ok=ok,
            rejected=rejected,
            failed=failed,
            codes={"insufficient_funds": rejected, "unavailable": failed},
        ),
        response=_times(lambda: service() + late_ms + 0.1, ok + rejected),
        service=_times(service, ok + rejected),
        lag=_times(lambda: source.lognormvariate(-2.3, 0.4), count),
    )


def samples(seconds: int = 90, rate: int = 300, seed: int = 7) -> list[Sample]:
    """Return the seconds of a run in which a node is killed after 50 of them."""
    return list(_samples(seconds, rate, seed))


@cache
def _samples(seconds: int, rate: int, seed: int) -> tuple[Sample, ...]:
    source = random.Random(seed)  # noqa: S311 - a seeded story, no secret
    made = []
    for second in range(seconds):
        mark = [one for one in MARKS if one.start_s <= second][-1]
        names = tuple(
            _name_sample(source, name, int(rate * part), median_ms, mark, second)
            for name, part, median_ms in _NAMES
        )
        made.append(
            Sample(
                index=second,
                start_s=float(second),
                seconds=1.0,
                phase=mark.name,
                measured=mark.measured,
                target_rate=float(rate),
                in_flight=int(rate * (0.6 if 50 <= second < 55 else 0.004)) + second % 3,
                names=names,
                generator=GeneratorHealth(cpu_share=0.31 + (second % 7) / 100),
            )
        )
    return tuple(made)


def sample_result(seconds: int = 90, rate: int = 300, **changed: object) -> RunResult:
    """Return the result of :func:`samples`; fields given replace those of it."""
    return msgspec.structs.replace(_result(seconds, rate), **changed)


@cache
def _result(seconds: int, rate: int) -> RunResult:
    return result_of(samples(seconds, rate))


def result_of(of_samples: list[Sample], **changed: object) -> RunResult:
    """Return samples as a result that failed a threshold."""
    totals = Totals()
    end_s = of_samples[-1].start_s + 1.0 if of_samples else 0.0
    for mark in (one for one in MARKS if one.start_s < end_s or not of_samples):
        totals.mark(mark)
    for one in of_samples:
        totals.add(one)
    measured = totals.measured()
    measured_s = totals.measured_s(end_s)
    total, *names = (name_statistics(one, measured_s) for one in measured)
    fields: dict[str, object] = {
        "run_id": "r7k2m9",
        "started_at": "2026-03-02T09:15:00+00:00",
        "plan": RunPlan(
            scenario="city_day", arrivals="constant:300", duration_s=80.0, thresholds=("p99<30ms",)
        ),
        "machine": GeneratorMachine(
            processor="Example Processor 9000 @ 2.60 GHz",
            cores=2,
            memory_gib=23.5,
            system="Linux 6.1",
            load_average=0.42,
            versions={"python": "3.11.7", "zhihui": "0.1.0", "nats-server": "2.15.1"},
        ),
        "duration_s": end_s,
        "measured_s": measured_s,
        "warmup_s": 10.0,
        "exit_code": ExitCode.THRESHOLD,
        "verdict": "threshold failed",
        "aborted": False,
        "total": total,
        "names": tuple(names),
        "worst_window": totals.worst_window,
        "marks": tuple(totals.marks),
        "phases": totals.phases(end_s),
        "timeline": totals.timeline,
        "flow": FlowConservation(
            ok=True, counts=totals.counts, detail="27,000 scheduled, all are accounted for"
        ),
        "steadiness": Steadiness(
            ok=None, detail="a run with chaos in it is not meant to be steady"
        ),
        "generator": GeneratorHealth(cpu_share=0.36, cpu_s=31.2, memory_bytes=92_000_000, late=3),
        "resolution": Resolution(asked=12, done=9, not_done=3),
        "acknowledged": MultisetSum(),
        "thresholds": (
            ThresholdVerdict(
                expression="p99<30ms", ok=False, value=714.0, unit="ms"
            ),
            ThresholdVerdict(expression="error_rate<5%", ok=True, value=0.7, unit="%"),
        ),
        "invariants": (
            InvariantVerdict(claim="the ledger balances", ok=True, detail="0 fen"),
            InvariantVerdict(
                claim="every acknowledged request was applied once", ok=True, detail="15,902 ids"
            ),
        ),
        "distributions": tuple(measured),
        "notes": ("The warm-up of 10 s is in none of the figures.",),
        "attachments": {
            "chaos": [
                {"step": "kill a node", "at_s": 50.0, "recovered_after_s": 5.2},
            ],
            "cost": {"cpu_us_each": {"service": 61.2, "postgres": 40.1}, "wal_bytes_each": 1210},
        },
    }  # fmt: skip
    return RunResult(**(fields | changed))  # type: ignore[arg-type]
