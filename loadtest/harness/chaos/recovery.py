"""When a service was well again after a fault, from what it did and not from what it says.

Two things are looked at. *Commits* are counted from the ledger itself in tenths of a second, so
that an outage is known to a tenth. *Latency* is known second by second from the run.
"""

import statistics
from collections.abc import Sequence

import msgspec

__all__ = ("BUCKET_S", "Recovery", "commits_recovery", "latency_recovery")

BUCKET_S = 0.1

# Well again: for a whole second, commits come at nine tenths of their rate before the fault, and
# p99 is within twice of what it was, or a tenth of a second where that is more. A stricter measure
# takes the noise of a shared machine for a fault that goes on.
_RATE_SHARE = 0.9
_LATENCY_FACTOR = 2.0
_LATENCY_FLOOR_MS = 100.0
_WELL_S = 1.0


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds after the fault began; None where it did not come before the next one or the end.

    ``outage_s`` is the longest time without any commit. ``commits_s`` is when commits, and
    ``latency_s`` when response times were again as before, for good.
    """

    outage_s: float
    commits_s: float | None
    latency_s: float | None


def commits_recovery(
    counts: Sequence[int], fault_at_s: float, until_s: float
) -> tuple[float, float | None]:
    """Return the longest outage, and the seconds until commits came as before.

    ``counts`` are commits in buckets of :data:`BUCKET_S` from the start on; the fault lasts from
    ``fault_at_s`` on, and what counts ends at ``until_s``.
    """
    fault = int(fault_at_s / BUCKET_S)
    end = min(int(until_s / BUCKET_S), len(counts))
    before = counts[max(fault - round(10 / BUCKET_S), 0) : fault]
    after = counts[fault:end]
    longest = run = 0
    for count in after:
        run = 0 if count else run + 1
        longest = max(longest, run)
    usual = statistics.fmean(before) if before else 0.0
    window = round(_WELL_S / BUCKET_S)
    recovered = None
    for start in range(len(after) - window + 1):
        if sum(after[start : start + window]) >= _RATE_SHARE * usual * window:
            # The wait ends with the first commit of the good second.
            quiet = next(n for n, count in enumerate(after[start:]) if count or not usual)
            recovered = (start + quiet) * BUCKET_S
            break
    return longest * BUCKET_S, recovered


def latency_recovery(
    seconds: Sequence[tuple[float, float | None]], fault_at_s: float, until_s: float
) -> float | None:
    """Return the seconds until p99 was as before, and stayed so until ``until_s``.

    ``seconds`` are the starts of the run's seconds and the p99 of each, None where nothing was
    answered. A second that reaches into the next fault does not count.
    """
    before = [p99 for at_s, p99 in seconds if at_s + 1.0 <= fault_at_s and p99 is not None]
    if not before:
        return None
    most = max(statistics.median(before) * _LATENCY_FACTOR, _LATENCY_FLOOR_MS)
    after = [(at_s, p99) for at_s, p99 in seconds if fault_at_s <= at_s + 1.0 <= until_s]
    well_from: float | None = None
    for at_s, p99 in after:
        well = p99 is not None and p99 <= most
        if not well:
            well_from = None
        elif well_from is None:
            well_from = max(at_s - fault_at_s, 0.0)
    return well_from
