"""``zhihui node``: one node of the service on given servers."""

import logging
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from zhihui.commands.addresses import nats_url_or_running, postgres_dsn_or_running
from zhihui.commands.console import DataDir, NatsUrl, PostgresDsn, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

__all__ = ("node",)


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
) -> None:
    """Run one node of the service on servers that are there.

    All nodes on the same servers share the work: start as many as wanted, stop any at any time.
    It writes one line of JSON to its output when it takes requests, and its log to its error
    output; SIGTERM ends it in order. `zhihui up` runs this for you.
    """
    _begin_log()
    run_async(lambda: _run(name or _own_name(), nats_url, postgres_dsn, data_dir))


def _own_name() -> str:
    from zhihui.embedded.platform import host_token

    return f"{host_token()}-{os.getpid()}"


def _begin_log() -> None:
    """Write the log to the error output, each line with its time in UTC, level and origin."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


async def _run(name: str, nats_url: str, postgres_dsn: str, data_dir: Path) -> None:
    import anyio

    from schemas.errors import ZhihuiError
    from zhihui.access.settings import operator_security
    from zhihui.commands.signals import cancel_on_signal
    from zhihui.errors import NodeFailed, ungrouped
    from zhihui.node import NodeConfig, run_node

    url = nats_url_or_running(nats_url, data_dir)
    config = NodeConfig(
        name=name,
        nats_url=url,
        nats_security=operator_security(url),
        postgres_dsn=postgres_dsn_or_running(postgres_dsn, data_dir),
        settings={name: value for name, value in os.environ.items() if name.startswith("ZHIHUI_")},
    )
    try:
        with ungrouped():
            async with anyio.create_task_group() as group:
                group.start_soon(cancel_on_signal, group.cancel_scope)
                await run_node(config)
    except ZhihuiError as error:
        raise NodeFailed(f"node {name} ended: {error.message} ({error.code})") from error
