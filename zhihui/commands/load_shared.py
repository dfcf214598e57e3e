"""What the commands beside ``zhihui load run`` share: their options, their plan, their ending."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from zhihui.commands.console import bad_input, errors, output

if TYPE_CHECKING:
    from loadtest.harness.plan import RunPlan

__all__ = (
    "AllowHost",
    "App",
    "DataDirectory",
    "Engine",
    "Json",
    "Poisson",
    "Processes",
    "Seed",
    "Settings",
    "Warmup",
    "plan_of",
    "run_judged",
    "say",
    "seconds_of",
    "write_json",
)

# No result that counts came of it.
_EXIT_INVALID = 91
_EXIT_ABORTED = 105

Engine = Annotated[
    Literal["users", "lean"],
    typer.Option(help="users run the User classes; lean sends the Flows, for high rates."),
]
Processes = Annotated[int, typer.Option(min=1, help="Processes that make the load together.")]
Poisson = Annotated[
    bool, typer.Option("--poisson", help="Arrivals at random moments, as customers come.")
]
Seed = Annotated[int, typer.Option(help="Of all that is drawn: tasks, waits, moments.")]
Warmup = Annotated[
    str, typer.Option(metavar="TIME", help="Load before each measurement, which is not measured.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Told to the scenario. Repeatable."),
]
App = Annotated[str, typer.Option(help="The app whose backend the load is.")]
AllowHost = Annotated[
    str | None,
    typer.Option(metavar="HOST", help="A host not of here that is yours to load."),
]
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", file_okay=False, help="Run on this directory, not on one for the moment."
    ),
]
Json = Annotated[
    Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write all figures as JSON.")
]


def plan_of(
    scenario: str,
    *,
    engine: Literal["users", "lean"],
    settings: list[str] | None,
    warmup: str,
    app: str = "",
    processes: int = 1,
    poisson: bool = False,
    seed: int = 1,
    allow_host: str | None = None,
    arrivals: str | None = None,
    users: int | None = None,
    duration: str | None = None,
    thresholds: list[str] | None = None,
) -> "RunPlan":
    """Return what all runs of a command have in common; exit with 2 for what cannot be read."""
    from loadtest.harness.arrivals import parse_arrivals
    from loadtest.harness.plan import RunPlan
    from loadtest.harness.problems import LoadError

    told = {}
    for one in settings or ():
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise bad_input(f"--set {one!r}: write it as NAME=VALUE")
        told[name] = value
    try:
        if arrivals is not None:
            parse_arrivals(arrivals)
    except LoadError as error:
        raise bad_input(str(error)) from None
    return RunPlan(
        scenario=scenario,
        app=app,
        engine=engine,
        arrivals=arrivals,
        users=users,
        duration_s=None if duration is None else seconds_of(duration),
        processes=processes,
        poisson=poisson,
        seed=seed,
        allow_host=allow_host,
        thresholds=tuple(thresholds or ()),
        warmup_s=seconds_of(warmup),
        settings=told,
    )


def seconds_of(text: str) -> float:
    """Read 30s, 500ms, 2m or 1h; exit with 2 for what is no time."""
    from loadtest.harness.arrivals import parse_duration
    from loadtest.harness.problems import LoadError

    try:
        return parse_duration(text)
    except LoadError as error:
        raise bad_input(str(error)) from None


def say(text: str) -> None:
    """Tell how far it is."""
    output.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


def run_judged(function: Callable[[], Awaitable[int]]) -> int:
    """Run it and return its exit code; say what kept it from a result.

    Exits with 2 when an option or a scenario is wrong. Ctrl-C stops everything in order.
    """
    import anyio

    from loadtest.harness.problems import LoadError, RunFailed
    from loadtest.lean import LeanError
    from schemas.errors import ZhihuiError
    from zhihui.errors import ungrouped

    async def run() -> int:
        with ungrouped():
            return await function()

    try:
        return anyio.run(run, backend_options={"use_uvloop": True})
    except (RunFailed, ZhihuiError) as error:
        errors.print(
            f"zhihui: it came to no result: {error}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        return _EXIT_INVALID
    except (LoadError, LeanError) as error:
        raise bad_input(str(error)) from None
    except KeyboardInterrupt:
        return _EXIT_ABORTED


def write_json(path: Path | None, document: object) -> None:
    """Write a document, if it is wanted."""
    if path is not None:
        import msgspec

        path.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
        output.print(f"All figures: {path}", highlight=False, soft_wrap=True)
