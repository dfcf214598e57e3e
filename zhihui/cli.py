"""The command ``zhihui``."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from zhihui.commands import app as app_commands
from zhihui.commands import (
    audit,
    call,
    channels,
    deadletter,
    events,
    keys,
    load,
    migrate,
    node,
    plugin,
    reconcile,
    risk,
    sandbox,
    settlement,
    simulate,
    status,
    tools,
    up,
)
from zhihui.commands.console import errors
from zhihui.errors import SetupError

__all__ = ("app", "main")

_EXAMPLES = """\
```
zhihui up                     start everything here, and stay until Ctrl-C
zhihui call city-park account.open '{"request_id":"r-1","holder":"Li Lei"}'
zhihui app add city-park      let a backend connect, with a key of its own
zhihui status                 is it ready, and what has it done
zhihui audit                  prove the books from the database alone
```

Each command says more with `--help`. Servers of your own are used when `ZHIHUI_NATS_URL` or
`ZHIHUI_POSTGRES_DSN` is set.
"""

app = typer.Typer(
    name="zhihui",
    help="A transaction engine for scenario finance: durable payments over NATS and Postgres.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    # A traceback is for us; what a person can mend is told in a sentence, see `main`.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_RUN = "Run"
_USE = "Use"
_TRY = "Try and measure"

app.command(rich_help_panel=_RUN)(up.up)
app.command(rich_help_panel=_RUN)(node.node)
app.command(rich_help_panel=_RUN)(migrate.migrate)
app.add_typer(app_commands.apps, rich_help_panel=_USE)
app.command(rich_help_panel=_USE, epilog=call.EXAMPLES)(call.call)
app.command(rich_help_panel=_USE)(status.status)
app.command(rich_help_panel=_USE)(audit.audit)
app.command(rich_help_panel=_USE)(reconcile.reconcile)
app.add_typer(events.events, rich_help_panel=_USE)
app.add_typer(keys.keys, rich_help_panel=_USE)
app.add_typer(plugin.plugins, rich_help_panel=_USE)
app.add_typer(risk.risk, rich_help_panel=_USE)
app.add_typer(settlement.settlement, rich_help_panel=_USE)
app.add_typer(deadletter.deadletters, rich_help_panel=_USE)
app.command(rich_help_panel=_USE)(tools.schema)
app.command(rich_help_panel=_TRY, epilog=tools.DEMO_EXAMPLES)(tools.demo)
app.add_typer(channels.channels, rich_help_panel=_TRY)
app.add_typer(sandbox.sandbox, rich_help_panel=_TRY)
app.add_typer(load.load, rich_help_panel=_TRY)
app.command(rich_help_panel=_TRY, epilog=simulate.EXAMPLES)(simulate.simulate)
app.add_typer(tools.bench, rich_help_panel=_TRY)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zhihui {version('zhihui')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit: 0 for success, 1 for failure, 2 for bad input."""
    try:
        app(prog_name="zhihui")
    except SetupError as error:
        errors.print(f"[bold red]zhihui:[/] {_escaped(error)}", highlight=False, soft_wrap=True)
        sys.exit(1)


def _escaped(error: SetupError) -> str:
    # The message may quote a log, whose brackets are not markup.
    from rich.markup import escape

    return escape(str(error))
