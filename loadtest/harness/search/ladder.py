"""Finds the highest rate that holds: up in steps until one fails, then halves what is left.

Where rates are tried, and what a try says, is somebody else's: :func:`find_highest` only decides
which rate comes next. Everything goes by ratios, since 10 % more of much is as good as of little.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

__all__ = ("CONFIRMATIONS_MAX", "Limits", "Outcome", "Search", "Stage", "Step", "find_highest")

# A rate that was found in short tries may not stand a long one; then the next lower one is taken.
CONFIRMATIONS_MAX = 4

# "held": the objective was met. "failed": it was not. "unfit": the generator could not make that
# rate, so it says nothing of the service. "violated": the books are wrong.
Outcome = Literal["held", "failed", "unfit", "violated"]

Stage = Literal["ramp", "bisect", "confirm"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where to search: rates in requests a second.

    ``growth`` is the factor between steps of the ramp. The search ends when the lowest rate that
    failed is within ``resolution`` of the highest that held: 0.05 is 5 %.
    """

    start: float
    ceiling: float
    growth: float = 1.6
    resolution: float = 0.05


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One try."""

    stage: Stage
    rate: float
    outcome: Outcome


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """How a search ended.

    ``rate`` is the highest that held and was confirmed; None when none was. ``failed_rate`` is the
    lowest that did not hold. ``ended`` says why no higher rate was tried: it was "found" between
    the two, the "ceiling" held, the "generator" could not make more, "nothing" held, or the books
    were "violated".
    """

    rate: float | None
    failed_rate: float | None
    ended: Literal["found", "ceiling", "generator", "nothing", "violated"]
    steps: tuple[Step, ...]


class _Violated(Exception):
    """The books are wrong; nothing is searched any more."""


class _Ladder:
    def __init__(
        self, attempt: Callable[[Stage, float], Awaitable[Outcome]], limits: Limits
    ) -> None:
        self._attempt = attempt
        self._limits = limits
        self.steps: list[Step] = []
        self.held: float | None = None
        self.failed: float | None = None
        self.generator = False

    async def attempt(self, stage: Stage, rate: float) -> bool:
        """Try a rate; tell whether it held."""
        outcome = await self._attempt(stage, rate)
        self.steps.append(Step(stage=stage, rate=rate, outcome=outcome))
        if outcome == "violated":
            raise _Violated
        if outcome == "held":
            return True
        if outcome == "unfit":
            self.generator = True
        self.failed = rate if self.failed is None else min(self.failed, rate)
        return False

    async def ramp(self) -> None:
        """Climb until a rate fails or the ceiling holds; descend when the first one fails."""
        limits = self._limits
        rate = min(limits.start, limits.ceiling)
        while await self.attempt("ramp", rate):
            self.held = rate
            if rate >= limits.ceiling:
                return
            rate = min(rate * limits.growth, limits.ceiling)
        lowest = limits.start / limits.growth**6
        while self.held is None and (rate := rate / limits.growth) >= lowest:
            if await self.attempt("ramp", rate):
                self.held = rate

    async def bisect(self) -> None:
        """Halve the gap, by ratio, until it is as narrow as wanted."""
        while self.held is not None and self.failed is not None:
            if self.failed <= self.held * (1 + self._limits.resolution):
                return
            middle = math.sqrt(self.held * self.failed)
            if await self.attempt("bisect", middle):
                self.held = middle

    async def confirm(self) -> None:
        """Try what was found once more, for long; step down while it does not stand."""
        rate = self.held
        self.held = None
        for _ in range(CONFIRMATIONS_MAX):
            if rate is None:
                return
            if await self.attempt("confirm", rate):
                self.held = rate
                return
            rate /= 1 + self._limits.resolution


async def find_highest(
    attempt: Callable[[Stage, float], Awaitable[Outcome]], limits: Limits
) -> Search:
    """Return the highest rate that holds; ``attempt`` is called for one rate after the other."""
    if not 0 < limits.start <= limits.ceiling or limits.growth <= 1 or limits.resolution <= 0:
        raise ValueError("a search needs 0 < start <= ceiling, growth > 1 and a resolution > 0")
    ladder = _Ladder(attempt, limits)
    try:
        await ladder.ramp()
        await ladder.bisect()
        await ladder.confirm()
    except _Violated:
        return Search(
            rate=None,
            failed_rate=ladder.failed,
            ended="violated",
            steps=tuple(ladder.steps),
        )
    if ladder.held is None:
        ended: Literal["found", "ceiling", "generator", "nothing"] = "nothing"
    elif ladder.failed is None:
        ended = "ceiling"
    elif ladder.generator and _only_unfit(ladder.steps, ladder.failed):
        ended = "generator"
    else:
        ended = "found"
    return Search(
        rate=ladder.held, failed_rate=ladder.failed, ended=ended, steps=tuple(ladder.steps)
    )


def _only_unfit(steps: list[Step], rate: float) -> bool:
    """Tell whether the lowest rate that did not hold said nothing of the service."""
    return all(
        step.outcome == "unfit" for step in steps if step.rate == rate and step.outcome != "held"
    )
