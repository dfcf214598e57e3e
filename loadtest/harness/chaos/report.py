"""A chaos run as people read it: the figures of each phase, and when all was well again."""

from rich.console import Console
from rich.table import Table

from loadtest.harness.chaos.observer import chaos_of
from loadtest.harness.result import RunResult

__all__ = ("print_chaos",)


def print_chaos(result: RunResult, console: Console) -> None:
    """Print both tables."""
    phases = Table(title="Each phase, by when requests should have started", title_justify="left")
    for heading in ("phase", "from", "ok/s", "failed", "unknown", "p50, ms", "p99, ms", "max, ms"):
        phases.add_column(heading, justify="left" if heading == "phase" else "right")
    for one in result.phases:
        if not one.measured:
            continue
        counts, response = one.total.counts, one.total.response
        phases.add_row(
            one.name,
            f"{one.start_s:.1f} s",
            f"{one.total.per_second:,.0f}",
            f"{counts.failed:,}",
            f"{counts.timed_out + counts.unknown:,}",
            _number(response.percentile_ms(50.0)),
            _number(response.percentile_ms(99.0)),
            _number(response.max_ms),
        )
    console.print(phases)
    steps = Table(title="From the moment of each fault", title_justify="left")
    for heading in ("fault", "put right", "no commit for", "commits as before", "p99 as before"):
        steps.add_column(heading, justify="left" if heading == "fault" else "right")
    for step in chaos_of(result):
        recovery = step.recovery
        steps.add_row(
            step.phase,
            f"{step.ended_s - step.began_s:.1f} s",
            f"{recovery.outage_s:.1f} s",
            _seconds(recovery.commits_s),
            _seconds(recovery.latency_s),
        )
    console.print(steps)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _seconds(value: float | None) -> str:
    return "not in time" if value is None else f"{value:.1f} s"
