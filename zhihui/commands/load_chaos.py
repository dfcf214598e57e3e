"""``zhihui load chaos``: a run in which things break on purpose."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from zhihui.commands import load_options as options
from zhihui.commands.console import bad_input, output
from zhihui.commands.load_shared import plan_of, run_judged, say, write_json

if TYPE_CHECKING:
    from loadtest.harness.chaos import ChaosStep
    from loadtest.harness.plan import RunPlan

__all__ = ("CHAOS_EXAMPLES", "load_chaos")

CHAOS_EXAMPLES = """\
```
zhihui load chaos payments --step '10s kill node for 2s'
zhihui load chaos payments --step '10s restart nats' --step '25s restart postgres'
zhihui load chaos payments --step '5s slow postgres 20ms for 5s' --step '20s pause node for 3s'
zhihui load chaos payments --step '10s swap parking'
```
A step is: when, what, and `for` how long until it is put right. There are kill, stop and pause
`node`; kill and restart `nats` and `postgres`; cut, freeze and slow (by so much) the link to `nats`
or `postgres`; and swap, with the name of a pack. A node is the one that owns the journal.
"""


def load_chaos(
    context: typer.Context,
    scenario: options.Scenario,
    step: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP", help="What breaks, and when. Repeatable."),
    ] = None,
    arrivals: Annotated[
        str, typer.Option(metavar="SPEC", help="Requests a second, as of `run`.")
    ] = "100",
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration",
            "-t",
            metavar="TIME",
            help="Of the measured part; 15 s after the last step if left out.",
        ),
    ] = None,
    thresholds: options.Thresholds = None,
    nodes: options.Nodes = 2,
    engine: options.Engine = "users",
    processes: options.Processes = 1,
    poisson: options.Poisson = False,
    seed: options.Seed = 1,
    warmup: options.Warmup = "2s",
    settings: options.Settings = None,
    app: options.App = "",
    data_dir: options.LoadDataDir = None,
    json: options.Json = None,
) -> None:
    """Break things while load is made, and say how long each was felt.

    Each step has a phase of its own in the figures, and so has the time after it. How long nothing
    was committed is read from the ledger. At the end what got no answer is asked again, every
    acknowledged request is held against the ledger, and the ledger is audited.
    """  # fmt: skip
    from loadtest.harness.chaos import parse_steps
    from loadtest.harness.problems import LoadError
    from loadtest.harness.scenario import load_scenario

    try:
        steps = parse_steps(step or [])
        sender = app or load_scenario(scenario).app
    except LoadError as error:
        raise bad_input(str(error)) from None
    plan = plan_of({**context.params, "app": sender})
    raise typer.Exit(run_judged(lambda: _chaos(plan, steps, nodes, data_dir, json)))


async def _chaos(
    plan: "RunPlan",
    steps: "tuple[ChaosStep, ...]",
    nodes: int,
    data_dir: Path | None,
    json: Path | None,
) -> int:
    from loadtest.harness.chaos.report import print_chaos
    from loadtest.harness.chaos.runner import run_chaos
    from loadtest.harness.reports.terminal import print_result
    from zhihui.commands.bench_hotload import hotload_tools

    with TemporaryDirectory(prefix="zhihui-chaos-") as folder:
        # Postgres may run as another user, who has to be able to reach its data.
        Path(folder).chmod(0o711)
        result = await run_chaos(
            plan,
            steps,
            folder=data_dir or Path(folder),
            nodes=nodes,
            tools=hotload_tools(),
            say=say,
        )
    print_result(result, output)
    print_chaos(result, output)
    write_json(json, result)
    return result.exit_code
