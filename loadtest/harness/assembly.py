"""From all that was collected to the result and its verdict."""

import msgspec

from loadtest.harness.arrivals import parse_arrivals
from loadtest.harness.claims import ClaimCount
from loadtest.harness.control import Findings
from loadtest.harness.invariants.multiset import MultisetSum
from loadtest.harness.model import GeneratorHealth, Sample
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import (
    ExitCode,
    GeneratorMachine,
    InvariantVerdict,
    Resolution,
    RunResult,
)
from loadtest.harness.statistics import Totals, name_statistics
from loadtest.harness.thresholds import parse_threshold
from loadtest.harness.validity import (
    OF_THE_SERVICE,
    check_flow,
    check_steadiness,
    invalid_reasons,
)
from loadtest.lean import check_target

__all__ = ("Collected", "assemble", "judged")


class Collected(msgspec.Struct, kw_only=True):
    """What the coordinating process gathers in a run."""

    run_id: str
    started_at: str
    plan: RunPlan
    machine: GeneratorMachine
    totals: Totals
    shaped: bool
    changed: bool = False
    aborted: bool = False
    duration_s: float = 0.0
    # Of the measured part: the mean CPU share of the busiest process, and the sums.
    cpu_share_s: float = 0.0
    cpu_s: float = 0.0
    late: int = 0
    memory_bytes: int = 0
    in_flight: int = 0
    acknowledged: MultisetSum = MultisetSum()
    resolution: Resolution = Resolution()
    claims: tuple[ClaimCount, ...] = ()
    errors: dict[str, int] = {}
    notes: tuple[str, ...] = ()

    def add(self, sample: Sample) -> None:
        """Add about a second."""
        self.totals.add(sample)
        self.in_flight = sample.in_flight
        self.acknowledged += sample.acknowledged
        self.memory_bytes = max(self.memory_bytes, sample.generator.memory_bytes)
        if sample.measured:
            self.cpu_share_s += sample.generator.cpu_share * sample.seconds
            self.cpu_s += sample.generator.cpu_s
            self.late += sample.generator.late


def assemble(collected: Collected) -> RunResult:
    """Return the result, with all that is known without observers."""
    plan, totals = collected.plan, collected.totals
    end_s = collected.duration_s
    measured_s = totals.measured_s(end_s)
    distributions = totals.measured()
    total, *names = (name_statistics(one, measured_s) for one in distributions)
    flow = check_flow(totals.counts, collected.in_flight)
    steadiness = check_steadiness(
        totals.timeline, constant=_is_constant(collected), changed=collected.changed
    )
    generator = GeneratorHealth(
        processes=plan.processes,
        cpu_share=collected.cpu_share_s / measured_s if measured_s else 0.0,
        cpu_s=collected.cpu_s,
        memory_bytes=collected.memory_bytes,
        late=collected.late,
    )
    worst = totals.worst_window
    thresholds = [parse_threshold(one).judge(total, names, worst) for one in plan.thresholds]
    result = RunResult(
        run_id=collected.run_id,
        started_at=collected.started_at,
        plan=_without_secrets(plan),
        machine=collected.machine,
        duration_s=end_s,
        measured_s=measured_s,
        warmup_s=plan.warmup_s or 0.0,
        exit_code=0,
        verdict="",
        aborted=collected.aborted,
        total=total,
        names=tuple(names),
        worst_window=worst,
        marks=tuple(totals.marks),
        phases=totals.phases(end_s),
        timeline=totals.timeline,
        flow=flow,
        steadiness=steadiness,
        generator=generator,
        resolution=collected.resolution,
        acknowledged=collected.acknowledged,
        thresholds=tuple(thresholds),
        invariants=tuple(_of_claim(one) for one in collected.claims),
        invalid=invalid_reasons(
            measured=total.counts,
            flow=flow,
            steadiness=steadiness,
            generator=generator,
            open_run=plan.arrivals is not None,
            errors=collected.errors.items(),
        ),
        distributions=tuple(distributions),
        notes=collected.notes,
    )
    return judged(result, ())


def judged(result: RunResult, findings: tuple[Findings, ...]) -> RunResult:
    """Return the result with what observers found, and with the verdict on all of it."""
    invariants = (*result.invariants, *(one for f in findings for one in f.invariants))
    invalid = (*result.invalid, *(one for f in findings for one in f.invalid))
    notes = (*result.notes, *(one for f in findings for one in f.notes))
    attachments = dict(result.attachments)
    for one in findings:
        attachments |= one.attachments
    result = msgspec.structs.replace(
        result, invariants=invariants, invalid=invalid, notes=notes, attachments=attachments
    )
    code = _exit_code(result)
    return msgspec.structs.replace(result, exit_code=int(code), verdict=_VERDICTS[code])


_VERDICTS = {
    ExitCode.PASS: "pass",
    ExitCode.USAGE: "usage",
    ExitCode.INVARIANT: "invariant violated",
    ExitCode.INVALID: "run invalid",
    ExitCode.THRESHOLD: "threshold failed",
    ExitCode.ABORTED: "aborted",
}


def _exit_code(result: RunResult) -> ExitCode:
    missed = any(not one.ok for one in result.thresholds)
    codes = set()
    if any(not one.ok for one in result.invariants):
        codes.add(ExitCode.INVARIANT)
    if result.aborted:
        codes.add(ExitCode.ABORTED)
    if missed:
        codes.add(ExitCode.THRESHOLD)
    if any(not missed or one.code not in OF_THE_SERVICE for one in result.invalid):
        codes.add(ExitCode.INVALID)
    return ExitCode.worst(codes)


def _is_constant(collected: Collected) -> bool:
    plan = collected.plan
    if collected.shaped:
        return False
    return plan.arrivals is None or not parse_arrivals(plan.arrivals).varies


def _of_claim(one: ClaimCount) -> InvariantVerdict:
    detail = f"checked {one.checked:,} times"
    if one.broken:
        detail = f"broken {one.broken:,} of {one.checked:,} times; first: {one.detail}"
    return InvariantVerdict(claim=one.claim, ok=not one.broken, detail=detail)


def _without_secrets(plan: RunPlan) -> RunPlan:
    if "@" not in plan.url:
        return plan
    host, port = check_target(plan.url, allow_host=plan.allow_host)
    return msgspec.structs.replace(plan, url=f"nats://{host}:{port}")
