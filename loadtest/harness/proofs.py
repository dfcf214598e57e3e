"""What the harness claims of itself, measured: ``python -m loadtest.harness.proofs``.

``lag`` runs the lean engine at 1,000 to 20,000 requests a second against a service that answers at
once, and shows how late requests left. ``memory`` shows what a thousand idle users take, and
whether the memory of generator and coordinator grows in a long run. ``record`` shows what the
histogram costs. Run it on a machine that does nothing else.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from loadtest.harness.control import Observer, RunControl
from loadtest.harness.model import Sample
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import RunResult
from loadtest.harness.runner import run_load
from loadtest.harness.target import Target
from loadtest.histogram import Histogram
from zhihui.embedded.nats_server import EmbeddedNats

__all__ = ("MemoryWatch", "echoing", "main", "measure_idle_users")

_RATES = (1_000, 2_000, 5_000, 10_000, 20_000)
_MIB = 1024 * 1024

# Users come and do something at once; were they to come all together, the memory of all that is
# under way then would be measured, and not that of those who wait.
_SPAWN_RATE = 1_000.0

_SCENARIO = """
from loadtest import Flow, User, constant, task


class Probe(Flow):
    service, verb = "probe", "ask"

    def body(self, request_id):
        return b'{"request_id":"%b"}' % request_id.encode()


class Idler(User):
    wait_time = constant(3600)

    @task
    async def ask(self):
        await self.client.call("probe", "ask")
"""


@asynccontextmanager
async def echoing(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """Run NATS and a service that answers at once; yield the address and a scenario for it."""
    nats = EmbeddedNats(folder)
    await nats.start()
    echo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtest.harness.echo", "--url", nats.url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert echo.stdout is not None
    assert echo.stdin is not None
    try:
        await echo.stdout.readline()
        path = folder / "probe.py"
        path.write_text(_SCENARIO, "utf-8")
        yield nats.url, path
    finally:
        echo.stdin.close()
        await echo.wait()
        await nats.stop()


class MemoryWatch(Observer):
    """Notes, each second, the memory of the generators and of the coordinating process."""

    def __init__(self) -> None:
        self.generators: list[int] = []
        self.coordinator: list[int] = []
        self._own = psutil.Process()

    async def on_start(self, control: RunControl) -> None:
        """Begin anew."""
        self.generators, self.coordinator = [], []

    async def on_interval(self, sample: Sample) -> None:
        """Note a second."""
        self.generators.append(sample.generator.memory_bytes)
        self.coordinator.append(self._own.memory_info().rss)


async def measure_idle_users(url: str, scenario: Path, users: int) -> float:
    """Return how many bytes a user takes who waits, from the difference of two runs."""
    sizes = []
    for count in (1, users):
        watch = MemoryWatch()
        plan = RunPlan(
            scenario=str(scenario), users=count, spawn_rate=_SPAWN_RATE, warmup_s=0.0,
            duration_s=2.5 + count / _SPAWN_RATE,
        )  # fmt: skip
        await run_load(plan, target=Target(url), observers=(watch,))
        sizes.append(watch.generators[-2])
    return (sizes[1] - sizes[0]) / (users - 1)


async def _lag(console: Console, url: str, scenario: Path, seconds: float) -> None:
    table = Table("a second", "sent", "lag p50", "p90", "p99", "response p50", "CPU/request")
    for rate in _RATES:
        plan = RunPlan(
            scenario=str(scenario), engine="lean", arrivals=str(rate), warmup_s=1.0,
            duration_s=seconds,
        )  # fmt: skip
        result = await run_load(plan, target=Target(url))
        table.add_row(*_lag_row(rate, result))
        console.print(f"{rate:,} a second done", style="dim")
    console.print(table)


def _lag_row(rate: int, result: RunResult) -> list[str]:
    total = result.total
    lags = [f"{total.lag.percentile_ms(percent) or 0:.3f} ms" for percent in (50, 90, 99)]
    cpu_us = result.generator.cpu_s / max(total.counts.sent, 1) * 1e6
    response = f"{total.response.percentile_ms(50) or 0:.3f} ms"
    return [f"{rate:,}", f"{total.counts.sent:,}", *lags, response, f"{cpu_us:.1f} µs"]


async def _memory(console: Console, url: str, scenario: Path, seconds: float) -> None:
    each = await measure_idle_users(url, scenario, 10_000)
    console.print(f"1,000 users who wait take {each * 1_000 / _MIB:.2f} MiB")
    watch = MemoryWatch()
    plan = RunPlan(
        scenario=str(scenario), engine="lean", arrivals="5000", warmup_s=5.0, duration_s=seconds
    )
    result = await run_load(plan, target=Target(url), observers=(watch,))
    table = Table("after", "generator", "coordinator")
    last = len(watch.generators) - 2
    for index in sorted({min(10, last), last // 4, last // 2, 3 * last // 4, last}):
        sizes = (watch.generators[index], watch.coordinator[index])
        table.add_row(f"{index} s", *(f"{size / _MIB:.1f} MiB" for size in sizes))
    console.print(f"5,000 a second for {seconds:.0f} s, {result.total.counts.ok:,} ok")
    console.print(table)


def _record(console: Console) -> None:
    histogram = Histogram()
    times = [int(1e6 * (1 + (n * 7919 % 1000) / 250)) for n in range(20_000)]
    best = min(_timed(histogram, times) for _ in range(20))
    console.print(f"recording a time takes {best * 1e6:.3f} µs")


def _timed(histogram: Histogram, times: list[int]) -> float:
    record = histogram.record_ns
    began = time.perf_counter()
    for ns in times:
        record(ns)
    return (time.perf_counter() - began) / len(times)


async def _run(what: str, seconds: float) -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        async with echoing(Path(folder)) as (url, scenario):
            if what in ("lag", "all"):
                await _lag(console, url, scenario, seconds)
            if what in ("memory", "all"):
                await _memory(console, url, scenario, seconds)
    if what in ("record", "all"):
        _record(console)


def main() -> int:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.harness.proofs", description=__doc__)
    parser.add_argument(
        "what", choices=("all", "lag", "memory", "record"), nargs="?", default="all"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rate, and of memory")
    given = parser.parse_args()
    uvloop.run(_run(given.what, given.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
