"""Figures and verdicts in the words that the terminal and the pages share."""

from collections.abc import Sequence

from loadtest.harness.model import Counts
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import ExitCode, Latency, RunResult, ThresholdVerdict

__all__ = (
    "MISSING",
    "clock",
    "count",
    "error_share",
    "figure",
    "headline",
    "lacking",
    "load_of",
    "measured",
    "milliseconds",
    "rate",
    "reasons",
    "share",
    "verdict_kind",
)

# Stands where there is nothing to say a figure of.
MISSING = "–"

_HEADLINES = {
    ExitCode.PASS: "Pass",
    ExitCode.USAGE: "Wrong usage",
    ExitCode.INVARIANT: "Invariant violated",
    ExitCode.INVALID: "Run invalid",
    ExitCode.THRESHOLD: "Threshold failed",
    ExitCode.ABORTED: "Aborted",
}


def milliseconds(value: float | None) -> str:
    """Return a time with the unit that suits its size, to three digits."""
    if value is None:
        return MISSING
    if value == 0:
        return "0 ms"
    if abs(value) < 1:
        return f"{figure(value * 1000)} µs"
    return f"{figure(value)} ms" if abs(value) < 1000 else f"{figure(value / 1000)} s"


def rate(value: float | None) -> str:
    """Return a number of requests a second."""
    return MISSING if value is None else f"{figure(value)}/s"


def count(value: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """Return a share in percent; a small one that is not zero does not look like zero."""
    if not whole:
        return MISSING
    percent = 100 * part / whole
    if part and percent < 0.01:
        return "< 0.01 %"
    return f"{percent:.2f} %" if part else "0 %"


def error_share(counts: Counts) -> str:
    """Return the share of requests sent that were neither done nor refused by a rule."""
    return share(counts.errors, counts.sent)


def clock(seconds: float) -> str:
    """Return a time of the run as minutes and seconds, or with hours."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}:{minutes:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}"


def load_of(plan: RunPlan) -> str:
    """Return what load a plan asks for, in a few words."""
    if plan.arrivals is not None:
        return f"arrivals {plan.arrivals}{', Poisson' if plan.poisson else ''}"
    return "users by a shape" if plan.users is None else f"{count(plan.users)} users"


def figure(value: float) -> str:
    """Return a number with some three digits, and none that mean nothing."""
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}" if size >= 0.001 else f"{value:.2g}"


def lacking(latency: Latency, percent: float) -> str:
    """Return why a percentile is missing, and an empty string where it is not."""
    for one in latency.percentiles:
        if one.percent == percent and one.ms is None:
            return one.reason or "insufficient samples"
    return ""


def headline(exit_code: int) -> str:
    """Return what an exit code means, in two words."""
    try:
        return _HEADLINES[ExitCode(exit_code)]
    except ValueError:
        return f"Exit code {exit_code}"


def verdict_kind(exit_code: int) -> str:
    """Return "good", "bad" or, where the figures do not count, "warn"."""
    if exit_code == ExitCode.PASS:
        return "good"
    return "warn" if exit_code in {ExitCode.INVALID, ExitCode.ABORTED} else "bad"


def reasons(result: RunResult) -> Sequence[str]:
    """Return every single thing that keeps a run from passing, what weighs most first."""
    said = [
        f"{one.claim.rstrip('.')}: {one.detail or 'violated'}"
        for one in result.invariants
        if not one.ok
    ]
    said += [f"{one.detail} ({one.code})" for one in result.invalid]
    said += [f"{one.expression}: {measured(one)}" for one in result.thresholds if not one.ok]
    return said


def measured(one: ThresholdVerdict) -> str:
    """Return what was measured for a threshold, and why where nothing could be."""
    if one.value is None:
        return one.detail or "could not be measured"
    if one.unit == "ms":
        return f"measured {milliseconds(one.value)}"
    return f"measured {one.value:,.6g} {one.unit}".rstrip().replace(" /s", "/s")
