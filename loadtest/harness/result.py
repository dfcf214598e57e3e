"""What a run came to: the one document that reports, comparisons and searches read."""

from enum import IntEnum

import msgspec

from loadtest.harness.invariants.multiset import MultisetSum
from loadtest.harness.model import Counts, GeneratorHealth, NameSample, PhaseMark
from loadtest.harness.plan import RunPlan

__all__ = (
    "PERCENTS",
    "RESULT_VERSION",
    "ExitCode",
    "FlowConservation",
    "GeneratorMachine",
    "InvariantVerdict",
    "Latency",
    "NameStatistics",
    "Percentile",
    "PhaseStatistics",
    "Resolution",
    "RunResult",
    "Steadiness",
    "ThresholdVerdict",
    "TimelinePoint",
    "ValidityReason",
    "WindowStatistics",
)

# Written into every result; a reader refuses a newer one.
RESULT_VERSION = 1

PERCENTS = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)


class ExitCode(IntEnum):
    """How a run ends. The worst that applies counts, in the order of :data:`_WORST_FIRST`."""

    PASS = 0
    USAGE = 2
    INVARIANT = 90
    INVALID = 91
    THRESHOLD = 99
    ABORTED = 105

    @classmethod
    def worst(cls, codes: "set[ExitCode]") -> "ExitCode":
        """Return the one that counts: wrong books before all else, then what makes figures void."""
        return next((code for code in _WORST_FIRST if code in codes), cls.PASS)


_WORST_FIRST = (
    ExitCode.USAGE,
    ExitCode.INVARIANT,
    ExitCode.ABORTED,
    ExitCode.INVALID,
    ExitCode.THRESHOLD,
)


class Percentile(msgspec.Struct, frozen=True, kw_only=True):
    """The time that ``percent`` of the samples did not exceed; None where there were too few.

    ``reason`` then says "insufficient samples: …".
    """

    percent: float
    ms: float | None
    reason: str = ""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three times of some requests, in milliseconds; None when there were none."""

    count: int = 0
    mean_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    percentiles: tuple[Percentile, ...] = ()

    def percentile_ms(self, percent: float) -> float | None:
        """Return one of :data:`PERCENTS`, None where there were too few samples."""
        return next((one.ms for one in self.percentiles if one.percent == percent), None)


class NameStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one name, or of all; ``per_second`` is of those that were ok."""

    name: str
    counts: Counts
    per_second: float
    response: Latency
    service: Latency
    lag: Latency


class PhaseStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One phase: those requests that should have started in it."""

    name: str
    start_s: float
    end_s: float
    measured: bool
    total: NameStatistics
    names: tuple[NameStatistics, ...] = ()


class WindowStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Ten seconds in a row, by when answers came: those with the highest p99 response time.

    ``ranked_by`` is "p99", or "max" where no window has enough samples for it.
    """

    start_s: float
    seconds: float
    ranked_by: str
    total: NameStatistics


class TimelinePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of the run without its histograms, for charts; percentiles are approximate.

    In long runs a point stands for several seconds, see ``seconds``.
    """

    start_s: float
    seconds: float
    phase: str
    measured: bool
    users: int
    target_rate: float | None
    in_flight: int
    counts: Counts
    response_p50_ms: float
    response_p95_ms: float
    response_p99_ms: float
    response_max_ms: float
    service_p50_ms: float
    service_p95_ms: float
    service_p99_ms: float
    lag_p50_ms: float
    lag_p99_ms: float
    cpu_share: float


class FlowConservation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every request of the whole run, warm-up included, is accounted for once."""

    ok: bool
    counts: Counts
    detail: str


class Steadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the measured part was one steady state. ``ok`` is None where it does not apply.

    It compares the first and the last third by the rate of answers and by the median response time.
    """

    ok: bool | None
    detail: str
    first_per_second: float = 0.0
    last_per_second: float = 0.0
    first_p50_ms: float = 0.0
    last_p50_ms: float = 0.0


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What became of requests without an answer, asked again under their ids after the run."""

    asked: int = 0
    done: int = 0
    not_done: int = 0
    still_unknown: int = 0
    # Had no request id (a read), or came after more than can be remembered.
    not_asked: int = 0
    acknowledged: MultisetSum = MultisetSum()
    # Those that nobody knows of, with their amounts, the first of them.
    unknown_ids: tuple[tuple[str, int], ...] = ()


class ThresholdVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold and what was measured; ``value`` is None when it could not be."""

    expression: str
    ok: bool
    value: float | None
    unit: str
    detail: str = ""


class InvariantVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that must hold whatever the load, and whether it did."""

    claim: str
    ok: bool
    detail: str = ""


class ValidityReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why the figures do not count; ``code`` is stable.

    ``generator_saturated``, ``schedule_missed``, ``not_steady``, ``flow_not_conserved``,
    ``generator_failed``, ``no_requests``, and what observers add.
    """

    code: str
    detail: str


class GeneratorMachine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the load was made."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    load_average: float
    versions: dict[str, str]


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """All of one run. ``total`` and ``names`` are of the measured phases only.

    ``distributions`` holds the histograms behind them, the total first under the name ``""``.
    ``attachments`` is what observers add under a key of their own: plain JSON values.
    """

    version: int = RESULT_VERSION
    run_id: str
    started_at: str
    plan: RunPlan
    machine: GeneratorMachine
    duration_s: float
    measured_s: float
    warmup_s: float
    exit_code: int
    verdict: str
    aborted: bool
    total: NameStatistics
    names: tuple[NameStatistics, ...]
    worst_window: WindowStatistics | None
    marks: tuple[PhaseMark, ...]
    phases: tuple[PhaseStatistics, ...]
    timeline: tuple[TimelinePoint, ...]
    flow: FlowConservation
    steadiness: Steadiness
    generator: GeneratorHealth
    resolution: Resolution
    acknowledged: MultisetSum
    thresholds: tuple[ThresholdVerdict, ...] = ()
    invariants: tuple[InvariantVerdict, ...] = ()
    invalid: tuple[ValidityReason, ...] = ()
    distributions: tuple[NameSample, ...] = ()
    notes: tuple[str, ...] = ()
    attachments: dict[str, object] = {}
