"""``zhihui load compare``: is one build faster than another, for sure."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from zhihui.commands import load_options as options
from zhihui.commands.console import bad_input, output
from zhihui.commands.load_shared import plan_of, run_judged, say, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.harness.compare import Side
    from loadtest.harness.costs import Pids
    from loadtest.harness.plan import RunPlan
    from loadtest.harness.result import RunResult
    from loadtest.harness.target import Target

__all__ = ("COMPARE_EXAMPLES", "load_compare")

COMPARE_EXAMPLES = """\
```
zhihui load compare ../before .                          two checkouts, by payments a second
zhihui load compare ../before . --arrivals 1000           by response times at one rate
zhihui load compare . . --pairs 20                        how little can be seen on this machine
zhihui load compare nats://127.0.0.1:4222 nats://127.0.0.1:5222
```
Exit codes: **0** B is not slower, **99** B is slower, **90** the books of one are wrong, **91** the
generator was the limit, **2** an option is wrong.
"""


# Enough for the journal's batches to be of some size, too few to wait in a queue.
_USERS = 64


def load_compare(
    context: typer.Context,
    a: Annotated[
        str, typer.Argument(metavar="A", help="A checkout of the project, or a NATS URL.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="What is compared with it, likewise.")],
    scenario: Annotated[str, typer.Option(help="A scenario file, or a bundled one.")] = "payments",
    pairs: Annotated[int, typer.Option(min=5, max=200, help="Pairs of runs, in turns.")] = 12,
    users: Annotated[
        int | None,
        typer.Option(help="Closed runs of so many users, compared by their rate.", min=1),
    ] = None,
    arrivals: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Open runs, compared by their response times."),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option(
            help="What decides: rate, response_p50, response_p95, response_p99, service_cpu, "
            "all_cpu or wal; rate in closed runs, response_p50 in open ones."
        ),
    ] = None,
    duration: Annotated[
        str, typer.Option("--duration", "-t", metavar="TIME", help="Measured part of each run.")
    ] = "4s",
    engine: options.Engine = "lean",
    processes: options.Processes = 1,
    poisson: options.Poisson = False,
    seed: options.Seed = 1,
    warmup: options.Warmup = "1s",
    settings: options.Settings = None,
    app: options.App = "",
    allow_host: options.AllowHost = None,
    json: options.Json = None,
) -> None:
    """Run two builds under the same load in turns, and say which is faster, if either is.

    Each build has servers and a node of its own; only one of them is loaded at a time, in the
    order AB, BA, AB…. The interval is the studentised bootstrap's over the pairs. The
    books of both are held against what was acknowledged, and a wrong build is never a fast one.
    """
    from loadtest.harness.compare import FIGURES

    primary = figure or ("rate" if arrivals is None else "response_p50")
    known = [one.name for one in FIGURES]
    if primary not in known:
        raise bad_input(f"there is no figure {primary!r}; there are {', '.join(known)}")
    if users is not None and arrivals is not None:
        raise bad_input("--users makes closed runs and --arrivals open ones: choose one")
    closed = None if arrivals is not None else users or _USERS
    plan = plan_of({**context.params, "users": closed})
    raise typer.Exit(run_judged(lambda: _compare(plan, a, b, pairs, primary, json)))


async def _compare(
    plan: "RunPlan", a: str, b: str, pairs: int, primary: str, json: Path | None
) -> int:
    import msgspec

    from loadtest.harness.compare import run_comparison
    from loadtest.harness.compare.report import print_comparison
    from loadtest.harness.runner import run_load
    from loadtest.harness.scenario import load_scenario
    from loadtest.harness.watching import books_and_costs

    plan = msgspec.structs.replace(plan, app=plan.app or load_scenario(plan.scenario).app)
    async with AsyncExitStack() as stack:
        sides: dict[Side, tuple[Target, Callable[[], Pids]]] = {}
        sides["a"] = await stack.enter_async_context(_side(a, plan))
        sides["b"] = await stack.enter_async_context(_side(b, plan))

        async def run(side: "Side", one: "RunPlan") -> "RunResult":
            target, pids = sides[side]
            watching = books_and_costs(
                one,
                nats_url=target.nats_url,
                postgres_dsn=target.postgres_dsn,
                pids=pids,
                audit=False,
            )
            return await run_load(one, observers=watching, target=target)

        def on_run(number: int, side: "Side", result: "RunResult") -> None:
            p50 = result.total.response.percentile_ms(50.0)
            say(
                f"pair {number + 1} of {pairs}: {side.upper()} {result.total.per_second:8,.0f}/s, "
                f"p50 {'–' if p50 is None else f'{p50:.1f}'} ms"
            )

        report = await run_comparison(
            plan,
            run,
            names=(a, b),
            pairs=pairs,
            primary=primary,
            on_run=on_run,
        )
    print_comparison(report, output)
    write_json(json, report)
    return int(report.exit_code)


@asynccontextmanager
async def _side(where: str, plan: "RunPlan") -> "AsyncIterator[tuple[Target, Callable[[], Pids]]]":
    """Yield what runs at an address, or start what a checkout holds."""
    from loadtest.harness.costs import Pids
    from loadtest.harness.problems import PlanUnusable
    from loadtest.harness.stands import Build, running_stand
    from loadtest.harness.target import Target
    from loadtest.harness.watching import pids_of_stand
    from loadtest.lean import check_target

    if "://" in where:
        check_target(where, allow_host=plan.allow_host)
        yield Target(where), Pids
        return
    if not (Path(where) / "zhihui" / "__main__.py").is_file():
        raise PlanUnusable(
            f"{where} is neither a NATS URL nor a checkout with a folder zhihui in it"
        )
    with TemporaryDirectory(prefix="zhihui-compare-") as folder:
        # Postgres may run as another user, who has to be able to reach its data.
        Path(folder).chmod(0o711)
        say(f"starting servers and a node of {where}")
        build = Build(name=where, checkout=where)
        async with running_stand(Path(folder), build=build) as stand:
            yield Target(stand.nats_url, stand.postgres_dsn), pids_of_stand(stand)
