"""``zhihui status``: what runs, who owns what, what waits, and what is off."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from zhihui.commands.addresses import nats_url_or_running, postgres_dsn_or_running
from zhihui.commands.console import DataDir, NatsUrl, PostgresDsn, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from zhihui.status import Gatherer, Report

__all__ = ("WATCH_EVERY_S", "status")

# Fast enough to see a node come and go, slow enough to read.
WATCH_EVERY_S = 1.0


def status(
    nats_url: NatsUrl = "",
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; with --watch, one a line.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")
    ] = False,
) -> None:
    """Show the servers, the nodes and their partitions, what waits, and what is off.

    Exits with 0 when both servers answer, the schema is up to date and a node takes requests, else
    with 1. Warnings do not change the exit code.
    """
    if not run_async(lambda: _run(nats_url, postgres_dsn, data_dir, as_json, watch)):
        raise typer.Exit(1)


async def _run(
    nats_url: str, postgres_dsn: str, data_dir: Path, as_json: bool, watch: bool
) -> bool:
    from kernel.clock import SystemClock
    from zhihui.status import Gatherer

    url = nats_url_or_running(nats_url, data_dir)
    dsn = postgres_dsn_or_running(postgres_dsn, data_dir)
    gatherer = Gatherer(url, dsn, SystemClock())
    if watch:
        await _watch(gatherer, as_json)
    report = await gatherer.report()
    _show(report, as_json)
    return report.ok


async def _watch(gatherer: "Gatherer", as_json: bool) -> None:
    """Look again and again; only Ctrl-C ends it."""
    from rich.live import Live

    from kernel.clock import SystemClock
    from zhihui.status import render

    clock = SystemClock()
    if as_json:
        while True:
            _show(await gatherer.report(), as_json)
            await clock.sleep(WATCH_EVERY_S)
    with Live(console=output, auto_refresh=False, screen=output.is_terminal) as live:
        while True:
            # A small terminal shows the top alone.
            live.update(render(await gatherer.report(), warnings_first=True), refresh=True)
            await clock.sleep(WATCH_EVERY_S)


def _show(report: "Report", as_json: bool) -> None:
    from zhihui.status import render

    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        output.print(render(report))
