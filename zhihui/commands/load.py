"""``zhihui load``: make load, measure it without flattering anybody, and judge it."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from zhihui.commands import load_options as options
from zhihui.commands.console import errors, output
from zhihui.commands.load_chaos import CHAOS_EXAMPLES, load_chaos
from zhihui.commands.load_compare import COMPARE_EXAMPLES, load_compare
from zhihui.commands.load_replay import REPLAY_EXAMPLES, load_record, load_replay
from zhihui.commands.load_search import SEARCH_EXAMPLES, load_search
from zhihui.commands.load_shared import EXIT_ABORTED, plan_of, run_judged

if TYPE_CHECKING:
    from loadtest.harness.control import Observer, RunControl
    from loadtest.harness.plan import RunPlan
    from loadtest.harness.reports.options import ReportOptions

__all__ = ("EXAMPLES", "load", "load_run", "load_scenarios")

EXAMPLES = """\
```
zhihui load scenarios                                   what comes with the program
zhihui load run payments                                 twenty customers, twenty seconds
zhihui load run payments --arrivals 200 --duration 1m    200 a second, whatever the service does
zhihui load run payments --arrivals ramp:50-500:2m --threshold 'p99<50ms'
zhihui load run payments --engine lean --arrivals 5000 --poisson --processes 2
zhihui load run my_scenario.py --users 100 --spawn-rate 10 --html report.html
```
"""

_EXIT_CODES = """\
Exit codes: **0** passed, **99** a threshold failed, **90** an invariant was violated, **91** the
run is invalid (the generator was the limit, the schedule was missed, the load was not steady),
**105** aborted, **2** the scenario or an option is wrong.
"""

load = typer.Typer(
    name="load",
    help="Make load with scenarios in Python, measure from the intended start, and judge.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@load.callback()
def _load() -> None:
    pass


@load.command(name="scenarios")
def load_scenarios() -> None:
    """List the scenarios that come with the program; their source shows how to write one."""
    import ast

    from loadtest.harness.scenario import BUNDLED, bundled_names

    for name in bundled_names():
        path = BUNDLED / f"{name}.py"
        says = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        output.print(f"[bold]{name}[/]  {says.splitlines()[0]}", highlight=False, soft_wrap=True)
        output.print(f"  {path}", style="dim", highlight=False, soft_wrap=True)


@load.command(name="run", epilog=_EXIT_CODES)
def load_run(
    context: typer.Context,
    scenario: options.Scenario,
    users: options.Users = None,
    spawn_rate: options.SpawnRate = None,
    arrivals: options.Arrivals = None,
    poisson: options.Poisson = False,
    duration: options.Duration = None,
    warmup: options.Warmup = "2s",
    processes: options.Processes = 1,
    in_flight_max: options.InFlightMax = 20_000,
    engine: options.Engine = "users",
    tags: options.Tags = None,
    exclude_tags: options.ExcludeTags = None,
    seed: options.Seed = 1,
    settings: options.Settings = None,
    thresholds: options.Thresholds = None,
    timeout: options.Timeout = "5s",
    drain: options.Drain = "10s",
    no_audit: options.NoAudit = False,
    app: options.App = "",
    nodes: options.Nodes = 1,
    allow_host: options.AllowHost = None,
    data_dir: options.LoadDataDir = None,
    html: options.Html = None,
    csv: options.Csv = None,
    json: options.Json = None,
    hlog: options.Hlog = None,
    web: options.Web = None,
    autostart: options.Autostart = False,
    prometheus: options.Prometheus = None,
    quiet: options.Quiet = False,
) -> None:
    """Run a scenario and judge what was measured.

    NATS, Postgres and a node are started for the run and removed after it, unless
    `ZHIHUI_NATS_URL` names a NATS where the service runs; it must be of this machine, or named with
    `--allow-host`. Response times count from when a request *should* have started, so a stall shows
    in all requests that it held up. Ctrl-C ends the load, waits for what is under way, and reports.
    """
    from loadtest.harness.reports.options import ReportOptions

    plan = plan_of(context.params)
    reports = ReportOptions(
        html=html, csv=csv, json=json, hlog=hlog, web=web, prometheus=prometheus, quiet=quiet
    )
    raise typer.Exit(
        run_judged(lambda: _watched(plan, reports, nodes, data_dir, audit=not no_audit))
    )


load.command(name="search", epilog=SEARCH_EXAMPLES)(load_search)
load.command(name="compare", epilog=COMPARE_EXAMPLES)(load_compare)
load.command(name="chaos", epilog=CHAOS_EXAMPLES)(load_chaos)
load.command(name="record", epilog=REPLAY_EXAMPLES)(load_record)
load.command(name="replay", epilog=REPLAY_EXAMPLES)(load_replay)


async def _watched(
    plan: "RunPlan", wanted: "ReportOptions", nodes: int, data_dir: Path | None, *, audit: bool
) -> int:
    """Make the run, and let Ctrl-C end it in order."""
    import anyio

    from loadtest.harness.costs.report import print_costs
    from loadtest.harness.reports.options import Reports
    from loadtest.harness.runner import check_plan, run_load
    from loadtest.harness.target import running_target
    from loadtest.harness.watching import books_and_costs, pids_of_target
    from zhihui.errors import ungrouped

    # What is wrong with the scenario is told before anything is started.
    plan = check_plan(plan)
    code = EXIT_ABORTED
    keeper = _keeper()

    def say(text: str) -> None:
        if not wanted.quiet:
            output.print(text, style="dim", markup=False, highlight=False)

    with ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_abort_on_signal, tasks.cancel_scope, keeper)
            async with (
                running_target(plan, data_dir=data_dir, nodes=nodes, say=say) as target,
                Reports(wanted, output).running() as reports,
            ):
                observers: list[Observer] = [
                    keeper,
                    *reports.observers,
                    *books_and_costs(
                        plan,
                        nats_url=target.nats_url,
                        postgres_dsn=target.postgres_dsn,
                        pids=pids_of_target(target),
                        audit=audit,
                    ),
                ]
                result = await run_load(plan, observers=observers, target=target, say=say)
                code = result.exit_code
                keeper.control = None
                await reports.finish(result)
                if not wanted.quiet:
                    print_costs(result, output)
            tasks.cancel_scope.cancel()
    return code


def _keeper() -> Any:
    from loadtest.harness.control import Observer

    class Keeper(Observer):
        """Knows how to steer the run, while there is one."""

        control: "RunControl | None" = None

        async def on_start(self, control: "RunControl") -> None:
            self.control = control

    return Keeper()


async def _abort_on_signal(scope: Any, keeper: Any) -> None:
    import anyio

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if keeper.control is None:
                # Before the load or after it: there is nothing to drain.
                scope.cancel()
                return
            errors.print("ending the load; once more ends everything at once", style="dim")
            keeper.control.abort("by the person at the terminal")
            keeper.control = None
