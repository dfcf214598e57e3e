"""Thresholds: ``p99<30ms``, ``error_rate<0.1%``, ``rate>=5000``, ``payment.create:p99.9<=80ms``.

::

    threshold = [name ":"] metric operator number [unit]
    metric    = ["worst_"] ["service_" | "lag_"] (p50 p90 p95 p99 p99.9 p99.99 mean min max)
              | ["worst_"] (rate | count | error_rate | rejected_rate | failed_rate
                            | timed_out_rate | unknown_rate | dropped_rate)
    operator  = "<" | "<=" | ">" | ">="
    unit      = us ms s  for times (ms when left out), % for shares, /s for rates

Times are response times from the intended start unless service or lag is said. ``worst_`` judges
the worst ten seconds in place of the whole run. ``error_rate`` is of what was sent and neither done
nor refused by a rule of the bank.
"""

import operator
import re
from collections.abc import Callable, Sequence

import msgspec

from loadtest.harness.problems import PlanUnusable
from loadtest.harness.result import (
    PERCENTS,
    Latency,
    NameStatistics,
    ThresholdVerdict,
    WindowStatistics,
)

__all__ = ("Threshold", "parse_threshold")

_FORM = re.compile(
    r"\s*(?:(?P<name>[^:<>=]+):)?\s*(?P<worst>worst_)?(?P<time>service_|lag_)?"
    r"(?P<metric>[a-z_]+|p\d+(?:\.\d+)?)\s*(?P<operator><=|>=|<|>)\s*"
    r"(?P<number>\d[\d_]*(?:\.\d+)?)\s*(?P<unit>us|ms|s|%|/s)?\s*"
)

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_IN_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "": 1.0}

_PERCENTS = {f"p{percent:g}": percent for percent in PERCENTS}
_EXTREMES = ("mean", "min", "max")

_SHARES: dict[str, Callable[[NameStatistics], tuple[int, int]]] = {
    "error_rate": lambda one: (one.counts.errors, one.counts.sent),
    "rejected_rate": lambda one: (one.counts.rejected, one.counts.sent),
    "failed_rate": lambda one: (one.counts.failed, one.counts.sent),
    "timed_out_rate": lambda one: (one.counts.timed_out, one.counts.sent),
    "unknown_rate": lambda one: (one.counts.unknown, one.counts.sent),
    "dropped_rate": lambda one: (one.counts.dropped, one.counts.scheduled),
}

_METRICS = (*_PERCENTS, *_EXTREMES, "rate", "count", *_SHARES)


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """One threshold; ``limit`` is in ``unit``: ms, %, /s or none."""

    expression: str
    name: str
    worst: bool
    time: str
    metric: str
    comparison: str
    limit: float
    unit: str

    def judge(
        self,
        total: NameStatistics,
        names: Sequence[NameStatistics],
        worst: WindowStatistics | None,
    ) -> ThresholdVerdict:
        """Compare with what was measured. What could not be measured is not met."""
        if self.worst:
            if worst is None:
                return self._unmeasured("the measured part is shorter than a window of ten seconds")
            measured = worst.total
        elif self.name:
            found = next((one for one in names if one.name == self.name), None)
            if found is None:
                known = ", ".join(one.name for one in names) or "none"
                return self._unmeasured(f"no request has this name; there are: {known}")
            measured = found
        else:
            measured = total
        value, reason = self._read(measured)
        if value is None:
            return self._unmeasured(reason)
        return ThresholdVerdict(
            expression=self.expression,
            ok=_COMPARE[self.comparison](value, self.limit),
            value=value,
            unit=self.unit,
        )

    def _read(self, measured: NameStatistics) -> tuple[float | None, str]:
        if self.metric in _SHARES:
            part, whole = _SHARES[self.metric](measured)
            return (part / whole * 100, "") if whole else (None, "nothing was sent")
        if self.metric == "rate":
            return measured.per_second, ""
        if self.metric == "count":
            return float(measured.counts.ok), ""
        times: Latency = getattr(measured, self.time)
        if self.metric in _EXTREMES:
            return getattr(times, f"{self.metric}_ms"), "there are no samples"
        percent = _PERCENTS[self.metric]
        one = next(one for one in times.percentiles if one.percent == percent)
        return one.ms, one.reason

    def _unmeasured(self, reason: str) -> ThresholdVerdict:
        return ThresholdVerdict(
            expression=self.expression, ok=False, value=None, unit=self.unit, detail=reason
        )


def parse_threshold(expression: str) -> Threshold:
    """Read a threshold; raise :class:`PlanUnusable` when it cannot be understood."""
    match = _FORM.fullmatch(expression)
    if match is None:
        raise PlanUnusable(
            f"threshold {expression!r} cannot be read: write it like p99<30ms, error_rate<0.1%, "
            "rate>=5000 or payment.create:p99<=50ms"
        )
    metric, unit, time = match["metric"], match["unit"] or "", match["time"] or ""
    is_time = metric in _PERCENTS or metric in _EXTREMES
    if metric not in _METRICS or (time and not is_time):
        raise PlanUnusable(
            f"threshold {expression!r}: there is no {time}{metric}; there are {', '.join(_METRICS)}"
        )
    if match["name"] and match["worst"]:
        raise PlanUnusable(
            f"threshold {expression!r}: the worst window is known of all names together only"
        )
    limit = float(match["number"].replace("_", ""))
    if is_time and unit in _IN_MS:
        limit, unit = limit * _IN_MS[unit], "ms"
    elif (metric in _SHARES and unit in ("", "%")) or (metric == "rate" and unit in ("", "/s")):
        # A bare share is a fraction: error_rate<0.001 and error_rate<0.1% are the same.
        limit = limit * 100 if metric in _SHARES and not unit else limit
        unit = "%" if metric in _SHARES else "/s"
    elif metric != "count" or unit:
        raise PlanUnusable(f"threshold {expression!r}: {unit} is no unit of {metric}")
    return Threshold(
        expression=expression.strip(),
        name=(match["name"] or "").strip(),
        worst=bool(match["worst"]),
        time=time.removesuffix("_") or "response",
        metric=metric,
        comparison=match["operator"],
        limit=limit,
        unit=unit,
    )
