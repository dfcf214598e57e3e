"""What the demo found, compared with the manifests, as tables for a person."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zhihui.demo.days.manifest import Figures
from zhihui.demo.days.result import DayResult
from zhihui.demo.tally import Tally

__all__ = (
    "SUMMARY_TITLE",
    "Outcomes",
    "print_figures",
    "print_outcomes",
    "print_speed",
    "print_summary",
)

SUMMARY_TITLE = "What came of all messages"

_PERCENTILES = (50.0, 90.0, 99.0)
_CAPTION = (
    "rejected: as the manifest expects, by its code; repeated: sent before, and answered the same, "
    "byte for byte; figures: balances, amounts held, statements and debts that are the manifest's"
)
# Figures that differ are shown up to this many; beyond it something is thoroughly wrong.
_SHOWN_MAX = 10
# The longest code of an error.
_CODE_COLUMNS = len("insufficient_funds")
# What is counted and not paid.
_COUNTS = ("statements",)


class Outcomes(Protocol):
    """A manifest's count of each outcome, by operation."""

    @property
    def outcomes(self) -> dict[str, dict[str, int]]:
        """The counts."""


def print_outcomes(
    console: Console, name: str, manifest: Outcomes, tallies: Sequence[Tally]
) -> bool:
    """Print by operation what came of a day's messages; tell if all is as the manifest says."""
    accepted: Counter[str] = Counter()
    repeated: Counter[str] = Counter()
    mismatched: Counter[str] = Counter()
    rejected: dict[str, Counter[str]] = {}
    got: dict[str, Counter[str]] = {}
    for tally in tallies:
        accepted += tally.accepted
        repeated += tally.repeated
        mismatched += tally.mismatched_in
        for sums, counts in ((got, tally.outcomes), (rejected, tally.rejected)):
            for operation, count in counts.items():
                sums.setdefault(operation, Counter()).update(count)
    table = _table(
        f"What came of the messages: {name}",
        "operation", "sent", "accepted", "repeated", "not as expected",
    )  # fmt: skip
    # Without lines between columns the longest of names and codes fit on 80 columns.
    table.box, table.show_edge, table.pad_edge = box.SIMPLE_HEAD, False, False
    table.padding = (0, 0)
    table.add_column("rejected as expected", min_width=_CODE_COLUMNS)
    for operation in sorted(got):
        codes = rejected.get(operation, Counter())
        counts_of = (got[operation].total(), accepted[operation], repeated[operation])
        table.add_row(
            # The day's own operations without its name, which leaves room on a narrow screen.
            escape(operation.removeprefix(name)),
            *(f"{count:,}" for count in counts_of),
            _wrong(mismatched[operation]),
            escape(", ".join(f"{code} {count:,}" for code, count in sorted(codes.items()))),
        )
    refused = sum(codes.total() for codes in rejected.values())
    messages = sum(counts.total() for counts in got.values())
    table.add_section()
    table.add_row(
        "all",
        *(f"{count:,}" for count in (messages, accepted.total(), repeated.total())),
        _wrong(mismatched.total()),
        f"{refused:,}",
    )
    console.print(table)
    differences = list(_differences(manifest.outcomes, got))
    for difference in differences:
        console.print(f"[bold red]mismatch[/] {escape(difference)}", highlight=False)
    for tally in tallies:
        _print_mismatches(console, tally)
    return not differences and not mismatched.total()


def _differences(
    expected: dict[str, dict[str, int]], got: dict[str, Counter[str]]
) -> Iterator[str]:
    """Yield where the counts are not the manifest's: messages too many or too few."""
    for operation in sorted({*expected, *got}):
        wanted, found = expected.get(operation, {}), got.get(operation, Counter())
        for outcome in sorted({*wanted, *found}):
            if (by_manifest := wanted.get(outcome, 0)) != found[outcome]:
                yield (
                    f"{operation}: {outcome} {found[outcome]:,} times, "
                    f"by the manifest {by_manifest:,}"
                )


def print_figures(console: Console, expected: Figures, found: Figures) -> bool:
    """Print how many balances and the like are the manifest's, and which are not."""
    agree = True
    right = []
    for what, them in expected.items():
        there = found.get(what, {})
        wrong = [name for name in {**them, **there} if them.get(name) != there.get(name)]
        agree = agree and not wrong
        right.append(f"{sum(name not in wrong for name in them):,} of {len(them):,} {what}")
        for name in wrong[:_SHOWN_MAX]:
            console.print(
                f"[bold red]mismatch[/] {escape(name)} among the {what}: "
                f"{_figure(what, there.get(name))}; by the manifest {_figure(what, them.get(name))}"
            )
        if len(wrong) > _SHOWN_MAX:
            console.print(f"[bold red]…and {len(wrong) - _SHOWN_MAX:,} more[/] of the {what}")
    console.print(
        f"{', '.join(right)} are the manifest's, to the fen.", highlight=False, soft_wrap=True
    )
    return agree


def print_speed(console: Console, tallies: Sequence[Tally]) -> None:
    """Print throughput, and latency as the outside client saw it."""
    ordered = sorted(latency for tally in tallies for latency in tally.latencies_s) or [0.0]
    latencies = ", ".join(
        f"p{percentile:g} {_at_percentile(ordered, percentile) * 1000:.1f} ms"
        for percentile in _PERCENTILES
    )
    done = sum(tally.done for tally in tallies)
    elapsed_s = sum(tally.elapsed_s for tally in tallies)
    sent_again = sum(tally.sent_again for tally in tallies)
    rate = done / elapsed_s if elapsed_s else 0.0
    again = f", {sent_again:,} sent again" if sent_again else ""
    console.print(
        f"{done:,} messages in {elapsed_s:.1f} s: {rate:,.0f}/s; "
        f"latency {latencies}, max {ordered[-1] * 1000:.1f} ms{again}",
        highlight=False,
        soft_wrap=True,
    )


def print_summary(console: Console, results: Sequence[DayResult]) -> None:
    """Print a row for each day that was played."""
    table = _table(
        SUMMARY_TITLE, "day", "messages", "accepted", "rejected", "repeated", "not as expected",
        "figures", "seconds",
    )  # fmt: skip
    table.add_column("")
    table.caption = _CAPTION
    table.caption_justify = "left"
    for one in results:
        counts = (one.messages, one.accepted, one.rejected, one.repeated)
        table.add_row(
            escape(one.name),
            *(f"{count:,}" for count in counts),
            _wrong(one.mismatched),
            f"{one.figures_right:,} of {one.figures:,}",
            f"{one.seconds:.1f}",
            "[green]ok[/]" if one.agree else "[bold red]FAIL[/]",
        )
    console.print(table)


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold", no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print_mismatches(console: Console, tally: Tally) -> None:
    for mismatch in tally.mismatches:
        line = mismatch.line
        sent = bytes.fromhex(line.raw_hex) if line.raw_hex is not None else bytes(line.body)
        console.print(
            f"  {mismatch.fault}, at {line.at} s: "
            f"{line.subject_tail} {sent.decode(errors='backslashreplace')}\n"
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


def _wrong(count: int) -> str:
    return f"[bold red]{count:,}[/]" if count else "0"


def _figure(what: str, figure: int | None) -> str:
    if figure is None:
        return "nothing"
    return f"{figure:,}" if what in _COUNTS else _yuan(figure)


def _yuan(amount_minor: int) -> str:
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}¥{abs(amount_minor) // 100:,}.{abs(amount_minor) % 100:02}"
