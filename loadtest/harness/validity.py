"""Whether the figures of a run mean what they seem to: was it the service that was measured?"""

from collections.abc import Iterable, Sequence

from loadtest.harness.executors import LATE_NS
from loadtest.harness.model import Counts, GeneratorHealth
from loadtest.harness.result import FlowConservation, Steadiness, TimelinePoint, ValidityReason

__all__ = (
    "CPU_SHARE_MAX",
    "MISSED_SHARE_MAX",
    "OF_THE_SERVICE",
    "check_flow",
    "check_steadiness",
    "invalid_reasons",
)

# Of one core, by the busiest generating process over the measured part: above this its own queue
# is longer than what it measures.
CPU_SHARE_MAX = 0.9

# Of the arrivals that were planned: those that left late, or never. One in a hundred may meet a
# pause of the machine; more of them change the p99.
MISSED_SHARE_MAX = 0.01

# A part shorter than this has thirds of less than two seconds, which say nothing.
_STEADY_S_MIN = 6.0
# And thirds of no point at all say nothing either: a generator that hangs reports seldom.
_POINTS_MIN = 6
# What differs less than this between the first and the last third is noise of a shared machine.
_RATE_SHARE = 0.15
_P50_FACTOR = 2.0
_P50_MS = 5.0

# Reasons that are the service's doing: it could not keep up with what was asked. A threshold that
# was missed under them was missed, so it decides. All others are the harness's own doing.
OF_THE_SERVICE = frozenset({"not_steady", "arrivals_dropped"})


def check_flow(counts: Counts, in_flight: int) -> FlowConservation:
    """Tell whether all requests of a run are accounted for; none may be under way any more."""
    planned = counts.scheduled == counts.sent + counts.dropped
    ended = counts.sent == counts.finished and in_flight == 0
    detail = (
        f"{counts.scheduled:,} scheduled = {counts.sent:,} sent + {counts.dropped:,} dropped; "
        f"{counts.sent:,} sent = {counts.ok:,} ok + {counts.rejected:,} rejected + "
        f"{counts.failed:,} failed + {counts.timed_out:,} timed out + {counts.unknown:,} unknown"
    )
    if not planned or not ended:
        detail = f"does not hold: {detail}; {in_flight:,} under way"
    return FlowConservation(ok=planned and ended, counts=counts, detail=detail)


def check_steadiness(
    timeline: Sequence[TimelinePoint], *, constant: bool, changed: bool
) -> Steadiness:
    """Compare the first and the last third of the measured part.

    It does not apply where the load was to change: by a plan, by hand, or by phases.
    """
    if not constant:
        return Steadiness(ok=None, detail="does not apply: the load is planned to change")
    if changed:
        return Steadiness(ok=None, detail="does not apply: the run was changed while it went on")
    # The last point holds what was left over and may be short.
    points = [one for one in timeline if one.measured and one.seconds > 0.5]
    if len(points) < _POINTS_MIN or sum(one.seconds for one in points) < _STEADY_S_MIN:
        return Steadiness(ok=None, detail=f"does not apply: shorter than {_STEADY_S_MIN:.0f} s")
    third = len(points) // 3
    first, last = points[:third], points[-third:]
    first_rate, last_rate = _rate(first), _rate(last)
    first_p50, last_p50 = _p50(first), _p50(last)
    faults = []
    if abs(last_rate - first_rate) > _RATE_SHARE * max(first_rate, last_rate):
        faults.append(f"{first_rate:,.0f} answers a second became {last_rate:,.0f}")
    low, high = sorted((first_p50, last_p50))
    if high > _P50_FACTOR * low and high - low > _P50_MS:
        faults.append(f"a median of {first_p50:.1f} ms became {last_p50:.1f} ms")
    return Steadiness(
        ok=not faults,
        detail="from the first third to the last, " + " and ".join(faults)
        if faults
        else f"{first_rate:,.0f} and {last_rate:,.0f} answers a second, medians "
        f"{first_p50:.1f} and {last_p50:.1f} ms in the first and the last third",
        first_per_second=first_rate,
        last_per_second=last_rate,
        first_p50_ms=first_p50,
        last_p50_ms=last_p50,
    )


def _rate(points: Sequence[TimelinePoint]) -> float:
    answered = sum(one.counts.ok + one.counts.rejected for one in points)
    return answered / sum(one.seconds for one in points)


def _p50(points: Sequence[TimelinePoint]) -> float:
    ordered = sorted(one.response_p50_ms for one in points)
    return ordered[len(ordered) // 2]


def invalid_reasons(
    *,
    measured: Counts,
    flow: FlowConservation,
    steadiness: Steadiness,
    generator: GeneratorHealth,
    open_run: bool,
    errors: Iterable[tuple[str, int]],
) -> tuple[ValidityReason, ...]:
    """Return all that speaks against the figures; ``generator`` is that of the measured part."""
    found = [_reason("scenario_failed", f"{what} ({n} times)") for what, n in errors]
    if not measured.sent:
        found.append(_reason("no_requests", "nothing was sent in the measured part"))
    if not flow.ok:
        found.append(_reason("flow_not_conserved", flow.detail))
    if generator.cpu_share > CPU_SHARE_MAX:
        found.append(
            _reason(
                "generator_saturated",
                f"the busiest generating process used {generator.cpu_share:.0%} of a core, "
                f"{CPU_SHARE_MAX:.0%} is the most; use more --processes or the lean engine",
            )
        )
    if open_run and generator.late > MISSED_SHARE_MAX * measured.scheduled:
        found.append(
            _reason(
                "schedule_missed",
                f"{generator.late:,} of {measured.scheduled:,} requests left more than "
                f"{LATE_NS // 1_000_000} ms after their moment",
            )
        )
    if measured.dropped > MISSED_SHARE_MAX * measured.scheduled:
        found.append(
            _reason(
                "arrivals_dropped",
                f"{measured.dropped:,} of {measured.scheduled:,} arrivals never left: too many "
                "requests were under way",
            )
        )
    if steadiness.ok is False:
        found.append(_reason("not_steady", steadiness.detail))
    return tuple(found)


def _reason(code: str, detail: str) -> ValidityReason:
    return ValidityReason(code=code, detail=detail)
