"""The tables of the routing benchmark."""

import platform
import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from loadtest.routing.comparison import Comparison, RoutingReport, WorldReport
from loadtest.routing.timing import DecisionTime

__all__ = ("print_routing_report",)


def print_routing_report(report: RoutingReport, console: Console) -> None:
    """Print one table for each kind of world, what a decision costs, and the verdicts."""
    seeds = f"{report.seeds[0]}-{report.seeds[-1]}"
    console.print(
        f"{len(report.channels)} channels, {report.decisions:,} payments in each world, seeds "
        f"{seeds}; {report.cores} cores, load {report.load_average:.1f}, Python "
        f"{platform.python_version()}; {report.took_s:.0f} s",
        style="dim",
        highlight=False,
    )
    for world in report.worlds:
        console.print(_world_table(world, report.times))
    console.print(
        "Mean over the seeds ± standard deviation. Success is of the payments whose payers had the "
        "means, at the first channel tried. The fee is of the amounts paid. Regret is what a "
        "payment's expected score falls short of the best channel of its moment, in thousandths. "
        f"µs: choosing alone, median of {report.rounds} interleaved rounds (least-most), under "
        f"{report.rules} rules for the router. Below, the best fixed channel is another in each "
        "world: the one that was best there by that measure. After ±: the 95 % interval of the "
        "mean.",
        style="dim",
        highlight=False,
    )
    for world in report.worlds:
        for comparison in world.comparisons():
            console.print(_verdict(world, comparison), highlight=False)


def _world_table(world: WorldReport, times: dict[str, DecisionTime]) -> Table:
    table = Table(title=f"{world.title} ({world.length_s:g} s)", title_justify="left")
    table.add_column("policy")
    for heading in ("success", "fee, ppm", "regret", "CPU µs a decision", "decisions/s"):
        table.add_column(heading, justify="right")
    for name, results in world.played.items():
        took = times[name]
        table.add_row(
            name,
            _spread([one.success_rate * 100 for one in results], 2, " %"),
            f"{statistics.fmean(one.cost_ppm for one in results):,.0f}",
            _spread([one.regret * 1000 for one in results], 1),
            f"{took.median_us:.1f} ({took.least_us:.1f}-{took.most_us:.1f})",
            f"{took.per_second:,.0f}",
        )
    return table


def _spread(values: Sequence[float], digits: int, unit: str = "") -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {deviation:.{digits}f}{unit}"


def _verdict(world: WorldReport, one: Comparison) -> str:
    mark = "[green]ok[/]  " if one.ok else "[bold red]FAIL[/]"
    factor, unit, sign = (100, " points", 1) if one.measure == "success rate" else (1000, "", -1)
    return (
        f"{mark} {world.title}: {one.measure} against {one.rival}, paired: "
        f"{one.mean * factor * sign:+.2f} ± {one.margin * factor:.2f}{unit}, better in "
        f"{one.better_in} of {len(one.differences)}"
    )
