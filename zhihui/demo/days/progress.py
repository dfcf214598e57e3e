"""What is shown while a day is played."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from zhihui.demo.day import DayLine
from zhihui.demo.days.manifest import Phase
from zhihui.demo.days.play import OnPhase

__all__ = ("day_progress",)

# Without a terminal a line now and then is kinder to a log than a bar: one after so many messages,
# which take about a second.
_LINE_EVERY = 3_000


@contextmanager
def day_progress(console: Console, total: int) -> Iterator[OnPhase]:
    """Show phases and how many of all ``total`` messages are answered."""
    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        ) as progress:
            yield _bar(console, progress, total)
    else:
        yield _lines(console)


def _bar(console: Console, progress: Progress, total: int) -> OnPhase:
    task = progress.add_task("Beginning", total=total)
    before = 0

    def begin(phase: Phase, lines: list[DayLine]) -> Callable[[int], None]:
        nonlocal before
        base, before = before, before + len(lines)
        progress.update(task, description=escape(phase.name))
        console.print(_title(phase, lines), markup=False, highlight=False)
        return lambda done: progress.update(task, completed=base + done)

    return begin


def _lines(console: Console) -> OnPhase:
    def begin(phase: Phase, lines: list[DayLine]) -> Callable[[int], None]:
        total = len(lines)
        console.print(_title(phase, lines), markup=False, highlight=False, soft_wrap=True)

        def show(done: int) -> None:
            if done % _LINE_EVERY == 0 and done < total:
                console.print(f"  {done:,} of {total:,}", highlight=False)

        return show

    return begin


def _title(phase: Phase, lines: list[DayLine]) -> str:
    later = f", {_shown(timedelta(seconds=phase.advance_s))} later" if phase.advance_s else ""
    return f"{phase.name}{later}: {len(lines):,} messages"


def _shown(by: timedelta) -> str:
    """Return ``7 d 8 h`` or ``40 min``."""
    minutes, _ = divmod(int(by.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "a moment"
