"""What the demo found, compared with the manifest, as tables for a person."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zhihui.demo.books import Books
from zhihui.demo.day import Manifest
from zhihui.demo.driver import Tally

__all__ = ("Outcomes", "print_balances", "print_books", "print_outcomes", "print_speed")

_PERCENTILES = (50.0, 90.0, 99.0)


class Outcomes(Protocol):
    """A manifest's count of each outcome, by operation."""

    @property
    def outcomes(self) -> dict[str, dict[str, int]]:
        """The counts."""


def print_outcomes(console: Console, manifest: Outcomes, tallies: Sequence[Tally]) -> bool:
    """Print the count of each outcome beside the manifest's; return whether all agree."""
    got: dict[str, dict[str, int]] = {}
    mismatched = 0
    table = Table(title="Outcomes", title_justify="left")
    for column in ("operation", "outcome"):
        table.add_column(column)
    for column in ("manifest", "got"):
        table.add_column(column, justify="right")
    table.add_column("")
    for tally in tallies:
        mismatched += tally.mismatched
        for operation, counts in tally.outcomes.items():
            sums = got.setdefault(operation, {})
            for outcome, count in counts.items():
                sums[outcome] = sums.get(outcome, 0) + count
    agree = mismatched == 0
    for operation in sorted({*manifest.outcomes, *got}):
        expected, found = manifest.outcomes.get(operation, {}), got.get(operation, {})
        shown = escape(operation)
        for outcome in sorted({*expected, *found}):
            same = expected.get(outcome, 0) == found.get(outcome, 0)
            agree = agree and same
            both = (f"{side.get(outcome, 0):,}" for side in (expected, found))
            table.add_row(shown, escape(outcome), *both, _mark(same))
            shown = ""
    console.print(table)
    if mismatched:
        console.print(f"[bold red]{mismatched:,} messages had another outcome than expected[/]:")
        for tally in tallies:
            _print_mismatches(console, tally)
    return agree


def print_speed(console: Console, setup: Tally, day: Tally) -> None:
    """Print throughput, and latency as the outside client saw it."""
    for name, tally in (("Setup", setup), ("Day", day)):
        ordered = sorted(tally.latencies_s) or [0.0]
        latencies = ", ".join(
            f"p{percentile:g} {_at_percentile(ordered, percentile) * 1000:.1f} ms"
            for percentile in _PERCENTILES
        )
        rate = tally.done / tally.elapsed_s if tally.elapsed_s else 0.0
        again = f", {tally.sent_again:,} sent again" if tally.sent_again else ""
        console.print(
            f"{name:<6} {tally.done:,} messages in {tally.elapsed_s:.1f} s: {rate:,.0f}/s; "
            f"latency {latencies}, max {ordered[-1] * 1000:.1f} ms{again}",
            highlight=False,
            soft_wrap=True,
        )


def print_books(console: Console, manifest: Manifest, books: Books) -> bool:
    """Print what operators have and what cars owe beside the manifest's; tell if all agree."""
    table = Table(title="Operators at the end of the day", title_justify="left")
    table.add_column("lot", no_wrap=True)
    for column in ("balance: manifest", "got", "payments: manifest", "got"):
        table.add_column(column, justify="right")
    table.add_column("")
    agree = True
    for lot, totals in manifest.lots.items():
        found = books.lots[lot]
        same = (found.balance_minor, found.entries) == (totals.balance_minor, totals.payments)
        agree = agree and same
        table.add_row(
            escape(lot),
            _yuan(totals.balance_minor),
            _yuan(found.balance_minor),
            f"{totals.payments:,}",
            f"{found.entries:,}",
            _mark(same),
        )
    owed = sum(books.arrears.values())
    same = books.arrears == manifest.arrears
    payments = sum(found.entries for found in books.lots.values())
    table.add_section()
    table.add_row(
        f"owed by {len(manifest.arrears):,} cars",
        _yuan(manifest.arrears_minor),
        _yuan(owed),
        f"{manifest.payments:,}",
        f"{payments:,}",
        _mark(same),
    )
    console.print(table)
    return agree and same and payments == manifest.payments


def print_balances(
    console: Console, expected: Mapping[str, int], found: Mapping[str, int | None]
) -> bool:
    """Print what accounts have beside the plain model's figure; tell if all agree."""
    wrong = [name for name, amount in expected.items() if found[name] != amount]
    for name in wrong:
        got = found[name]
        shown = "no such account" if got is None else _yuan(got)
        console.print(
            f"[bold red]{escape(name)}[/] has {shown}; by the manifest {_yuan(expected[name])}"
        )
    right = len(expected) - len(wrong)
    console.print(
        f"{right:,} of {len(expected):,} balances are the manifest's, to the fen.",
        highlight=False,
    )
    return not wrong


def _print_mismatches(console: Console, tally: Tally) -> None:
    for mismatch in tally.mismatches:
        line = mismatch.line
        sent = bytes.fromhex(line.raw_hex) if line.raw_hex is not None else bytes(line.body)
        console.print(
            f"  at {line.at} s, {line.subject_tail} {sent.decode(errors='backslashreplace')}\n"
            f"    expected {line.expect} {line.expect_result or ''}\n"
            f"    got {mismatch.outcome} {mismatch.reply}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _at_percentile(ordered: list[float], percentile: float) -> float:
    # Nearest rank: a latency that some message really had.
    rank = -(-len(ordered) * percentile // 100)
    return ordered[max(int(rank) - 1, 0)]


def _mark(same: bool) -> str:
    return "[green]ok[/]" if same else "[bold red]mismatch[/]"


def _yuan(amount_minor: int) -> str:
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}¥{abs(amount_minor) // 100:,}.{abs(amount_minor) % 100:02}"
