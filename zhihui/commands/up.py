"""``zhihui up``: everything on one machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from zhihui.commands.console import DataDir, bad_input, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

__all__ = ("up",)

_FIRST_REQUEST = """city-park account.open '{"request_id":"r-1","holder":"Li Lei"}'"""


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nodes: Annotated[
        int, typer.Option(min=1, max=16, help="How many nodes share the work; see `zhihui status`.")
    ] = 1,
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox", help="For trying out: the date can be moved; see `zhihui sandbox`."
        ),
    ] = False,
    reload: Annotated[
        list[Path] | None,
        typer.Option(
            "--reload",
            metavar="FOLDER",
            exists=True,
            file_okay=False,
            help="For writing a pack: serve the one in this folder, and load it again whenever a "
            "file of it is saved. May be given more than once.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start NATS, Postgres and the service here, and run until Ctrl-C.

    The data stays in the data directory and is there at the next start. With ZHIHUI_NATS_URL or
    ZHIHUI_POSTGRES_DSN set, that server is used and the embedded one is not started.
    """
    from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE

    if reload and any(os.environ.get(one) for one in (NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE)):
        raise bad_input(
            "--reload is for the servers that are started here, not for those that "
            f"{NATS_URL_VARIABLE} or {POSTGRES_DSN_VARIABLE} name"
        )
    run_async(lambda: _serve(data_dir, nodes, sandbox=sandbox, packs=reload or []))


async def _serve(data_dir: Path, nodes: int, *, sandbox: bool, packs: list[Path]) -> None:
    from functools import partial

    import anyio

    from zhihui.commands.plugin_reload import follow
    from zhihui.commands.signals import cancel_on_signal
    from zhihui.embedded.platform import running_platform
    from zhihui.errors import ungrouped
    from zhihui.instruments import TARGETS_VARIABLE
    from zhihui.sandbox import SANDBOX_VARIABLE

    with ungrouped():
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_on_signal, group.cancel_scope, lambda: _report("Stopping…"))
            settings = {SANDBOX_VARIABLE: "1"} if sandbox else {}
            if TARGETS_VARIABLE not in os.environ:
                settings[TARGETS_VARIABLE] = str(data_dir.absolute() / "metrics")
            async with running_platform(
                data_dir, nodes=nodes, settings=settings, report=_report
            ) as platform:
                _say_ready(data_dir)
                url = platform.servers.nats_url
                # Ends before the servers do: they are what it speaks with.
                async with anyio.create_task_group() as followers:
                    for folder in packs:
                        reload = partial(follow, nats_url=url, data_dir=data_dir, report=_report)
                        followers.start_soon(reload, folder)
                    await anyio.sleep_forever()
    output.print("Stopped; the data is kept.")


def _say_ready(data_dir: Path) -> None:
    output.print("[bold green]Ready.[/] Stop it with Ctrl-C. Try next, elsewhere:")
    option = "" if data_dir == DEFAULT_DATA_DIR else f" --data-dir {data_dir}"
    for line in (
        f"zhihui status{option}",
        f"zhihui call{option} {_FIRST_REQUEST}",
        f"zhihui audit{option}",
    ):
        _report(f"  {line}")


def _report(line: str) -> None:
    output.print(line, markup=False, highlight=False, soft_wrap=True)
