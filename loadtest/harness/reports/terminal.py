"""A run in the terminal: a table that renews itself, or plain lines where it cannot."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.harness.control import Observer, RunControl, RunSnapshot
from loadtest.harness.model import PhaseMark, Sample
from loadtest.harness.reports.so_far import judge_so_far
from loadtest.harness.reports.words import (
    clock,
    count,
    error_share,
    headline,
    lacking,
    load_of,
    measured,
    milliseconds,
    rate,
    reasons,
    verdict_kind,
)
from loadtest.harness.result import (
    PERCENTS,
    InvariantVerdict,
    Latency,
    NameStatistics,
    RunResult,
    ThresholdVerdict,
)

__all__ = ("LiveTerminal", "print_result")

# A screen has some forty lines, and the table shares them with the rest.
_NAMES_MAX = 20
# From so many columns on there is room for all figures.
_WIDE = 110
_NARROW = ["ok/s", "errors", "p50", "p99"]

# The audit alone has some thirty.
_HOLD_MAX = 5

# Plain lines are read in logs, where one a second would drown the rest.
_LINE_EVERY_S = 10.0

_COLOURS = {"good": "green", "bad": "bold red", "warn": "yellow"}
_MISSED = Text("too few", style="dim italic")


class LiveTerminal(Observer):
    """Shows a run on a console from :meth:`start` to :meth:`stop`.

    On a terminal, a table and a bar that renew themselves; elsewhere a line now and then, and one
    for each phase.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._control: RunControl | None = None
        self._live: Live | None = None
        self._last: Sample | None = None
        self._next_line_s = 0.0

    def start(self) -> None:
        """Begin to show; before the run, it says that it waits for the generators."""
        if self._console.is_terminal:
            # It is renewed by the run, once a second, and needs no thread for that.
            self._live = Live(
                Text("Connecting the generators…", style="dim"),
                console=self._console,
                auto_refresh=False,
                transient=True,
            )
            self._live.start(refresh=True)

    def stop(self) -> None:
        """End the display, and leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    async def on_start(self, control: RunControl) -> None:
        """Show what is about to run."""
        self._control = control
        if self._live is None:
            self._line(f"run {control.run_id}: {control.plan.scenario}, {load_of(control.plan)}")
        self._renew()

    async def on_phase(self, mark: PhaseMark) -> None:
        """Show that a phase begins."""
        if self._live is None:
            part = "" if mark.measured else ", not measured"
            self._line(f"{clock(mark.start_s)} phase {mark.name}{part}")
        self._renew()

    async def on_interval(self, sample: Sample) -> None:
        """Show a second."""
        self._last = sample
        if self._live is None and sample.start_s + sample.seconds >= self._next_line_s:
            self._next_line_s = sample.start_s + sample.seconds + _LINE_EVERY_S
            self._line(_sample_line(sample))
        self._renew()

    async def on_end(self, result: RunResult) -> None:
        """End the display; the result is printed by who has it."""
        self.stop()

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _renew(self) -> None:
        if self._live is None or self._control is None:
            return
        snapshot = self._control.snapshot()
        screen = _screen(self._control, snapshot, self._last, width=self._console.width)
        self._live.update(screen, refresh=True)


def _sample_line(sample: Sample) -> str:
    counts = sample.counts()
    total = [one for one in sample.names if one.response.count]
    slowest = max((one.response.percentile_ms(99) for one in total), default=None)
    target = "" if sample.target_rate is None else f" of {rate(sample.target_rate)}"
    return (
        f"{clock(sample.start_s + sample.seconds)} {sample.phase}: "
        f"{rate(counts.ok / sample.seconds)} ok{target}, {count(counts.rejected)} rejected, "
        f"{count(counts.errors)} errors, {count(counts.dropped)} dropped, "
        f"{count(sample.in_flight)} under way, slowest name's p99 {milliseconds(slowest)}"
    )


def _screen(
    control: RunControl, snapshot: RunSnapshot, last: Sample | None, *, width: int
) -> RenderableType:
    plan = control.plan
    head = Table.grid(expand=True)
    head.add_column(ratio=1)
    head.add_column(justify="right")
    part = "" if snapshot.measured or snapshot.state != "running" else " [dim](not measured)[/]"
    head.add_row(
        f"[bold]{escape(plan.scenario)}[/] [dim]run {escape(control.run_id)}[/]",
        f"{snapshot.state} {escape(snapshot.phase)}{part}",
    )
    parts: list[RenderableType] = [head, _progress(control, snapshot), _now(snapshot, last)]
    parts.append(_names_table([*snapshot.names[:_NAMES_MAX], snapshot.total], width=width))
    if len(snapshot.names) > _NAMES_MAX:
        parts.append(Text(f"and {len(snapshot.names) - _NAMES_MAX} more names", style="dim"))
    if judged := judge_so_far(plan, snapshot):
        parts.append(
            Text("so far: ", style="dim").append_text(Text().join(map(_threshold, judged)))
        )
    parts.append(Text("Ctrl-C ends the load and reports", style="dim"))
    return Group(*parts)


def _progress(control: RunControl, snapshot: RunSnapshot) -> RenderableType:
    duration_s = control.plan.duration_s
    row = Table.grid(expand=True, padding=(0, 1))
    if duration_s is None:
        row.add_column()
        row.add_row(f"{clock(snapshot.elapsed_s)}, until it is stopped")
        return row
    planned_s = duration_s + (control.plan.warmup_s or 0.0)
    row.add_column(ratio=1)
    row.add_column(justify="right")
    row.add_row(
        ProgressBar(total=planned_s, completed=min(snapshot.elapsed_s, planned_s)),
        f"{clock(snapshot.elapsed_s)} of {clock(planned_s)}",
    )
    return row


def _now(snapshot: RunSnapshot, last: Sample | None) -> RenderableType:
    if last is None:
        return Text("The first second has not come yet.", style="dim")
    counts = last.counts()
    target = "" if last.target_rate is None else f" of {rate(last.target_rate)} asked for"
    users = f", {count(last.users)} users" if last.users else ""
    return Text(
        f"last second: {rate(counts.ok / last.seconds)} ok{target}{users}, "
        f"{count(last.in_flight)} under way, {count(counts.dropped)} dropped, generator "
        f"{last.generator.cpu_share:.0%} of a core"
    )


def _names_table(lines: Sequence[NameStatistics], *, width: int) -> Table:
    wide = width >= _WIDE
    table = Table(expand=True, box=None, pad_edge=False, header_style="bold dim")
    table.add_column("measured so far", overflow="ellipsis", no_wrap=True, ratio=1)
    headings = ["sent", "ok/s", "errors", "p50", "p95", "p99", "max"] if wide else _NARROW
    for heading in (*headings, "service p99", "lag p99"):
        table.add_column(heading, justify="right", no_wrap=wide)
    for index, one in enumerate(lines):
        is_total = index == len(lines) - 1
        cells = {
            "sent": count(one.counts.sent),
            "ok/s": rate(one.per_second).removesuffix("/s"),
            "errors": error_share(one.counts),
            "p50": _time(one.response, 50.0),
            "p95": _time(one.response, 95.0),
            "p99": _time(one.response, 99.0),
            "max": milliseconds(one.response.max_ms),
        }
        table.add_row(
            "all" if is_total else escape(one.name),
            *(cells[heading] for heading in headings),
            _time(one.service, 99.0),
            _time(one.lag, 99.0),
            style="bold" if is_total else "",
        )
    return table


def _time(latency: Latency, percent: float) -> Text | str:
    if latency.count and lacking(latency, percent):
        return _MISSED
    return milliseconds(latency.percentile_ms(percent))


def _threshold(one: ThresholdVerdict) -> Text:
    mark, style = ("✓", "green") if one.ok else ("✗", "bold red")
    if one.value is None:
        mark, style = "?", "yellow"
    return Text(f"{mark} {one.expression} ({measured(one)})  ", style=style)


def print_result(result: RunResult, console: Console) -> None:
    """Print a finished run: the figures, what was judged, and the verdict last."""
    counts = result.flow.counts
    console.print(
        f"{clock(result.measured_s)} measured after {clock(result.warmup_s)} of warm-up, "
        f"{rate(result.total.per_second)} ok",
        highlight=False,
    )
    console.print(_times_table(result, width=console.width))
    if any(one.ms is None for one in result.total.response.percentiles):
        console.print(Text("too few: insufficient samples for that percentile", style="dim"))
    mark = "✓" if result.flow.ok else "✗"
    console.print(
        f"{mark} flow: {count(counts.scheduled)} scheduled = {count(counts.sent)} sent + "
        f"{count(counts.dropped)} dropped; sent = {count(counts.ok)} ok + "
        f"{count(counts.rejected)} rejected + {count(counts.failed)} failed + "
        f"{count(counts.timed_out)} timed out + {count(counts.unknown)} unknown",
        style="" if result.flow.ok else "bold red",
        highlight=False,
    )
    for threshold in result.thresholds:
        console.print(_threshold(threshold))
    _print_invariants(result.invariants, console)
    for note in result.notes:
        console.print(Text(note, style="dim"))
    kind = _COLOURS[verdict_kind(result.exit_code)]
    console.print(
        f"[{kind}]{headline(result.exit_code)}[/] (exit code {result.exit_code})", highlight=False
    )
    for reason in reasons(result):
        console.print(Text(f"  {reason}"))


def _print_invariants(judged: Sequence[InvariantVerdict], console: Console) -> None:
    """Print those that are violated; those that hold as a number, where they are many."""
    hold = [one for one in judged if one.ok]
    for one in judged:
        if not one.ok:
            console.print(Text.assemble(("✗ ", "bold red"), f"{_claim(one)}: {one.detail}"))
        elif len(hold) <= _HOLD_MAX:
            console.print(Text.assemble(("✓ ", "green"), f"{_claim(one)}: {one.detail}"))
    if len(hold) > _HOLD_MAX:
        said = f"{count(len(hold))} invariants hold; the report lists them"
        console.print(Text.assemble(("✓ ", "green"), said))


def _claim(one: InvariantVerdict) -> str:
    return one.claim.rstrip(".")


def _times_table(result: RunResult, *, width: int) -> Table:
    percents = PERCENTS if width >= _WIDE else (50.0, 95.0, 99.0, 99.9)
    table = Table(box=None, pad_edge=False, header_style="bold dim")
    table.add_column("name", overflow="ellipsis", no_wrap=True, min_width=10)
    table.add_column("time", no_wrap=True)
    for heading in ("samples", *(f"p{percent:g}" for percent in percents), "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = [(one.name, one) for one in result.names[:_NAMES_MAX]]
    if result.worst_window is not None:
        shown.append(("worst 10 s", result.worst_window.total))
    shown.append(("all", result.total))
    for name, one in shown:
        times = (("response", one.response), ("service", one.service), ("lag", one.lag))
        for index, (kind, latency) in enumerate(times):
            table.add_row(
                escape(name) if index == 0 else "",
                kind,
                count(latency.count),
                *(_time(latency, percent) for percent in percents),
                milliseconds(latency.max_ms),
                style="" if name != "all" else "bold",
            )
    return table
