"""A comparison as people read it."""

from rich.console import Console
from rich.table import Table

from loadtest.harness.compare.runner import ComparisonReport
from loadtest.harness.compare.verdict import FigureVerdict

__all__ = ("print_comparison",)

_COLOURS = {"faster": "green", "slower": "red", "no difference": "bold", "not measured": "dim"}


def print_comparison(report: ComparisonReport, console: Console) -> None:
    """Print the table of all figures, and the verdict on the primary one."""
    comparison = report.comparison
    table = Table(
        title=f"A is {comparison.a}, B is {comparison.b}: {comparison.pairs} pairs in turns",
        title_justify="left",
    )
    for heading in ("", "A, median", "B, median", "B / A", "interval", "B is"):
        table.add_column(heading, justify="left" if heading in ("", "B is") else "right")
    for one in comparison.figures:
        table.add_row(*_row(one))
    console.print(table)
    for text in report.violated[:3]:
        console.print(f"[bold red]books wrong[/] {text}", highlight=False, soft_wrap=True)
    for text in report.invalid[:3]:
        console.print(f"[bold yellow]invalid[/] {text}", highlight=False, soft_wrap=True)
    primary = next(one for one in comparison.figures if one.figure.name == comparison.primary)
    colour = _COLOURS[primary.difference]
    said = f"By {primary.figure.name}, B is: [{colour}]{primary.difference}[/]"
    if primary.interval is not None:
        said += (
            f", by {primary.interval.ratio - 1:+.1%}, with {primary.interval.confidence:.0%} "
            f"confidence between {primary.interval.low - 1:+.1%} and "
            f"{primary.interval.high - 1:+.1%}"
        )
    console.print(said, highlight=False, soft_wrap=True)
    if primary.difference == "no difference" and primary.visible is not None:
        console.print(
            f"A difference of less than {primary.visible:.1%} would not have been seen; more pairs "
            "see more.",
            highlight=False,
            soft_wrap=True,
        )


def _row(one: FigureVerdict) -> tuple[str, ...]:
    interval = one.interval
    return (
        f"{one.figure.name}, {one.figure.unit}",
        f"{one.a_median:,.2f}",
        f"{one.b_median:,.2f}",
        "–" if interval is None else f"{interval.ratio:.3f}",
        "–" if interval is None else f"{interval.low:.3f} … {interval.high:.3f}",
        f"[{_COLOURS[one.difference]}]{one.difference}[/]",
    )
