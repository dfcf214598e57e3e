"""``zhihui load record`` and ``replay``: traffic that came once, sent again."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from zhihui.commands import load_options as options
from zhihui.commands.addresses import nats_url_or_running
from zhihui.commands.console import DataDir, NatsUrl, bad_input, output
from zhihui.commands.load_shared import run_judged, say, seconds_of, write_json
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from loadtest.harness.plan import RunPlan

__all__ = ("REPLAY_EXAMPLES", "load_record", "load_replay")

REPLAY_EXAMPLES = """\
```
zhihui load record friday.gz --for 10m      what all apps ask of the service meanwhile
zhihui load replay friday.gz                  the same again, at the same moments
zhihui load replay friday.gz --speed 4        in a quarter of the time
```
"""


def load_record(
    recording: Annotated[Path, typer.Argument(dir_okay=False, help="The file to write.")],
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Until Ctrl-C if left out.")
    ] = None,
    app: Annotated[str, typer.Option(help="Only what this app asks; all if left out.")] = "",
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Record what is asked of a service, with the moments, from the side.

    It hears a copy of each request; nobody is slowed. The file holds what the requests hold:
    accounts, names and amounts. Keep it as you keep the books.
    """
    seconds = None if lasting is None else seconds_of(lasting)
    url = nats_url_or_running(nats_url, data_dir)
    raise typer.Exit(run_judged(lambda: _record(url, recording, app, seconds)))


async def _record(url: str, recording: Path, app: str, seconds: float | None) -> int:
    from loadtest.harness.replay.tap import record
    from zhihui.commands.signals import cancel_on_signal

    say("recording" + ("; Ctrl-C ends it" if seconds is None else f" for {seconds:g} s"))
    found = await record(url, recording, app=app, seconds=seconds, until=cancel_on_signal)
    output.print(f"{found.requests:,} requests in {recording}", highlight=False, soft_wrap=True)
    if found.left_out or found.dropped:
        output.print(
            f"[bold yellow]careful[/] {found.left_out:,} were left out"
            + (", and some came faster than they could be written" if found.dropped else ""),
            highlight=False,
            soft_wrap=True,
        )
    return 0


def load_replay(
    recording: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="What `load record` wrote.")
    ],
    speed: Annotated[
        float, typer.Option(min=0.001, max=1_000, help="2 sends it in half of the time.")
    ] = 1.0,
    app: Annotated[str, typer.Option(help="Whose requests; only where there are several.")] = "",
    thresholds: options.Thresholds = None,
    processes: options.Processes = 1,
    allow_host: options.AllowHost = None,
    nats_url: NatsUrl = "",
    postgres_dsn: Annotated[
        str,
        typer.Option(
            envvar="ZHIHUI_POSTGRES_DSN", help="The books to check afterwards.", show_default=False
        ),
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: options.Json = None,
) -> None:
    """Send a recording again to a service that runs, at the same moments or faster.

    Each request has its body of then under a new request id, so it is done once more: replay on a
    copy of the books, never on those that anybody needs. What was a retry then is sent once.
    """
    from loadtest.harness.plan import RunPlan
    from loadtest.harness.problems import LoadError
    from loadtest.harness.replay.requests import the_app
    from zhihui.embedded.data_dir import find_running

    try:
        sender = the_app(recording, app)
    except LoadError as error:
        raise bad_input(str(error)) from None
    url = nats_url_or_running(nats_url, data_dir)
    running = find_running(data_dir)
    dsn = postgres_dsn or (running.postgres_dsn if running and not nats_url else "")
    plan = RunPlan(
        scenario="",
        url=url,
        app=sender,
        engine="lean",
        warmup_s=0.0,
        processes=processes,
        thresholds=tuple(thresholds or ()),
        allow_host=allow_host,
    )
    raise typer.Exit(run_judged(lambda: _replay(plan, recording, speed, dsn, json)))


async def _replay(
    plan: "RunPlan", recording: Path, speed: float, dsn: str, json: Path | None
) -> int:
    from loadtest.harness.replay.runner import run_replay
    from loadtest.harness.reports.terminal import print_result
    from loadtest.harness.target import Target

    with TemporaryDirectory(prefix="zhihui-replay-") as folder:
        result = await run_replay(
            plan, recording, speed=speed, target=Target(plan.url, dsn), folder=Path(folder), say=say
        )
    print_result(result, output)
    write_json(json, result)
    return result.exit_code
