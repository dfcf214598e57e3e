"""Plays a sample day, phase after phase, through the public interface."""

from collections.abc import Callable
from datetime import timedelta

from zhihui.demo.day import Day, DayLine
from zhihui.demo.days.date import DayDate
from zhihui.demo.days.manifest import Phase
from zhihui.demo.driver import DayDriver
from zhihui.demo.tally import Tally

__all__ = ("OnPhase", "play_day")

# Told of a phase with its lines before it begins; returns what is told of each answer in it.
OnPhase = Callable[[Phase, list[DayLine]], Callable[[int], None] | None]


async def play_day(
    driver: DayDriver, day: Day, date: DayDate, on_phase: OnPhase | None = None
) -> list[Tally]:
    """Play all phases, and return what came of each.

    A phase begins when all of the one before it is answered; its lanes go side by side. The date
    is moved as the manifest says.
    """
    if day.manifest.begins is not None:
        await date.move_to(day.manifest.begins)
    tallies = []
    for number, phase in enumerate(day.manifest.phases):
        if phase.advance_s:
            await date.advance(timedelta(seconds=phase.advance_s))
        lines = day.of_phase(number)
        on_done = on_phase(phase, lines) if on_phase is not None else None
        tallies.append(await driver.run_lines(lines, on_done))
    return tallies
