"""Runs two builds in turns under the same load, and compares what they did."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from loadtest.harness.compare.bootstrap import CONFIDENCE
from loadtest.harness.compare.order import Side, abba
from loadtest.harness.compare.verdict import Comparison, compare_figures
from loadtest.harness.costs import cost_of
from loadtest.harness.plan import RunPlan
from loadtest.harness.problems import RunFailed
from loadtest.harness.result import ExitCode, RunResult

__all__ = ("ComparisonReport", "figures_of", "run_comparison")

# Runs a plan on one of the two.
_Run = Callable[[Side, RunPlan], Awaitable[RunResult]]


class ComparisonReport(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, and all figures of all runs by pair.

    ``violated`` names what was wrong with the books of whichever build, ``invalid`` what made
    figures void: then there is no verdict worth having.
    """

    comparison: Comparison
    pairs: tuple[tuple[dict[str, float], dict[str, float]], ...]
    violated: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """Return how it ends as a command: 99 when B is slower."""
        if self.violated:
            return ExitCode.INVARIANT
        if self.invalid or self.comparison.difference == "not measured":
            return ExitCode.INVALID
        return ExitCode.THRESHOLD if self.comparison.difference == "slower" else ExitCode.PASS


async def run_comparison(
    plan: RunPlan,
    run: _Run,
    *,
    names: tuple[str, str],
    pairs: int,
    primary: str,
    confidence: float = CONFIDENCE,
    on_run: Callable[[int, Side, RunResult], None],
) -> ComparisonReport:
    """Run ``pairs`` pairs in the order AB, BA, AB…, each pair with a seed of its own."""
    found: list[tuple[dict[str, float], dict[str, float]]] = []
    violated: list[str] = []
    invalid: list[str] = []
    for number, order in enumerate(abba(pairs)):
        figures: dict[Side, dict[str, float]] = {}
        for side in order:
            result = await run(side, msgspec.structs.replace(plan, seed=plan.seed + number))
            if result.aborted:
                raise RunFailed(f"run {number + 1} of {names[side == 'b']} was aborted")
            name = names[side == "b"]
            violated += [
                f"{name}: {one.claim}: {one.detail}" for one in result.invariants if not one.ok
            ]
            invalid += [
                f"{name}: {one.detail}" for one in result.invalid if not _tolerable(one.code)
            ]
            figures[side] = figures_of(result)
            on_run(number, side, result)
        found.append((figures["a"], figures["b"]))
        if violated:
            break
    return ComparisonReport(
        comparison=compare_figures(
            found,
            a=names[0],
            b=names[1],
            primary=primary,
            seed=plan.seed,
            confidence=confidence,
        ),
        pairs=tuple(found),
        violated=tuple(violated),
        invalid=tuple(invalid),
    )


def figures_of(result: RunResult) -> dict[str, float]:
    """Return the figures of a run that builds are compared by; those that are not known are not in.

    CPU is in microseconds, the log in bytes, each for one request that was ok.
    """
    response = result.total.response
    figures: dict[str, float | None] = {
        "rate": result.total.per_second,
        "response_p50": response.percentile_ms(50.0),
        "response_p95": response.percentile_ms(95.0),
        "response_p99": response.percentile_ms(99.0),
        **_costs(result),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _costs(result: RunResult) -> Mapping[str, float | None]:
    costs = cost_of(result)
    if not costs:
        return {}
    cpu = costs[0].cost.cpu_us
    parts = (cpu.service, cpu.nats, cpu.postgres)
    known = [part for part in parts if part is not None]
    return {
        "service_cpu": cpu.service,
        "all_cpu": sum(known) + cpu.generator if len(known) == len(parts) else None,
        "wal": costs[0].cost.wal_bytes,
    }


def _tolerable(code: str) -> bool:
    """Tell whether a pair still compares: what is not steady hits both builds of a pair alike."""
    return code == "not_steady"
