"""``zhihui demo`` plays the city's day: phase after phase, through the public interface."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from zhihui.demo.day import DayLine
from zhihui.demo.driver import DayDriver
from zhihui.demo.tally import Tally

__all__ = ("Act", "play_city")

# What happens to the city and is no message, by its name.
Act = Callable[[dict[str, Any]], Awaitable[None]]


async def play_city(
    driver: DayDriver,
    phases: list[str],
    lines: list[DayLine],
    acts: dict[str, Act],
    on_phase: Callable[[str, int], None],
) -> list[Tally]:
    """Play all phases and return what came of each; ``on_phase`` is told before it begins."""
    tallies = []
    for number, phase in enumerate(phases):
        own = [line for line in lines if line.at == number]
        on_phase(phase, len(own))
        if phase.startswith("@"):
            (line,) = own
            await acts[phase[1:]](msgspec.json.decode(bytes(line.body)))
            continue
        tallies.append(await driver.run_lines(own))
    return tallies
