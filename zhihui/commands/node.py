"""``zhihui node``: one node of the service on given servers."""

import os
from pathlib import Path
from typing import Annotated

import typer

from zhihui.commands.addresses import nats_url_or_running, postgres_dsn_or_running
from zhihui.commands.console import DataDir, NatsUrl, PostgresDsn, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

__all__ = ("begin_log", "node")


def node(
    name: Annotated[
        str,
        typer.Option(
            help="Name of the node, unique among those on the same servers: a node that starts "
            "under the name of another replaces it. By default made of the host's name and the "
            "process id.",
            show_default=False,
        ),
    ] = "",
    nats_url: NatsUrl = "",
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    metrics: Annotated[
        str,
        typer.Option(
            envvar="ZHIHUI_METRICS",
            help="Where metrics and health are served over HTTP: HOST:PORT, port 0 for any that "
            "is free, HOST:FIRST-LAST for the first that is, or `off`.",
        ),
    ] = "127.0.0.1:0",
    log: Annotated[
        str,
        typer.Option(envvar="ZHIHUI_LOG", help="The form of the log: `json` lines or `text`."),
    ] = "json",
) -> None:
    """Run one node of the service on servers that are there.

    All nodes on the same servers share the work: start as many as wanted, stop any at any time.
    It writes one line of JSON to its output when it takes requests, and its log to its error
    output; SIGTERM ends it in order. `zhihui up` runs this for you.
    """
    name = name or _own_name()
    begin_log(log, node=name)
    run_async(lambda: _run(name, nats_url, postgres_dsn, data_dir, metrics))


def _own_name() -> str:
    from zhihui.embedded.platform import host_token

    return f"{host_token()}-{os.getpid()}"


def begin_log(form: str = "json", *, node: str = "") -> None:
    """Write the log to the error output in the form that a setting names."""
    from zhihui.instruments import logs

    logs.begin_log(logs.log_form(form), node=node)


async def _run(name: str, nats_url: str, postgres_dsn: str, data_dir: Path, metrics: str) -> None:
    import anyio

    from schemas.errors import ZhihuiError
    from zhihui.access.settings import operator_security
    from zhihui.commands.signals import cancel_on_signal
    from zhihui.errors import NodeFailed, ungrouped
    from zhihui.instruments import TARGETS_VARIABLE, InstrumentsConfig
    from zhihui.node import NodeConfig, run_node

    url = nats_url_or_running(nats_url, data_dir)
    config = NodeConfig(
        name=name,
        nats_url=url,
        nats_security=operator_security(url),
        postgres_dsn=postgres_dsn_or_running(postgres_dsn, data_dir),
        settings={name: value for name, value in os.environ.items() if name.startswith("ZHIHUI_")},
    )
    instruments = InstrumentsConfig(address=metrics, targets=os.environ.get(TARGETS_VARIABLE, ""))
    try:
        with ungrouped():
            async with anyio.create_task_group() as group:
                group.start_soon(cancel_on_signal, group.cancel_scope)
                await run_node(config, instruments=instruments)
    except ZhihuiError as error:
        raise NodeFailed(f"node {name} ended: {error.message} ({error.code})") from error
