"""How others take part in a run: they steer it through a control, and hear of it as observers.

Reports, chaos steps and exporters are observers; the live page and a search also steer. All of it
happens in the process that coordinates the run, never in those that make the load, so that a slow
observer cannot disturb what is measured.
"""

from typing import Literal, Protocol

import msgspec

from loadtest.harness.model import PhaseMark, Sample
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import InvariantVerdict, NameStatistics, RunResult, ValidityReason

__all__ = ("Findings", "Observer", "RunControl", "RunSnapshot", "RunState")

RunState = Literal["ready", "starting", "running", "draining", "resolving", "judging", "ended"]


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run at this moment; ``total`` and ``names`` are of all measured seconds so far.

    ``recent`` is the last sample, with its histograms.
    """

    state: RunState
    elapsed_s: float
    phase: str
    measured: bool
    users: int
    target_rate: float | None
    total: NameStatistics
    names: tuple[NameStatistics, ...]
    recent: Sample | None


class RunControl(Protocol):
    """Steer a run. All of it may be called at any time; what does not apply any more is ignored."""

    @property
    def run_id(self) -> str:
        """Return the id of the run, which is in every request id that the harness makes."""

    @property
    def plan(self) -> RunPlan:
        """Return what the run was told."""

    @property
    def generator_pids(self) -> tuple[int, ...]:
        """Return the pids of the processes that make the load."""

    def snapshot(self) -> RunSnapshot:
        """Return how the run stands; cheap enough for once a second."""

    def start(self) -> None:
        """Begin, where the plan waits for it."""

    def stop(self, reason: str = "") -> None:
        """End the load now and judge what there is; in-flight requests get their answers first."""

    def abort(self, reason: str = "") -> None:
        """End the load now, drain, report, and exit with 105."""

    def set_users(self, users: int, spawn_rate: float | None = None) -> None:
        """Change how many users there are, in a closed run, from now on."""

    def set_duration(self, duration_s: float) -> None:
        """Change how long the measured part is; less than what is over ends it now."""

    def set_rate(self, per_second: float) -> None:
        """Change the arrivals a second, in an open run, from now on to its end."""

    def mark_phase(self, name: str, *, measured: bool = True) -> None:
        """Begin a phase: requests that should start from now on are counted under it."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What an observer adds to the verdict."""

    invariants: tuple[InvariantVerdict, ...] = ()
    invalid: tuple[ValidityReason, ...] = ()
    notes: tuple[str, ...] = ()
    attachments: dict[str, object] = {}


class Observer:
    """Hears what happens in a run; override what matters. An exception ends the run as aborted."""

    async def on_start(self, control: RunControl) -> None:
        """Hear that the generators are connected and the load is about to begin."""

    async def on_phase(self, mark: PhaseMark) -> None:
        """Hear that a phase has begun."""

    async def on_interval(self, sample: Sample) -> None:
        """Hear of a second that is over; the next one waits in a queue meanwhile."""

    async def on_drained(self, draft: RunResult) -> Findings:
        """Hear that no request is under way any more and unknowns are resolved; add to the verdict.

        ``draft`` has all figures; its verdict and exit code are not final.
        """
        return Findings()

    async def on_end(self, result: RunResult) -> None:
        """Hear the final result. Called always, also of an aborted run."""
