"""Metric families in Prometheus's own classes, built in as few words as the tables below need."""

import math
from collections.abc import Iterable, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from kernel.buckets import BucketStatistics

__all__ = ("Rows", "counter", "gauge", "histogram")

# The values of one family by the values of its labels.
Rows = Iterable[tuple[tuple[str, ...], float]]


def gauge(
    name: str, text: str, value: float | Rows | None, labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    """Return a gauge: of one value, NaN for None that could not be measured, or of rows."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, one in _rows(value):
        family.add_metric(values, one)
    return family


def counter(
    name: str, text: str, value: float | Rows, labels: tuple[str, ...] = ()
) -> CounterMetricFamily:
    """Return a counter, of one value or of rows. Its name ends in ``_total``."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, one in _rows(value):
        family.add_metric(values, one)
    return family


def _rows(value: float | Rows | None) -> Rows:
    if value is None:
        return [((), math.nan)]
    if isinstance(value, int | float):
        return [((), float(value))]
    return value


def histogram(
    name: str, text: str, rows: Mapping[tuple[str, ...], BucketStatistics],
    labels: tuple[str, ...] = (),
) -> HistogramMetricFamily:  # fmt: skip
    """Return a histogram with one series for each row."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, statistics in rows.items():
        seen = 0
        buckets = []
        bounds = (*statistics.bounds, math.inf)
        for bound, count in zip(bounds, statistics.counts, strict=True):
            seen += count
            buckets.append(("+Inf" if math.isinf(bound) else f"{bound:g}", float(seen)))
        family.add_metric(values, buckets=buckets, sum_value=statistics.total)
    return family
