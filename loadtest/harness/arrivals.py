"""When requests should start, in an open run: a rate over time, made into moments.

A specification is one of these, rates being requests a second and times like ``30s`` or ``2m``::

    500  or  constant:500          the same rate throughout
    ramp:100-1000:60s              from one rate to the other, evenly, then the last one
    step:100-500:100:10s           100, 200, … 500, ten seconds each, then the last one
    spike:200-2000:20s:5s          200, but 2,000 for five seconds after the twentieth
    moments:PATH                   those of a file: seconds from the start, one a line, rising

The moments are evenly spaced, or drawn by a Poisson process, which is how independent customers
come: the times between them are exponential, seeded, and follow the rate as it changes (arrivals
are the inverse of the cumulated rate at the points of a process of rate one).
"""

import math
import random
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

from loadtest.harness.problems import PlanUnusable

__all__ = ("RATE_MAX", "ArrivalPlan", "Schedule", "Segment", "parse_arrivals", "parse_duration")

# Above any rate that one machine can make; it catches a typing error before it fills the memory.
RATE_MAX = 1_000_000.0

_STEPS_MAX = 1_000

_NUMBER = r"(\d[\d_]*(?:\.\d+)?)"
_TIME = r"(\d+(?:\.\d+)?(?:ms|s|m|h))"
_CONSTANT = re.compile(rf"(?:constant:)?{_NUMBER}(?:/s)?")
_RAMP = re.compile(rf"ramp:{_NUMBER}-{_NUMBER}:{_TIME}")
_STEP = re.compile(rf"step:{_NUMBER}-{_NUMBER}:{_NUMBER}:{_TIME}")
_SPIKE = re.compile(rf"spike:{_NUMBER}-{_NUMBER}:{_TIME}:{_TIME}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


class Segment(msgspec.Struct, frozen=True):
    """A time in which the rate goes evenly from one value to another."""

    seconds: float
    from_rate: float
    to_rate: float

    def rate_at(self, offset_s: float) -> float:
        """Return the rate this long after the segment's start."""
        if not 0 < self.seconds < math.inf:
            return self.to_rate
        return self.from_rate + (self.to_rate - self.from_rate) * offset_s / self.seconds

    def arrivals(self) -> float:
        """Return how many arrivals it has, on average."""
        if self.from_rate == self.to_rate == 0:
            return 0.0
        return self.seconds * (self.from_rate + self.to_rate) / 2

    def offset_of(self, number: float) -> float:
        """Return after how many seconds ``number`` arrivals have come."""
        slope = (self.to_rate - self.from_rate) / self.seconds if self.seconds < math.inf else 0.0
        # The root of r·t + slope·t²/2 = number, in the form that is exact for slope 0 as well.
        root = math.sqrt(max(self.from_rate**2 + 2 * slope * number, 0.0))
        return 2 * number / (self.from_rate + root) if number else 0.0


class ArrivalPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a specification says. After the last segment its last rate goes on."""

    specification: str
    segments: tuple[Segment, ...]
    moments: tuple[float, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Return how long it takes by itself; None when it is constant."""
        if self.moments:
            return self.moments[-1]
        return sum(one.seconds for one in self.segments) if self.varies else None

    @property
    def varies(self) -> bool:
        """Tell whether the rate is not the same throughout."""
        if self.moments:
            return True
        rates = {rate for one in self.segments for rate in (one.from_rate, one.to_rate)}
        return len(rates) > 1

    @property
    def first_rate(self) -> float:
        """Return the rate at the start, which is also that of the warm-up."""
        return self.segments[0].from_rate


class Schedule:
    """The moments of arrivals, in seconds from the start, one after another.

    Several processes share a schedule: each makes all of it from the same seed and takes every
    ``of``-th moment, so that together they make exactly the one that was planned.
    """

    def __init__(
        self,
        plan: ArrivalPlan,
        *,
        warmup_s: float = 0.0,
        end_s: float = math.inf,
        poisson: bool = False,
        seed: int = 1,
        share: int = 0,
        of: int = 1,
    ) -> None:
        warmup = (Segment(warmup_s, plan.first_rate, plan.first_rate),) if warmup_s else ()
        self._segments: list[tuple[float, Segment]] = []
        self._end_s = end_s
        self._moments = tuple(warmup_s + one for one in plan.moments)
        start = 0.0
        for one in (*warmup, *plan.segments):
            self._segments.append((start, one))
            start += one.seconds
        last = plan.segments[-1].to_rate
        if start < end_s:
            self._segments.append((start, Segment(math.inf, last, last)))
        self._share, self._of = share, of
        self._rng = random.Random(f"arrivals-{seed}") if poisson else None
        self._number = -1
        self._again = False
        # Of the process of rate one: the point of the next arrival, and where the segment began.
        self._point = 0.0
        self._segment_point = 0.0
        self._current = 0

    def rate_at(self, moment_s: float) -> float:
        """Return the rate that is planned for a moment."""
        for start, one in reversed(self._segments):
            if moment_s >= start:
                return one.rate_at(moment_s - start)
        return 0.0

    def change(self, at_s: float, rate: float, *, unused: float | None = None) -> None:
        """Let ``rate`` hold from ``at_s`` on; ``unused`` is a moment that was given out too early.

        All processes that share a schedule must change it alike.
        """
        kept = []
        for start, one in self._segments:
            if start >= at_s:
                break
            seconds = min(one.seconds, at_s - start)
            kept.append((start, Segment(seconds, one.from_rate, one.rate_at(seconds))))
        self._segments = [*kept, (at_s, Segment(math.inf, rate, rate))]
        self._moments = ()
        self._current, self._segment_point = 0, 0.0
        self._again = self._again or (unused is not None and unused >= at_s)

    def __iter__(self) -> Iterator[float]:
        return self

    def __next__(self) -> float:
        while True:
            moment = self._next_moment()
            if self._number % self._of == self._share:
                return moment

    def _next_moment(self) -> float:
        if self._again:
            self._again = False
        else:
            self._number += 1
            if self._rng is not None:
                self._point += self._rng.expovariate(1.0)
            elif self._number:
                self._point += 1.0
        if self._moments:
            if self._number < len(self._moments) and self._moments[self._number] < self._end_s:
                return self._moments[self._number]
            self._again = True
            raise StopIteration
        while self._current < len(self._segments):
            start, segment = self._segments[self._current]
            within = self._point - self._segment_point
            # An even arrival on the border of two segments belongs to the second.
            if segment.to_rate + segment.from_rate > 0 and within < segment.arrivals() - 1e-9:
                moment = start + segment.offset_of(within)
                if moment >= self._end_s - 1e-9:
                    break
                return moment
            self._segment_point += segment.arrivals() if segment.seconds < math.inf else 0.0
            self._current += 1
        # Not used up: the rate may be changed, and then it is the next one.
        self._again = True
        raise StopIteration


def parse_duration(text: str) -> float:
    """Read ``30``, ``30s``, ``500ms``, ``2m`` or ``1h`` as seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise PlanUnusable(f"{text!r} is no duration: write it like 30s, 500ms, 2m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def parse_arrivals(text: str) -> ArrivalPlan:
    """Read a specification; raise :class:`PlanUnusable` when it cannot be understood."""
    text = text.strip()
    if text.startswith("moments:"):
        return _read_moments(text)
    segments = _segments(text)
    if segments is None:
        raise PlanUnusable(
            f"arrivals {text!r} cannot be read: write 500, constant:500, ramp:100-1000:60s, "
            "step:100-500:100:10s or spike:200-2000:20s:5s"
        )
    rates = [rate for one in segments for rate in (one.from_rate, one.to_rate)]
    if max(rates) > RATE_MAX or max(rates) <= 0:
        raise PlanUnusable(
            f"arrivals {text!r}: a rate must be more than 0 and at most {RATE_MAX:,.0f} a second"
        )
    return ArrivalPlan(specification=text, segments=tuple(segments))


def _read_moments(text: str) -> ArrivalPlan:
    path = Path(text.removeprefix("moments:"))
    try:
        moments = tuple(float(line) for line in path.read_text("utf-8").split())
    except (OSError, ValueError) as error:
        raise PlanUnusable(f"arrivals {text!r} cannot be read: {error}") from error
    if not moments or moments[0] < 0 or any(a > b for a, b in pairwise(moments)):
        raise PlanUnusable(f"arrivals {text!r}: the file must hold seconds from 0 on, rising")
    mean = len(moments) / max(moments[-1], 1.0)
    return ArrivalPlan(
        specification=text, segments=(Segment(moments[-1], mean, mean),), moments=moments
    )


def _segments(text: str) -> list[Segment] | None:
    if match := _CONSTANT.fullmatch(text):
        rate = _number(match[1])
        return [Segment(math.inf, rate, rate)]
    if match := _RAMP.fullmatch(text):
        return [Segment(parse_duration(match[3]), _number(match[1]), _number(match[2]))]
    if match := _STEP.fullmatch(text):
        return _steps(text, _number(match[1]), _number(match[2]), _number(match[3]), match[4])
    if match := _SPIKE.fullmatch(text):
        base, peak = _number(match[1]), _number(match[2])
        before, during = parse_duration(match[3]), parse_duration(match[4])
        return [
            Segment(before, base, base),
            Segment(during, peak, peak),
            Segment(before, base, base),
        ]
    return None


def _steps(text: str, first: float, last: float, by: float, each: str) -> list[Segment]:
    if by <= 0:
        raise PlanUnusable(f"arrivals {text!r}: a step must be more than 0")
    count = math.floor(abs(last - first) / by + 1e-9) + 1
    if count > _STEPS_MAX:
        raise PlanUnusable(
            f"arrivals {text!r}: that is {count:,} steps, {_STEPS_MAX:,} are the most"
        )
    sign = 1 if last >= first else -1
    rates = [first + sign * by * number for number in range(count)]
    if rates[-1] != last:
        rates.append(last)
    return [Segment(parse_duration(each), rate, rate) for rate in rates]


def _number(text: str) -> float:
    return float(text.replace("_", ""))
