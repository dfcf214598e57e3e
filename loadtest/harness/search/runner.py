"""Tries rates on a target until the highest is known at which an objective holds."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from loadtest.harness.control import Observer
from loadtest.harness.costs import Usage, cost_of
from loadtest.harness.plan import RunPlan
from loadtest.harness.problems import RunFailed
from loadtest.harness.result import ExitCode, RunResult
from loadtest.harness.search.knee import KneePoint, find_knee
from loadtest.harness.search.ladder import Limits, Outcome, Search, Stage, find_highest
from loadtest.harness.statistics import BEYOND_MIN
from loadtest.harness.thresholds import parse_threshold

__all__ = ("SearchPlan", "SearchReport", "Try", "check_objective", "judge_try", "run_search")

# Answers may be a little fewer than arrivals in a window; less than this, and requests pile up.
_RATE_SHARE_MIN = 0.97

# A low rate is tried for longer, until its percentiles have enough samples and some to spare.
_SPARE = 1.1
_TRY_S_MAX = 60.0

# The reasons that say something of the generator and nothing of the service.
_GENERATOR_REASONS = frozenset({"generator_saturated", "schedule_missed", "generator_failed"})

# Runs one plan under these observers; a search has many runs on one target.
_Run = Callable[[RunPlan, Sequence[Observer]], Awaitable[RunResult]]


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for: ``run`` says how load is made, ``objective`` what has to hold.

    A try measures ``try_s`` seconds, a confirmation ``confirm_s``, each after ``run.warmup_s``.
    """

    run: RunPlan
    objective: tuple[str, ...]
    limits: Limits
    try_s: float = 6.0
    confirm_s: float = 20.0


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One rate that was tried; times in milliseconds, None where there were too few answers."""

    stage: Stage
    rate: float
    outcome: Outcome
    why: str
    per_second: float
    p50_ms: float | None
    p99_ms: float | None
    lag_p99_ms: float | None
    usage: Usage | None


class SearchReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the search ended, with everything that was tried."""

    objective: tuple[str, ...]
    search: Search
    tries: tuple[Try, ...]
    knee: KneePoint | None

    @property
    def limit(self) -> str:
        """Say what set the limit: what was used up at the lowest rate that did not hold."""
        failed = [one for one in self.tries if one.rate == self.search.failed_rate]
        usages = [one.usage for one in failed if one.usage is not None]
        if usages:
            return usages[0].sentence()
        held = [one.usage for one in self.tries if one.usage is not None]
        return held[-1].sentence() if held else "nothing is known of what was used"

    @property
    def exit_code(self) -> ExitCode:
        """Return how the search ends as a command."""
        return {
            "found": ExitCode.PASS,
            "ceiling": ExitCode.PASS,
            "generator": ExitCode.INVALID,
            "nothing": ExitCode.THRESHOLD,
            "violated": ExitCode.INVARIANT,
        }[self.search.ended]

    def points(self) -> list[KneePoint]:
        """Return what was tried as points of a curve; of several tries of a rate the last."""
        found = {
            one.rate: KneePoint(
                rate=one.rate,
                p50_ms=one.p50_ms,
                p99_ms=one.p99_ms,
                held=one.outcome == "held",
            )
            for one in self.tries
            if one.p50_ms is not None and one.p99_ms is not None
        }
        return [found[rate] for rate in sorted(found)]


async def run_search(
    plan: SearchPlan,
    run: _Run,
    *,
    observers: Callable[[bool], Sequence[Observer]],
    on_try: Callable[[Try], None],
) -> SearchReport:
    """Search. ``observers`` makes those of one run, told whether it is a confirmation."""
    check_objective(plan.objective)
    tries: list[Try] = []

    async def attempt(stage: Stage, rate: float) -> Outcome:
        confirming = stage == "confirm"
        one = msgspec.structs.replace(
            plan.run,
            arrivals=f"{rate:.3f}",
            users=None,
            duration_s=_seconds(plan.objective, rate, plan.confirm_s if confirming else plan.try_s),
            thresholds=_with_service(plan.objective),
        )
        tried = judge_try(stage, rate, await run(one, observers(confirming)))
        tries.append(tried)
        on_try(tried)
        return tried.outcome

    search = await find_highest(attempt, plan.limits)
    report = SearchReport(objective=plan.objective, search=search, tries=tuple(tries), knee=None)
    return msgspec.structs.replace(report, knee=find_knee(report.points()))


def check_objective(objective: Sequence[str]) -> None:
    """Raise :class:`~loadtest.harness.problems.PlanUnusable` for what is no threshold."""
    for text in objective:
        parse_threshold(text)


def judge_try(stage: Stage, rate: float, result: RunResult) -> Try:
    """Say what one run at ``rate`` showed; raise :class:`RunFailed` for one that was aborted."""
    if result.aborted:
        raise RunFailed(f"the try at {rate:,.0f}/s was aborted: {'; '.join(result.notes)}")
    outcome, why = _outcome(rate, result)
    total = result.total
    costs = cost_of(result)
    return Try(
        stage=stage,
        rate=rate,
        outcome=outcome,
        why=why,
        per_second=total.per_second,
        p50_ms=total.response.percentile_ms(50.0),
        p99_ms=total.response.percentile_ms(99.0),
        lag_p99_ms=total.lag.percentile_ms(99.0),
        usage=costs[0].usage if costs else None,
    )


def _outcome(rate: float, result: RunResult) -> tuple[Outcome, str]:
    broken = [one for one in result.invariants if not one.ok]
    if broken:
        return "violated", f"{broken[0].claim}: {broken[0].detail}"
    missed = [one for one in result.thresholds if not one.ok]
    generator = [one for one in result.invalid if one.code in _GENERATOR_REASONS]
    if generator and not any("service_" in one.expression for one in missed):
        # The response time holds the generator's own lag; what the service took was in bounds.
        return "unfit", generator[0].detail
    mine = [one for one in missed if "service_" not in one.expression]
    if mine:
        value = "not known" if mine[0].value is None else f"{mine[0].value:.4g} {mine[0].unit}"
        return "failed", f"{mine[0].expression}: {value}"
    if missed:
        return "failed", f"{missed[0].expression} is not met"
    other = [one for one in result.invalid if one.code not in _GENERATOR_REASONS]
    if other:
        return "failed", other[0].detail
    if result.total.counts.dropped:
        return "failed", f"{result.total.counts.dropped:,} arrivals found too many under way"
    if result.total.per_second < _RATE_SHARE_MIN * rate:
        return "failed", f"{result.total.per_second:,.0f} answers a second of {rate:,.0f} asked for"
    return "held", ""


def _with_service(objective: tuple[str, ...]) -> tuple[str, ...]:
    """Add each bound of a response time for the service time too.

    Only so can a generator that is late be told from a service that is.
    """
    added = []
    for text in objective:
        one = parse_threshold(text)
        if one.unit == "ms" and one.time == "response" and not one.worst:
            name = f"{one.name}:" if one.name else ""
            added.append(f"{name}service_{one.metric}{one.comparison}{one.limit!r}ms")
    return (*objective, *added)


def _seconds(objective: tuple[str, ...], rate: float, wanted_s: float) -> float:
    """Return how long to measure, so that each percentile of the objective has its samples."""
    metrics = [parse_threshold(text).metric for text in objective]
    percents = [float(one[1:]) for one in metrics if one[0] == "p"]
    samples = max((BEYOND_MIN / (1 - percent / 100) for percent in percents), default=0.0)
    return min(max(wanted_s, _SPARE * samples / rate), max(wanted_s, _TRY_S_MAX))
