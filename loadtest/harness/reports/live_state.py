"""What the live page is told, and what it may ask for."""

from typing import Annotated, Literal

import msgspec

from loadtest.harness.arrivals import RATE_MAX
from loadtest.harness.control import RunState
from loadtest.harness.reports.chart_data import ChartData
from loadtest.harness.result import NameStatistics

__all__ = ("Command", "Ending", "Event", "LiveRunState", "LiveState", "Said", "SoFar")

LiveRunState = RunState | Literal["connecting"]

# Beyond any machine that this could run on; they catch a slip of the finger.
_USERS_MAX = 1_000_000
_DURATION_MAX_S = 7 * 86_400.0


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the page asks for; the figures belong to ``edit``, and those left out stay."""

    action: Literal["start", "stop", "abort", "edit", "close"]
    rate: Annotated[float, msgspec.Meta(gt=0, le=RATE_MAX)] | None = None
    users: Annotated[int, msgspec.Meta(ge=0, le=_USERS_MAX)] | None = None
    spawn_rate: Annotated[float, msgspec.Meta(gt=0, le=_USERS_MAX)] | None = None
    duration_s: Annotated[float, msgspec.Meta(ge=1, le=_DURATION_MAX_S)] | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a command, for a person."""

    ok: bool
    text: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done from the page."""

    at_s: float
    text: str


class SoFar(msgspec.Struct, frozen=True, kw_only=True):
    """How a threshold stands; ``ok`` is None where there are too few samples to tell."""

    expression: str
    measured: str
    ok: bool | None


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ended."""

    exit_code: int
    headline: str
    kind: str
    reasons: list[str]


class LiveState(msgspec.Struct, frozen=True, kw_only=True):
    """A run at this moment; ``charts`` has the points from ``first`` on."""

    state: LiveRunState
    scenario: str
    about: str
    elapsed_s: float
    planned_s: float | None
    measured_s: float | None
    phase: str
    measured: bool
    open_loop: bool
    users: int
    target_rate: float | None
    in_flight: int
    total: NameStatistics | None
    names: list[NameStatistics]
    so_far: list[SoFar]
    epoch: int
    first: int
    charts: ChartData
    events: list[Event]
    ending: Ending | None
