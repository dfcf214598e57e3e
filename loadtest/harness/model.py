"""What a run measures, second by second: the samples that everything else is made of.

Flow is conserved, in every sample and in every sum of samples of one run::

    scheduled = sent + dropped
    sent      = ok + rejected + failed + timed_out + unknown + in flight

Three times belong to a request. **Response** runs from when it *should* have started to its answer,
**service** from when it was really sent, and **lag** is the difference, the harness's own doing.
"""

from collections.abc import Iterable

import msgspec

from loadtest.harness.invariants.multiset import MultisetSum
from loadtest.histogram import Histogram, HistogramSnapshot

__all__ = (
    "Counts",
    "GeneratorHealth",
    "NameSample",
    "PhaseMark",
    "Sample",
    "add_counts",
    "merge_name_samples",
)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests went which way.

    ``ok`` and ``rejected`` were answered by the service, ``rejected`` with a refusal that is part
    of the protocol. ``failed`` are known not to have been done: busy, not ready, an internal error.
    ``timed_out`` got no answer before their deadline, ``unknown`` lost it in another way
    (connection lost, run ended): either may have been done. ``dropped`` never left, because too
    many were under way already. ``codes`` counts the error codes of all that were not ok.
    """

    scheduled: int = 0
    sent: int = 0
    dropped: int = 0
    ok: int = 0
    rejected: int = 0
    failed: int = 0
    timed_out: int = 0
    unknown: int = 0
    codes: dict[str, int] = {}

    @property
    def finished(self) -> int:
        """Return how many that were sent have an outcome."""
        return self.ok + self.rejected + self.failed + self.timed_out + self.unknown

    @property
    def in_flight(self) -> int:
        """Return how many are still under way; of a whole run, none."""
        return self.sent - self.finished

    @property
    def errors(self) -> int:
        """Return how many were sent and neither done nor refused by a rule."""
        return self.failed + self.timed_out + self.unknown


class NameSample(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to the requests of one name in one second.

    ``phase`` is the phase in which they *should* have started; outcomes count in the second in
    which they came. So one second can hold two samples of a name after a phase has changed, and
    the books of each phase balance by themselves.
    """

    name: str
    phase: str
    measured: bool
    counts: Counts = Counts()
    response: HistogramSnapshot = HistogramSnapshot()
    service: HistogramSnapshot = HistogramSnapshot()
    lag: HistogramSnapshot = HistogramSnapshot()


class GeneratorHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the processes that make the load were.

    ``cpu_share`` is that of the busiest process, of one core; ``late`` counts arrivals that were
    due longer ago than the plan tolerates when they left.
    """

    processes: int = 1
    cpu_share: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    late: int = 0


class PhaseMark(msgspec.Struct, frozen=True, kw_only=True):
    """A phase begins. ``measured`` phases make the verdict; warm-up and drain are not measured."""

    name: str
    start_s: float
    measured: bool


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """About one second of a run, of all its processes together.

    ``start_s`` counts from the start of the load. ``target_rate`` is arrivals a second, None in a
    closed loop; ``users`` of an open one are those who serve arrivals. ``acknowledged`` is the
    fingerprint of this second's ok.
    """

    index: int
    start_s: float
    seconds: float
    phase: str
    measured: bool
    users: int = 0
    target_rate: float | None = None
    in_flight: int = 0
    names: tuple[NameSample, ...] = ()
    generator: GeneratorHealth = GeneratorHealth()
    acknowledged: MultisetSum = MultisetSum()

    def counts(self) -> Counts:
        """Return the sum over all names."""
        return add_counts(one.counts for one in self.names)


def add_counts(parts: Iterable[Counts]) -> Counts:
    """Return the sum of several counts."""
    sums = dict.fromkeys(_NUMBERS, 0)
    codes: dict[str, int] = {}
    for part in parts:
        for field in _NUMBERS:
            sums[field] += getattr(part, field)
        for code, n in part.codes.items():
            codes[code] = codes.get(code, 0) + n
    return Counts(**sums, codes=codes)


def merge_name_samples(
    parts: Iterable[NameSample], *, name: str, phase: str, measured: bool
) -> NameSample:
    """Return several samples as one, under the name and phase given."""
    response, service, lag = Histogram(), Histogram(), Histogram()
    counts = []
    for part in parts:
        counts.append(part.counts)
        response.add(part.response)
        service.add(part.service)
        lag.add(part.lag)
    return NameSample(
        name=name,
        phase=phase,
        measured=measured,
        counts=add_counts(counts),
        response=response.take(),
        service=service.take(),
        lag=lag.take(),
    )


_NUMBERS = ("scheduled", "sent", "dropped", "ok", "rejected", "failed", "timed_out", "unknown")
