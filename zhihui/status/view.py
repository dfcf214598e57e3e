"""The report as a person reads it."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from zhihui.status.report import Lag, NodeState, PartitionRange, Report, ServerState

__all__ = ("render",)

# Table → what a person calls its rows.
_ROWS = {
    "account": "accounts",
    "payment": "payments",
    "deposit": "deposits",
    "hold": "holds",
    "entry": "entries",
    "event": "events",
    "dead_letter": "dead letters",
}


def render(report: Report, *, warnings_first: bool = False) -> RenderableType:
    """Return the report as tables. What is off is at the end, or at the top of a screen."""
    parts: list[RenderableType] = [_servers(report)]
    if report.nodes:
        parts.append(_nodes(report.nodes))
    if report.partitions:
        parts.append(_partitions(report.partitions))
    if report.lag is not None:
        parts.append(_lag(report.lag))
    warnings = [f"[bold yellow]Warning[/] {escape(warning)}" for warning in report.warnings]
    return Group(*warnings, *parts) if warnings_first else Group(*parts, *warnings)


def _servers(report: Report) -> Table:
    table = Table(show_header=False)
    for column in ("what", "state", "detail"):
        table.add_column(column, overflow="fold")
    _server_row(table, "Postgres", report.postgres)
    if not report.postgres.problem:
        if report.schema_pending:
            table.add_row("Schema", "[bold red]behind[/]", "run `zhihui migrate`")
        else:
            table.add_row("Schema", "[green]up to date[/]", "")
    if report.rows:
        counts = (
            f"{f'{count:,}' if count is not None else 'many'} {_ROWS.get(name, name)}"
            for name, count in report.rows.items()
        )
        table.add_row("Rows", "", ", ".join(counts))
    _server_row(table, "NATS", report.nats)
    if not report.nats.problem and not any(node.answers for node in report.nodes):
        table.add_row("Nodes", "[bold red]none[/]", "no node takes requests; see `zhihui up`")
    return table


def _server_row(table: Table, name: str, server: ServerState) -> None:
    if server.problem:
        table.add_row(name, "[bold red]down[/]", escape(server.problem))
    else:
        table.add_row(name, "[green]up[/]", escape(server.address))


def _nodes(nodes: tuple[NodeState, ...]) -> Table:
    table = Table(title="Nodes", title_justify="left")
    for column in ("node", "state", "version"):
        table.add_column(column, overflow="fold")
    for column in ("partitions", "epochs", "requests", "errors", "in flight"):
        table.add_column(column, justify="right", overflow="fold")
    table.add_column("waiting", overflow="fold")
    for node in nodes:
        waiting = (f"{box.kind} {box.waiting:,}/{box.capacity:,}" for box in node.mailboxes)
        table.add_row(
            escape(node.name),
            _state(node),
            escape(node.version),
            str(node.partitions),
            _span(node.epoch_min, node.epoch_max) if node.partitions else "",
            f"{node.requests:,}",
            f"{node.errors:,}",
            f"{node.in_flight:,}",
            escape(", ".join(waiting)),
        )
    return table


def _state(node: NodeState) -> str:
    if not node.answers:
        return "[bold red]silent[/]"
    if node.leaving:
        return "[yellow]leaving[/]"
    return "[green]ready[/]" if node.ready else "[bold red]not ready[/]"


def _partitions(partitions: tuple[PartitionRange, ...]) -> Table:
    table = Table(title="Partitions", title_justify="left")
    table.add_column("owner", overflow="fold")
    table.add_column("which", overflow="fold")
    table.add_column("epochs", justify="right")
    table.add_column("lease left", justify="right")
    for owner in sorted({one.owner for one in partitions}):
        ranges = [one for one in partitions if one.owner == owner]
        table.add_row(
            escape(owner) or "[bold red]nobody[/]",
            ", ".join(_span(one.first, one.last) for one in ranges),
            _span(min(one.epoch_min for one in ranges), max(one.epoch_max for one in ranges)),
            f"{min(one.lease_left_s for one in ranges):.1f} s" if owner else "",
        )
    return table


def _lag(lag: Lag) -> Table:
    table = Table(title="Waiting", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("how many", justify="right")
    table.add_row("events to be relayed", f"{lag.events_waiting:,}")
    overdue = f", the oldest by {lag.timers_overdue_s:,.1f} s" if lag.timers_overdue else ""
    table.add_row("timers overdue", f"{lag.timers_overdue:,}{overdue}")
    if lag.intake_waiting is not None:
        table.add_row("messages in the intake", f"{lag.intake_waiting:,}")
    table.add_row("dead letters", f"{lag.dead_letters:,}")
    return table


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"
