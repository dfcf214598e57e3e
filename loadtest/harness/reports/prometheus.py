"""The figures of a run for Prometheus, while it goes on.

Everything is cumulative since the start of the run, warm-up included and told apart by the label
``measured``, as Prometheus wants it. The endpoint has a thread of its own in the process that
coordinates the run, and no load is made there.
"""

from bisect import bisect_left
from collections.abc import Iterator
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import generate_latest, start_http_server
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from loadtest.harness.control import Observer, RunControl
from loadtest.harness.model import NameSample, Sample, add_counts
from loadtest.histogram import HistogramSnapshot, middle_ns

__all__ = ("BOUNDS_S", "PrometheusExporter")

# A third of a decade each, from where a lag is unavoidable to the longest deadline anybody sets;
# finer ones are what the .hlog file is for.
BOUNDS_S = (
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.03, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_NS_PER_S = 1_000_000_000

_OUTCOMES = ("ok", "rejected", "failed", "timed_out", "unknown")
_TIMES = {
    "response": "Time from the intended start of a request to its answer.",
    "service": "Time from when a request was really sent to its answer.",
    "lag": "How long after its intended start a request was sent: the harness's own doing.",
}

_Labels = tuple[str, str]


class _Buckets:
    """A cumulative histogram of one name."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, times: HistogramSnapshot) -> None:
        for index, count in times.counts.items():
            seconds = middle_ns(index) / _NS_PER_S
            self._counts[bisect_left(BOUNDS_S, seconds)] += count
            self.sum_s += seconds * count

    def cumulative(self) -> list[tuple[str, float]]:
        seen, buckets = 0, []
        for bound, count in zip((*BOUNDS_S, float("inf")), self._counts, strict=True):
            seen += count
            buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(seen)))
        return buckets


class _Run(Collector):
    """All series of one run; the names and codes are bounded by the recorder."""

    def __init__(self) -> None:
        self.control: RunControl | None = None
        self._last: Sample | None = None
        self._counts: dict[_Labels, NameSample] = {}
        self._times: dict[str, dict[_Labels, _Buckets]] = {time: {} for time in _TIMES}
        self._late = 0

    def add(self, sample: Sample) -> None:
        for one in sample.names:
            labels = (one.name, "true" if one.measured else "false")
            old = self._counts.get(labels)
            parts = [one.counts] if old is None else [old.counts, one.counts]
            self._counts[labels] = NameSample(
                name=one.name, phase="", measured=one.measured, counts=add_counts(parts)
            )
            for time, by_labels in self._times.items():
                by_labels.setdefault(labels, _Buckets()).add(getattr(one, time))
        self._late += sample.generator.late
        # Last of all: the thread of a scrape sees a second as a whole, or not yet.
        self._last = sample

    def collect(self) -> Iterator[Metric]:
        yield from self._about()
        yield from self._requests()
        for time, text in _TIMES.items():
            family = HistogramMetricFamily(
                f"zhihui_load_{time}_seconds", text, labels=("name", "measured")
            )
            for labels, buckets in list(self._times[time].items()):
                family.add_metric(labels, buckets.cumulative(), buckets.sum_s)
            yield family

    def _about(self) -> Iterator[Metric]:
        if self.control is not None:
            about = {"run_id": self.control.run_id, "scenario": self.control.plan.scenario}
            yield InfoMetricFamily("zhihui_load_run", "The run that is told of.", about)
        last = self._last
        if last is None:
            return
        health = last.generator
        phase = GaugeMetricFamily(
            "zhihui_load_phase", "1 for the phase of the last second.", labels=("phase", "measured")
        )
        phase.add_metric((last.phase, "true" if last.measured else "false"), 1)
        yield phase
        gauges = (
            ("elapsed_seconds", "Since the start of the load.", last.start_s + last.seconds),
            ("users", "Users that run; none in an open run.", last.users),
            ("in_flight", "Requests sent and not yet answered.", last.in_flight),
            ("generator_cpu_ratio", "CPU of its busiest process, of one core.", health.cpu_share),
            ("generator_memory_bytes", "Memory of its processes.", health.memory_bytes),
            ("generator_processes", "Processes that make the load.", health.processes),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"zhihui_load_{name}", text, value)
        if last.target_rate is not None:
            yield GaugeMetricFamily(
                "zhihui_load_target_requests_per_second",
                "Arrivals that the plan asks for.",
                last.target_rate,
            )
        yield CounterMetricFamily(
            "zhihui_load_late_starts", "Requests that left later than tolerated.", self._late
        )

    def _requests(self) -> Iterator[Metric]:
        labels = ("name", "measured")
        scheduled = CounterMetricFamily(
            "zhihui_load_scheduled_requests", "Requests that the plan asked for.", labels=labels
        )
        sent = CounterMetricFamily(
            "zhihui_load_sent_requests", "Requests that left.", labels=labels
        )
        dropped = CounterMetricFamily(
            "zhihui_load_dropped_requests",
            "Requests that never left: too many were under way.",
            labels=labels,
        )
        outcomes = CounterMetricFamily(
            "zhihui_load_requests", "Requests by how they ended.", labels=(*labels, "outcome")
        )
        codes = CounterMetricFamily(
            "zhihui_load_errors", "Requests that were not ok, by code.", labels=(*labels, "code")
        )
        for of, one in list(self._counts.items()):
            counts = one.counts
            scheduled.add_metric(of, counts.scheduled)
            sent.add_metric(of, counts.sent)
            dropped.add_metric(of, counts.dropped)
            for outcome in _OUTCOMES:
                outcomes.add_metric((*of, outcome), getattr(counts, outcome))
            for code, count in counts.codes.items():
                codes.add_metric((*of, code), count)
        yield from (scheduled, sent, dropped, outcomes, codes)


class PrometheusExporter(Observer):
    """Serves ``/metrics`` from :meth:`start` to :meth:`stop`.

    ``host`` 127.0.0.1 is for a Prometheus on this machine; the figures are no secret, but nobody
    else needs them. ``port`` 0 takes a free one.
    """

    def __init__(self, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self._host = host
        self._port = port
        self._run = _Run()
        self._registry = CollectorRegistry()
        self._registry.register(self._run)
        self._server: tuple[WSGIServer, Thread] | None = None

    @property
    def url(self) -> str:
        """Return where the figures are."""
        return f"http://{self._host}:{self._port}/metrics"

    def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        self._server = start_http_server(self._port, addr=self._host, registry=self._registry)
        self._port = int(self._server[0].server_port)

    def stop(self) -> None:
        """Close the port and end the thread."""
        if self._server is not None:
            server, thread = self._server
            self._server = None
            server.shutdown()
            server.server_close()
            thread.join()

    def text(self) -> str:
        """Return the figures as they are served."""
        return generate_latest(self._registry).decode()

    async def on_start(self, control: RunControl) -> None:
        """Name the run."""
        self._run.control = control

    async def on_interval(self, sample: Sample) -> None:
        """Count a second."""
        self._run.add(sample)
