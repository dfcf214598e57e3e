"""``zhihui load search``: the highest rate at which an objective holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhihui.commands import load_options as options
from zhihui.commands.console import bad_input, output
from zhihui.commands.load_shared import plan_of, run_judged, say, seconds_of, write_json

if TYPE_CHECKING:
    from loadtest.harness.control import Observer
    from loadtest.harness.plan import RunPlan
    from loadtest.harness.result import RunResult
    from loadtest.harness.search import SearchPlan

__all__ = ("SEARCH_EXAMPLES", "load_search")

SEARCH_EXAMPLES = """\
```
zhihui load search payments                                  p99<100ms and error_rate<0.1%
zhihui load search payments --objective 'p99<30ms' --start 1000 --poisson
zhihui load search payments --chart knee.svg --json search.json
```
Exit codes: **0** found, **90** the books are wrong, **91** the generator was the limit, **99** no
rate met the objective, **2** an option is wrong.
"""

_OBJECTIVE = ("p99<100ms", "error_rate<0.1%")


def load_search(
    context: typer.Context,
    scenario: options.Scenario,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPR",
            help="What has to hold, as --threshold of run: p99<30ms, error_rate<0.1%. Repeatable.",
        ),
    ] = None,
    start: Annotated[float, typer.Option(min=1, help="The first rate, a second.")] = 500.0,
    ceiling: Annotated[float, typer.Option(min=1, help="The highest to try.")] = 50_000.0,
    growth: Annotated[float, typer.Option(min=1.05, help="From try to try of the ramp.")] = 1.6,
    resolution: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="How narrow it is searched; 0.05 is 5 %.")
    ] = 0.05,
    try_: Annotated[
        str, typer.Option("--try", metavar="TIME", help="Measured part of each try.")
    ] = "6s",
    confirm: Annotated[
        str, typer.Option(metavar="TIME", help="Measured part of the confirmation.")
    ] = "20s",
    engine: options.Engine = "lean",
    processes: options.Processes = 1,
    poisson: options.Poisson = False,
    seed: options.Seed = 1,
    warmup: options.Warmup = "2s",
    settings: options.Settings = None,
    app: options.App = "",
    nodes: options.Nodes = 1,
    allow_host: options.AllowHost = None,
    data_dir: options.LoadDataDir = None,
    chart: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Draw times over rates, as SVG."),
    ] = None,
    json: options.Json = None,
) -> None:
    """Find the highest rate that meets an objective, and what sets the limit.

    Rates go up in steps until one fails, then what is left is halved; what was found is tried once
    more for longer. After every try each acknowledged request is held against the ledger, and at
    the end the whole ledger is audited.
    """
    from loadtest.harness.search import Limits, SearchPlan

    if start > ceiling:
        raise bad_input(f"--start {start:g} is above --ceiling {ceiling:g}")
    plan = SearchPlan(
        run=plan_of(context.params),
        objective=tuple(objective or _OBJECTIVE),
        limits=Limits(start=start, ceiling=ceiling, growth=growth, resolution=resolution),
        try_s=seconds_of(try_),
        confirm_s=seconds_of(confirm),
    )
    raise typer.Exit(run_judged(lambda: _search(plan, nodes, data_dir, chart, json)))


async def _search(
    plan: "SearchPlan", nodes: int, data_dir: Path | None, chart: Path | None, json: Path | None
) -> int:
    from loadtest.harness.runner import run_load
    from loadtest.harness.scenario import load_scenario
    from loadtest.harness.search import check_objective, knee_svg, run_search
    from loadtest.harness.search.report import print_search, print_try
    from loadtest.harness.target import running_target
    from loadtest.harness.watching import books_and_costs, pids_of_target
    from loadtest.machine import fdatasync_us

    # What is wrong is told before anything is started.
    app = plan.run.app or load_scenario(plan.run.scenario).app
    check_objective(plan.objective)
    async with running_target(plan.run, data_dir=data_dir, nodes=nodes, say=say) as target:
        flush_us = fdatasync_us(target.data_dir) if target.data_dir else None

        def observers(confirming: bool) -> "Sequence[Observer]":
            import msgspec

            return books_and_costs(
                msgspec.structs.replace(plan.run, app=app),
                nats_url=target.nats_url,
                postgres_dsn=target.postgres_dsn,
                pids=pids_of_target(target),
                fdatasync_us=flush_us,
                audit=confirming,
            )

        async def run(one: "RunPlan", watching: "Sequence[Observer]") -> "RunResult":
            return await run_load(one, observers=watching, target=target)

        report = await run_search(
            plan, run, observers=observers, on_try=lambda one: print_try(one, output)
        )
    print_search(report, output)
    points = report.points()
    if chart is not None and len(points) > 1:
        title = f"{plan.run.scenario}: {' and '.join(plan.objective)}"
        chart.write_text(knee_svg(points, title=title), encoding="utf-8")
        output.print(f"Chart: {chart}", highlight=False, soft_wrap=True)
    write_json(json, report)
    return int(report.exit_code)
