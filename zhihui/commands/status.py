"""``zhihui status``: what runs, whether it is ready, and what it has done."""

from pathlib import Path

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from zhihui.commands.addresses import nats_url_or_running, postgres_dsn_or_running
from zhihui.commands.console import DataDir, NatsUrl, PostgresDsn, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR
from zhihui.errors import SetupError

__all__ = ("status",)

# Every node on the bus answers at once; this is for those on another continent.
_DISCOVERY_S = 0.5

# Counting a few million rows takes half a second; more than this and the table says so instead.
_COUNT_TIMEOUT_S = 5.0

# Table → what a person calls its rows.
_COUNTED = {
    "account": "accounts",
    "payment": "payments",
    "deposit": "deposits",
    "entry": "entries",
    "event": "events",
    "dead_letter": "dead letters",
}


class _Endpoint(msgspec.Struct, frozen=True):
    num_requests: int = 0
    num_errors: int = 0


class _Node(msgspec.Struct, frozen=True):
    """What `$SRV.STATS` answers, as far as a person wants to see it."""

    id: str
    version: str = ""
    # An empty default is copied for each struct.
    metadata: dict[str, str] = {}
    endpoints: list[_Endpoint] = []

    @property
    def ready(self) -> bool:
        return self.metadata.get("ready", "true") == "true"


def status(
    nats_url: NatsUrl = "", postgres_dsn: PostgresDsn = "", data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Show whether the service is ready, its nodes, and how many rows it keeps.

    Exits with 0 when both servers answer, the schema is up to date and a node takes requests, else
    with 1.
    """
    if not run_async(lambda: _run(nats_url, postgres_dsn, data_dir)):
        raise typer.Exit(1)


async def _run(nats_url: str, postgres_dsn: str, data_dir: Path) -> bool:
    url = nats_url_or_running(nats_url, data_dir)
    dsn = postgres_dsn_or_running(postgres_dsn, data_dir)
    table = Table(show_header=False)
    for column in ("what", "state", "detail"):
        table.add_column(column, overflow="fold")
    # Both are always shown: when one is down, whether the other is matters most.
    postgres_ready = await _show_postgres(table, dsn)
    nats_ready = await _show_nats(table, url)
    output.print(table)
    return postgres_ready and nats_ready


async def _show_postgres(table: Table, dsn: str) -> bool:
    from zhihui.embedded.servers import check_postgres, without_password
    from zhihui.migrate import pending_revisions

    try:
        await check_postgres(dsn)
        pending = await pending_revisions(dsn)
    except SetupError as error:
        table.add_row("Postgres", "[bold red]down[/]", escape(str(error)))
        return False
    table.add_row("Postgres", "[green]up[/]", escape(without_password(dsn)))
    if pending:
        table.add_row("Schema", "[bold red]behind[/]", "run `zhihui migrate`")
        return False
    table.add_row("Schema", "[green]up to date[/]", "")
    for name, count in (await _count_rows(dsn)).items():
        table.add_row(f"  {name}", f"{count:,}" if count is not None else "many", "")
    return True


async def _count_rows(dsn: str) -> dict[str, int | None]:
    import asyncpg

    counts: dict[str, int | None] = {}
    connection = await asyncpg.connect(dsn, timeout=_COUNT_TIMEOUT_S)
    try:
        for table, name in _COUNTED.items():
            try:
                counts[name] = await connection.fetchval(
                    f"SELECT count(*) FROM zhihui.{table}",  # noqa: S608 - our own names
                    timeout=_COUNT_TIMEOUT_S,
                )
            except TimeoutError:
                counts[name] = None
    finally:
        await connection.close()
    return counts


async def _show_nats(table: Table, url: str) -> bool:
    from zhihui.embedded.servers import check_nats, without_password

    try:
        await check_nats(url)
    except SetupError as error:
        table.add_row("NATS", "[bold red]down[/]", escape(str(error)))
        return False
    table.add_row("NATS", "[green]up[/]", escape(without_password(url)))
    nodes = await _discover(url)
    for node in nodes:
        requests = sum(endpoint.num_requests for endpoint in node.endpoints)
        failures = sum(endpoint.num_errors for endpoint in node.endpoints)
        table.add_row(
            f"Node {escape(node.metadata.get('node', node.id))}",
            "[green]ready[/]" if node.ready else "[bold red]not ready[/]",
            f"version {escape(node.version)}, {requests:,} requests, {failures:,} errors",
        )
    if not nodes:
        table.add_row("Nodes", "[bold red]none[/]", "no node takes requests; see `zhihui up`")
    return any(node.ready for node in nodes)


async def _discover(url: str) -> list[_Node]:
    import anyio
    import nats

    answers: list[bytes] = []
    # The server has answered a moment ago, so this does not hang.
    client = await nats.connect(url, allow_reconnect=False)
    try:
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox)
        await client.publish("$SRV.STATS.zhihui", b"", reply=inbox)
        with anyio.move_on_after(_DISCOVERY_S):
            async for message in subscription.messages:
                answers.append(message.data)  # noqa: PERF401 - kept when the time is up
    finally:
        await client.close()
    found: list[_Node] = []
    for answer in answers:
        try:
            found.append(msgspec.json.decode(answer, type=_Node))
        except msgspec.MsgspecError:
            # An error reply of NATS itself when nobody listens has an empty body.
            continue
    return sorted(found, key=lambda node: node.id)
