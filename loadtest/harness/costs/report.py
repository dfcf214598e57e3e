"""What a request costs, as people read it."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from loadtest.harness.costs.observer import PhaseCost, cost_of
from loadtest.harness.result import RunResult

__all__ = ("cost_rows", "print_costs")


def print_costs(result: RunResult, console: Console) -> None:
    """Print a column for each measured phase, and what was at its limit; nothing if not known."""
    phases = cost_of(result)
    if not phases:
        return
    table = Table(title="Each request that was ok cost", title_justify="left")
    table.add_column("")
    for one in phases:
        table.add_column(one.phase, justify="right")
    for label, values in cost_rows(phases):
        table.add_row(label, *values)
    console.print(table)
    for one in phases:
        console.print(f"{one.phase}: {one.usage.sentence()}", highlight=False, soft_wrap=True)


def cost_rows(phases: Sequence[PhaseCost]) -> list[tuple[str, list[str]]]:
    """Return the rows of a table: a label, and a text for each phase, – for what is not known."""
    costs = [one.cost for one in phases]
    rows: dict[str, list[float | None]] = {
        "CPU of the service, µs": [one.cpu_us.service for one in costs],
        "CPU of Postgres, µs": [one.cpu_us.postgres for one in costs],
        "CPU of NATS, µs": [one.cpu_us.nats for one in costs],
        "CPU of the generator, µs": [one.cpu_us.generator for one in costs],
        "write-ahead log, bytes": [one.wal_bytes for one in costs],
        "flushes of the log": [one.wal_fsyncs for one in costs],
        "statements": [one.statements for one in costs],
        "transactions": [one.transactions for one in costs],
        "bytes to and from NATS": [one.nats_wire_bytes for one in costs],
        "bytes to and from Postgres": [one.postgres_wire_bytes for one in costs],
    }
    return [(label, [_number(value) for value in values]) for label, values in rows.items()]


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    # Shares of one, such as flushes that many requests have in common, need their decimals.
    return f"{value:,.3f}" if value < 10 else f"{value:,.0f}"
