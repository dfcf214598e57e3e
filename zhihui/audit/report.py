"""What an audit found, and how a person reads it."""

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = (
    "AuditReport",
    "CheckResult",
    "Holding",
    "Offence",
    "Totals",
    "print_report",
)


class Offence(msgspec.Struct, frozen=True, kw_only=True):
    """A row that breaks a claim; ``row`` names it."""

    row: str
    account_id: str | None
    change_seq: int | None
    found: str
    expected: str


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check.

    ``rows`` is the number of rows it looked at, ``offending`` of those that break the claim;
    ``offences`` names the first of them.
    """

    name: str
    claim: str
    rows: int
    offending: int
    offences: tuple[Offence, ...]
    duration_s: float

    @property
    def ok(self) -> bool:
        """Tell whether the claim holds."""
        return self.offending == 0


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What all accounts of one type hold in one asset."""

    type: str
    asset: str
    accounts: int
    posted_minor: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of everything."""

    accounts: int
    payments: int
    deposits: int
    entries: int
    events: int
    documents: int
    dead_letters: int
    changes_committed: int
    changes_rejected: int
    holdings: tuple[Holding, ...]
    holds: int = 0


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """All checks over one snapshot of the database."""

    checks: tuple[CheckResult, ...]
    totals: Totals
    duration_s: float

    @property
    def ok(self) -> bool:
        """Tell whether every claim holds."""
        return all(check.ok for check in self.checks)


def print_report(report: AuditReport, console: Console) -> None:
    """Print the checks, the rows that offend and the totals."""
    console.print(_checks_table(report))
    for check in report.checks:
        if not check.ok:
            console.print(_offences_table(check))
    _print_totals(report.totals, console)
    failed = [check.name for check in report.checks if not check.ok]
    if failed:
        console.print(f"[bold red]The audit failed[/]: {', '.join(failed)}.")
    else:
        console.print(
            f"[bold green]The audit holds[/]: {len(report.checks)} checks "
            f"in {report.duration_s:.1f} s."
        )


def _checks_table(report: AuditReport) -> Table:
    table = Table(title="Ledger audit", title_justify="left")
    table.add_column("")
    table.add_column("claim", overflow="fold")
    table.add_column("rows", justify="right")
    table.add_column("offending", justify="right")
    table.add_column("seconds", justify="right")
    for check in report.checks:
        table.add_row(
            "[green]ok[/]" if check.ok else "[bold red]FAIL[/]",
            escape(check.claim),
            f"{check.rows:,}",
            f"{check.offending:,}",
            f"{check.duration_s:.2f}",
        )
    return table


def _offences_table(check: CheckResult) -> Table:
    table = Table(
        title=f"{check.name}: the first {len(check.offences)} of {check.offending:,} offending",
        title_justify="left",
    )
    for column in ("row", "account", "change", "found", "expected"):
        table.add_column(column, overflow="fold")
    for offence in check.offences:
        table.add_row(
            escape(offence.row),
            escape(offence.account_id or "–"),
            "–" if offence.change_seq is None else str(offence.change_seq),
            escape(offence.found),
            escape(offence.expected),
        )
    return table


def _print_totals(totals: Totals, console: Console) -> None:
    console.print(
        f"{totals.accounts:,} accounts, {totals.payments:,} payments, "
        f"{totals.deposits:,} deposits, {totals.holds:,} holds, {totals.entries:,} entries, "
        f"{totals.events:,} events; "
        f"changes: {totals.changes_committed:,} committed, {totals.changes_rejected:,} rejected; "
        f"{totals.dead_letters:,} dead letters"
    )
    table = Table(title="Holdings", title_justify="left")
    table.add_column("type")
    table.add_column("accounts", justify="right")
    table.add_column("posted", justify="right")
    for holding in totals.holdings:
        table.add_row(
            escape(holding.type),
            f"{holding.accounts:,}",
            f"{_major(holding.posted_minor)} {escape(holding.asset)}",
        )
    console.print(table)


def _major(amount_minor: int) -> str:
    sign = "-" if amount_minor < 0 else ""
    whole, rest = divmod(abs(amount_minor), 100)
    return f"{sign}{whole:,}.{rest:02}"
