"""A run that only remembers what it is told, for what shows a run and steers it."""

from loadtest.harness.control import RunSnapshot, RunState
from loadtest.harness.model import PhaseMark, Sample
from loadtest.harness.plan import RunPlan
from loadtest.harness.statistics import Totals, name_statistics

__all__ = ("Steered",)


class Steered:
    """A :class:`~loadtest.harness.control.RunControl` without a load behind it.

    The figures are the harness's own sums of the samples that it is given.
    """

    def __init__(self, plan: RunPlan | None = None) -> None:
        self.told: list[tuple[str, object]] = []
        self.state: RunState = "ready"
        self.totals = Totals()
        self.last: Sample | None = None
        self._plan = plan or RunPlan(
            scenario="city_day",
            arrivals="300",
            duration_s=80.0,
            warmup_s=10.0,
            thresholds=("p99<30ms", "worst_p99<1s"),
        )

    @property
    def run_id(self) -> str:
        """Return a fixed id."""
        return "r7k2m9"

    @property
    def plan(self) -> RunPlan:
        """Return the plan given."""
        return self._plan

    @property
    def generator_pids(self) -> tuple[int, ...]:
        """Return none."""
        return ()

    def add(self, sample: Sample, mark: PhaseMark | None = None) -> None:
        """Let a second pass."""
        if mark is not None:
            self.totals.mark(mark)
        self.totals.add(sample)
        self.last = sample
        self.state = "running"

    def snapshot(self) -> RunSnapshot:
        """Return how it stands after the samples so far."""
        last = self.last
        end_s = last.start_s + last.seconds if last else 0.0
        seconds = self.totals.measured_s(end_s)
        total, *names = (name_statistics(one, seconds) for one in self.totals.measured())
        return RunSnapshot(
            state=self.state,
            elapsed_s=end_s,
            phase=last.phase if last else "",
            measured=bool(last and last.measured),
            users=last.users if last else 0,
            target_rate=last.target_rate if last else 300.0,
            total=total,
            names=tuple(names),
            recent=last,
        )

    def start(self) -> None:
        """Remember it."""
        self.told.append(("start", None))
        self.state = "running"

    def stop(self, reason: str = "") -> None:
        """Remember it."""
        self.told.append(("stop", reason))

    def abort(self, reason: str = "") -> None:
        """Remember it."""
        self.told.append(("abort", reason))

    def set_users(self, users: int, spawn_rate: float | None = None) -> None:
        """Remember it."""
        self.told.append(("users", users))

    def set_rate(self, per_second: float) -> None:
        """Remember it."""
        self.told.append(("rate", per_second))

    def set_duration(self, duration_s: float) -> None:
        """Remember it."""
        self.told.append(("duration", duration_s))

    def mark_phase(self, name: str, *, measured: bool = True) -> None:
        """Remember it."""
        self.told.append(("phase", name))
