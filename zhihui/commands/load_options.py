"""The options of ``zhihui load``, each once, and the plan that they come to."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from loadtest.harness.plan import RunPlan

__all__ = (
    "AllowHost",
    "App",
    "Arrivals",
    "Autostart",
    "Csv",
    "Drain",
    "Duration",
    "Engine",
    "ExcludeTags",
    "Hlog",
    "Html",
    "InFlightMax",
    "Json",
    "LoadDataDir",
    "NoAudit",
    "Nodes",
    "Poisson",
    "Processes",
    "Prometheus",
    "Quiet",
    "Scenario",
    "Seed",
    "Settings",
    "SpawnRate",
    "Tags",
    "Thresholds",
    "Timeout",
    "Users",
    "Warmup",
    "Web",
    "plan_from",
)

_LOAD = "The load"
_PEOPLE = "What it does"
_JUDGED = "How it is judged"
_REPORTED = "What is reported"
_WHERE = "Where it goes"

Scenario = Annotated[
    str, typer.Argument(metavar="FILE", help="A scenario file, or the name of a bundled one.")
]
Users = Annotated[
    int | None,
    typer.Option(
        "--users",
        "-u",
        help="Closed run: so many users. With --arrivals: made before the load begins.",
        rich_help_panel=_LOAD,
    ),
]
SpawnRate = Annotated[
    float | None,
    typer.Option(
        "--spawn-rate",
        "-r",
        help="Users to start a second; all within one if left out.",
        rich_help_panel=_LOAD,
    ),
]
Arrivals = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="Open run: 500, ramp:100-1000:60s, step:100-500:100:10s or spike:200-2000:20s:5s "
        "requests a second, whatever the service does.",
        rich_help_panel=_LOAD,
    ),
]
Poisson = Annotated[
    bool,
    typer.Option(
        "--poisson", help="Arrivals at random moments, as customers come.", rich_help_panel=_LOAD
    ),
]
Duration = Annotated[
    str | None,
    typer.Option(
        "--duration",
        "-t",
        metavar="TIME",
        help="Of the measured part: 30s, 2m. The scenario decides if left out, else 30s.",
        rich_help_panel=_LOAD,
    ),
]
Warmup = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="Load before each measurement, which is not measured.",
        rich_help_panel=_LOAD,
    ),
]
Processes = Annotated[
    int,
    typer.Option(
        "--processes",
        "-p",
        min=1,
        help="Processes that make the load together.",
        rich_help_panel=_LOAD,
    ),
]
InFlightMax = Annotated[
    int,
    typer.Option(
        help="Requests under way at once; arrivals beyond it are dropped.", rich_help_panel=_LOAD
    ),
]
Engine = Annotated[
    Literal["users", "lean"],
    typer.Option(
        help="users run the User classes; lean sends the Flows, for high rates.",
        rich_help_panel=_PEOPLE,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tags",
        "-T",
        metavar="TAG",
        help="Only tasks with this tag. Repeatable.",
        rich_help_panel=_PEOPLE,
    ),
]
ExcludeTags = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude-tags",
        "-E",
        metavar="TAG",
        help="No tasks with this tag. Repeatable.",
        rich_help_panel=_PEOPLE,
    ),
]
Seed = Annotated[
    int,
    typer.Option(help="Of all that is drawn: tasks, waits, moments.", rich_help_panel=_PEOPLE),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Told to the scenario. Repeatable.",
        rich_help_panel=_PEOPLE,
    ),
]
Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        metavar="EXPR",
        help="p99<30ms, error_rate<0.1%, rate>=5000, payment.create:p99.9<=80ms, "
        "worst_p99<100ms. Repeatable.",
        rich_help_panel=_JUDGED,
    ),
]
Timeout = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="How long a request may take to be answered.", rich_help_panel=_JUDGED
    ),
]
Drain = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="How long to wait at the end for what is under way.",
        rich_help_panel=_JUDGED,
    ),
]
NoAudit = Annotated[
    bool,
    typer.Option(
        "--no-audit",
        help="Hold what was acknowledged against the ledger, without the full audit of it.",
        rich_help_panel=_JUDGED,
    ),
]
App = Annotated[
    str,
    typer.Option(
        help="The app whose backend the load is; the scenario decides if left out.",
        rich_help_panel=_WHERE,
    ),
]
Nodes = Annotated[
    int,
    typer.Option(
        min=1,
        max=8,
        help="Nodes of the service that is started for the run.",
        rich_help_panel=_WHERE,
    ),
]
AllowHost = Annotated[
    str | None,
    typer.Option(
        metavar="HOST", help="A host that is not here and yours to load.", rich_help_panel=_WHERE
    ),
]
LoadDataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        file_okay=False,
        help="Start the service on this directory, not on one for the moment.",
        rich_help_panel=_WHERE,
    ),
]
Html = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", help="Write a report of one file, with charts.", rich_help_panel=_REPORTED
    ),
]
Csv = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Write tables of names and seconds.", rich_help_panel=_REPORTED
    ),
]
Json = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        dir_okay=False,
        help="Write all figures as JSON.",
        rich_help_panel=_REPORTED,
    ),
]
Hlog = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Write an HdrHistogram log.", rich_help_panel=_REPORTED),
]
Web = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        help="A live page on 127.0.0.1 that starts, edits and stops; 0 takes a free port.",
        rich_help_panel=_REPORTED,
    ),
]
Autostart = Annotated[
    bool,
    typer.Option(
        "--autostart", help="With --web: begin without being told to.", rich_help_panel=_REPORTED
    ),
]
Prometheus = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        help="Figures for Prometheus on 127.0.0.1 while it runs.",
        rich_help_panel=_REPORTED,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Show nothing but the result.", rich_help_panel=_REPORTED)
]

_TIMES = ("duration", "warmup", "drain", "timeout")
_LISTS = ("tags", "exclude_tags", "thresholds")
_AS_THEY_ARE = (
    "scenario", "app", "engine", "users", "spawn_rate", "arrivals", "poisson", "processes", "seed",
    "in_flight_max", "allow_host",
)  # fmt: skip


def plan_from(given: Mapping[str, Any]) -> "RunPlan":
    """Return the plan of the options given, by the names of :class:`RunPlan` without units.

    Raise :class:`~loadtest.harness.problems.PlanUnusable` when one cannot be understood.
    """
    from loadtest.harness.arrivals import parse_duration
    from loadtest.harness.plan import RunPlan

    fields = {name: given[name] for name in _AS_THEY_ARE if name in given}
    for name in _TIMES:
        if given.get(name) is not None:
            fields[f"{name}_s"] = parse_duration(given[name])
    for name in _LISTS:
        fields[name] = tuple(given.get(name) or ())
    return RunPlan(
        **fields,
        wait_for_start=given.get("web") is not None and not given.get("autostart"),
        settings=_settings(given.get("settings") or []),
    )


def _settings(given: list[str]) -> dict[str, str]:
    from loadtest.harness.problems import PlanUnusable

    settings = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise PlanUnusable(f"--set {one!r}: write it as NAME=VALUE")
        settings[name] = value
    return settings
