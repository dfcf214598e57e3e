"""The table of a run, and its verdict."""

from collections.abc import Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtest.adversity.backup import BackupReport
from loadtest.adversity.case import RECOVERY_S_MAX, CaseReport
from loadtest.machine import Machine

__all__ = ("AdversityReport", "print_backups", "print_report")


class AdversityReport(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of all runs."""

    machine: Machine
    nodes: int
    workers: int
    runs: int
    seconds: float
    cases: tuple[CaseReport, ...]

    @property
    def ok(self) -> bool:
        """Whether every case of every run holds."""
        return bool(self.cases) and all(case.ok for case in self.cases)


def print_report(report: AdversityReport, console: Console) -> None:
    """Print the faults, what became of the payments, and what did not hold."""
    machine = report.machine
    console.print(
        f"{len(report.cases)} faults in {report.seconds:.0f} s, {report.nodes} nodes, "
        f"{report.workers} callers at a time\n"
        f"{machine.cores} × {machine.processor}, load {machine.load_average:.1f} before",
        style="dim",
        highlight=False,
    )
    console.print(_table(report))
    for case in report.cases:
        for line in (case.problem, *(case.findings.examples if case.findings else ())):
            if line and not case.ok:
                console.print(f"[bold red]run {case.run}, {case.fault}:[/] {escape(line)}")
    found = [case.findings for case in report.cases if case.findings is not None]
    lost, doubled = sum(one.lost for one in found), sum(one.doubled for one in found)
    recoveries = [case.recovery_s for case in report.cases if case.recovery_s is not None]
    mark = "[green]ok[/]  " if report.ok else "[bold red]FAIL[/]"
    console.print(
        f"{mark} {sum(one.acknowledged for one in found):,} acknowledged, {lost} lost, {doubled} "
        f"doubled, {sum(one.hung for one in found)} hung; served again after "
        f"{max(recoveries, default=0.0):.1f} s at most, of {RECOVERY_S_MAX:g} allowed",
        highlight=False,
    )


def _table(report: AdversityReport) -> Table:
    table = Table(
        title="Faults under load; times in seconds, from the end of the fault",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    if report.runs > 1:
        table.add_column("run", justify="right")
    table.add_column("fault", no_wrap=True)
    for heading in (
        "lasted", "in flight", "acknowledged", "unknown", "done", "lost", "doubled", "hung",
        "served again", "caught up", "audit",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for case in report.cases:
        found = case.findings
        cells = (
            case.fault,
            f"{case.fault_s:.1f}",
            str(case.in_flight),
            *(
                (
                    f"{found.acknowledged:,}", f"{found.unknown:,}", f"{found.found:,}",
                    _bad(found.lost), _bad(found.doubled), _bad(found.hung),
                )
                if found
                else ("–",) * 6
            ),
            _recovery(case.recovery_s),
            "[bold red]never[/]" if case.caught_up_s is None else f"{case.caught_up_s:.1f}",
            "ok" if found and found.audit_ok else "[bold red]FAIL[/]",
        )  # fmt: skip
        table.add_row(*((str(case.run), *cells) if report.runs > 1 else cells))
    return table


def _bad(count: int) -> str:
    return f"[bold red]{count}[/]" if count else "0"


def _recovery(seconds: float | None) -> str:
    if seconds is None:
        return "[bold red]never[/]"
    late = seconds > RECOVERY_S_MAX
    return f"[bold red]{seconds:.1f}[/]" if late else f"{seconds:.1f}"


def print_backups(reports: Sequence[BackupReport], console: Console) -> None:
    """Print the times and the sizes, and whether anything is missing."""
    table = Table(title="Backups under load", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("with")
    for heading in ("payments", "MiB", "taken s", "restored s", "serving s", "missing", "audit"):
        table.add_column(heading, justify="right")
    for one in reports:
        table.add_row(
            one.way, f"{one.payments:,}", f"{one.bytes / 2**20:.1f}", f"{one.backup_s:.1f}",
            f"{one.restore_s:.1f}", f"{one.serving_s:.1f}",
            _bad(one.missing + one.unknown + one.differing),
            "ok" if one.audit_ok else "[bold red]FAIL[/]",
        )  # fmt: skip
    console.print(table)
    ok = bool(reports) and all(one.ok for one in reports)
    mark = "[green]ok[/]  " if ok else "[bold red]FAIL[/]"
    console.print(f"{mark} all that was acknowledged before a backup is in it, and nothing else")
