"""The last snapshot of a node as Prometheus reads it. Runs in a thread, never on the loop."""

import platform
import threading
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from zhihui.instruments.bank_families import bank_families
from zhihui.instruments.engine_families import engine_families
from zhihui.instruments.families import counter, gauge, histogram
from zhihui.instruments.observer import Observer
from zhihui.version import VERSION

__all__ = ("RENDER_EVERY_S", "Exposition", "NodeCollector")

# Rendering takes some ten milliseconds of the interpreter's lock. Whoever asks more often, or
# beside another, gets the page of a moment ago.
RENDER_EVERY_S = 0.5


class NodeCollector(Collector):
    """Turns the last snapshot into families; before the start there are only those of the node."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def describe(self) -> list[Metric]:
        """Return nothing: the names need not be known before there is a snapshot."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        observer = self._observer
        snapshot = observer.snapshot
        yield gauge(
            "zhihui_build_info",
            "1, with what this process was built from.",
            [((VERSION, platform.python_version(), platform.python_implementation()), 1)],
            ("version", "python", "implementation"),
        )
        yield gauge(
            "zhihui_node_info", "1, with the node's name.", [((observer.node,), 1)], ("node",)
        )
        yield gauge(
            "zhihui_ready",
            "1 while requests are taken and both servers answered their last round trips.",
            snapshot is not None and snapshot.statistics.ready,
        )
        yield counter(
            "zhihui_instruments_failures_total",
            "What the instruments themselves failed in, by part.",
            [
                (("snapshot",), observer.failures), (("database",), observer.database_failures),
            ],
            ("part",),
        )  # fmt: skip
        if snapshot is None:
            return
        yield gauge(
            "zhihui_snapshot_timestamp_seconds",
            "When the loop published what is told here; old means that the loop hangs.",
            snapshot.taken_at_s,
        )
        yield histogram(
            "zhihui_event_loop_lag_seconds",
            "By how much a wait of 0.1 s on the event loop was too long.",
            {(): snapshot.loop_lag_s},
        )
        yield from engine_families(snapshot)
        yield from bank_families(snapshot)


class Exposition:
    """Renders the page of metrics, at most every :data:`RENDER_EVERY_S`."""

    def __init__(self, observer: Observer) -> None:
        self._clock = observer.clock
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(observer))
        ProcessCollector(registry=self._registry)
        self._lock = threading.Lock()
        # By content type: the page and when it was rendered.
        self._pages: dict[str, tuple[float, bytes]] = {}

    def page(self, accept: str) -> tuple[str, bytes]:
        """Return content type and page for what a client accepts."""
        encode, content_type = choose_encoder(accept)
        with self._lock:
            now_s = self._clock.monotonic_s()
            kept = self._pages.get(content_type)
            if kept is None or now_s - kept[0] >= RENDER_EVERY_S:
                # A client may ask for many forms; only the last two are kept.
                while len(self._pages) >= 2:
                    self._pages.pop(next(iter(self._pages)))
                kept = self._pages[content_type] = (now_s, encode(self._registry))
            return content_type, kept[1]
