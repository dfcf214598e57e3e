"""A search as people read it."""

from rich.console import Console
from rich.table import Table

from loadtest.harness.search.runner import SearchReport, Try

__all__ = ("print_search", "print_try")

_WORDS = {
    "held": "[green]held[/]",
    "failed": "[yellow]failed[/]",
    "unfit": "[magenta]generator[/]",
    "violated": "[bold red]books wrong[/]",
}


def print_try(tried: Try, console: Console) -> None:
    """Print one line about a try as soon as it is over."""
    console.print(
        f"{tried.stage:8} {tried.rate:>10,.0f}/s  {_WORDS[tried.outcome]}  "
        f"p50 {_ms(tried.p50_ms)}, p99 {_ms(tried.p99_ms)}, lag p99 {_ms(tried.lag_p99_ms)}"
        + (f"  [dim]{tried.why}[/]" if tried.why else ""),
        highlight=False,
        soft_wrap=True,
    )


def print_search(report: SearchReport, console: Console) -> None:
    """Print what was found, what set the limit, and what it used of everything."""
    search = report.search
    objective = " and ".join(report.objective)
    if search.rate is None:
        found = {
            "violated": "[bold red]The books are wrong[/]: no rate is worth naming",
            "nothing": f"[bold]No rate[/] met {objective}",
        }.get(search.ended, f"[bold]No rate[/] was confirmed to meet {objective}")
    else:
        found = f"[bold]{search.rate:,.0f} a second[/] meet {objective}"
    console.print(found, highlight=False, soft_wrap=True)
    if search.ended == "generator":
        console.print(
            "The generator could not make more: the service may hold a higher rate. Use more "
            "--processes, or another machine for it.",
            highlight=False,
            soft_wrap=True,
        )
    elif search.ended == "ceiling":
        console.print("It is the highest that was asked for: raise --ceiling.", highlight=False)
    console.print(f"Limit: {report.limit}", highlight=False, soft_wrap=True)
    if report.knee is not None:
        console.print(
            f"Knee of the curve: {report.knee.rate:,.0f}/s, p99 {report.knee.p99_ms:.1f} ms",
            highlight=False,
        )
    _print_usage(report, console)


def _print_usage(report: SearchReport, console: Console) -> None:
    confirmed = [one for one in report.tries if one.rate == report.search.rate and one.usage]
    failed = [one for one in report.tries if one.rate == report.search.failed_rate and one.usage]
    columns = [(f"{one.rate:,.0f}/s", one.usage) for one in (*confirmed[-1:], *failed[:1])]
    if not columns:
        return
    table = Table(title="What was used of everything", title_justify="left")
    table.add_column("")
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    shares = [
        {one.name: one.share for one in usage.resources} if usage else {} for _, usage in columns
    ]
    details = {one.name: one.detail for _, usage in columns if usage for one in usage.resources}
    for name, detail in details.items():
        table.add_row(detail, *(f"{found[name]:.0%}" if name in found else "–" for found in shares))
    console.print(table)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"
