"""``zhihui reconcile``: the channels' books against ours, and what matches is posted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhihui.commands.addresses import nats_url_or_running, postgres_dsn_or_running
from zhihui.commands.console import (
    DataDir,
    NatsUrl,
    PostgresDsn,
    bad_input,
    errors,
    output,
    run_async,
)
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from zhihui.reconciliation import ChannelResult

__all__ = ("reconcile",)

_SHOWN_MAX = 20


def reconcile(
    channels_file: Annotated[
        Path,
        typer.Option(
            "--channels",
            envvar="ZHIHUI_CHANNELS",
            dir_okay=False,
            help="The channels' file, as the nodes are given it; it says where the books are.",
        ),
    ],
    day: Annotated[
        str,
        typer.Option(help="One day in Beijing, 2026-11-25; else everything.", show_default=False),
    ] = "",
    channel: Annotated[
        list[str] | None,
        typer.Option(help="One channel; may be given several times.", show_default="all"),
    ] = None,
    post: Annotated[bool, typer.Option(help="Post what matches, and ask about what may.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    nats_url: NatsUrl = "",
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Compare the channels' books with our orders, and post the lines that match.

    Orders that we are not sure of, or had given up, and of which the channel has the money, are
    asked about first. Exits with 0 when nothing differs, else with 1.
    """
    from datetime import date

    from actors.channels.configuration import read_channels

    try:
        config = read_channels(channels_file)
        only = date.fromisoformat(day) if day else None
    except ValueError as error:
        raise bad_input(str(error)) from None
    names = tuple(channel) if channel else tuple(config.channels)
    unknown = [name for name in names if name not in config.channels]
    if unknown or not config.statement_url:
        what = f"no channel {unknown[0]!r}" if unknown else "no statement_url"
        raise bad_input(f"{channels_file} has {what}")

    async def run() -> "list[ChannelResult]":
        from zhihui.reconciliation import Reconciler

        reconciler = Reconciler(
            config.statement_url,
            nats_url=nats_url_or_running(nats_url, data_dir),
            postgres_dsn=postgres_dsn_or_running(postgres_dsn, data_dir),
            progress=_Progress(),
        )
        return await reconciler.run(names, only, post=post)

    results = run_async(run)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(results).decode())
    else:
        _print(results)
    if not all(one.ok for one in results):
        raise typer.Exit(1)


class _Progress:
    """Say on the error output what is being done, once it has taken longer than two seconds."""

    def __init__(self) -> None:
        from kernel.clock import SystemClock

        self._clock = SystemClock()
        self._began_s = self._clock.monotonic_s()
        self._said_s = self._began_s + 1.0

    def __call__(self, channel: str, what: str, done: int, of: int) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._said_s < 1.0:
            return
        self._said_s = now_s
        errors.print(
            f"{now_s - self._began_s:5.0f} s  {channel}: {what} {done} of {of}", highlight=False
        )


def _print(results: "list[ChannelResult]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("channel")
    columns = (
        "lines", "matched", "posted", "not here", "not there", "differ", "open", "suspense",
        "expected",
    )  # fmt: skip
    for name in columns:
        table.add_column(name, justify="right")
    for one in results:
        counts = (
            one.lines, one.matched, one.posted, one.missing_here, one.missing_there, one.different,
            one.open, one.suspense_minor, one.expected_minor,
        )  # fmt: skip
        table.add_row(one.channel, *(f"{count:,}" for count in counts))
    output.print(table)
    for one in results:
        for text in one.remarks[:_SHOWN_MAX]:
            output.print(f"{one.channel}: {text}", highlight=False, markup=False)
        if len(one.remarks) > _SHOWN_MAX:
            output.print(f"{one.channel}: and {len(one.remarks) - _SHOWN_MAX} more")
    good = all(one.ok for one in results)
    output.print("[green]the books agree[/]" if good else "[bold red]the books differ[/]")
