"""The benchmark: the product, the honest baseline and the raw limit of Postgres, in one run.

The product and the baseline stand beside each other on the same servers, each with its own copy of
one seeded database, and are loaded in turns by the same generator: AB, BA, AB… so that what drifts
on the machine hits both. Only one is loaded at a time, and the product's events are all relayed
before the other's turn. The raw limit comes last, when both have been stopped.
"""

import os
import shutil
import time
from pathlib import Path

import anyio
import asyncpg
import msgspec
from rich.console import Console
from rich.markup import escape

from loadtest.cost import Reading, cost_each, read_costs
from loadtest.databases import Databases, create_databases, drop_databases, relay_progress
from loadtest.lean import LeanError, check_target
from loadtest.machine import describe_machine
from loadtest.plan import Plan
from loadtest.processes import ProcessFailed, run_generator, running_service
from loadtest.raw_limit import measure_raw_limit
from loadtest.report import BenchReport, RawMeasurement, print_report
from loadtest.verdicts import Measurement, Verdict, judge
from loadtest.workload import APP, Population
from schemas.subjects import request_subject
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.servers import (
    NATS_URL_VARIABLE,
    POSTGRES_DSN_VARIABLE,
    Servers,
    running_servers,
)

__all__ = ("run_bench",)

_PRODUCT = "product"
_BASELINE = "baseline"
_SUBJECTS = {
    _PRODUCT: request_subject(APP, "payment", "create"),
    _BASELINE: f"zh.baseline.v1.{APP}.payment.create",
}

_BUILD = Path("build")

# After two seconds the connections, prepared statements and hot pages of either system are warm.
_WARMUP_S = 2.0

# The events of the filling take some ten seconds.
_CATCH_UP_DEADLINE_S = 120.0
# The relay may lag behind a round, but not for longer than this.
_RELAY_DEADLINE_S = 120.0
_RELAY_POLL_S = 0.05


def run_bench(*, seconds: float, rounds: int, in_flight: int, data_dir: Path | None) -> int:
    """Measure, print the table, write ``build/bench.json``; return 0 when all verdicts are good.

    ``seconds`` is the measured part of each round, after a warm-up. The embedded servers run on
    ``data_dir``; without one, on a directory that is removed at the end.
    """
    console = Console()
    # A name of our own: another run may be using its directory right now.
    directory = data_dir or _BUILD / f"bench-{os.getpid()}"
    bench = _Bench(console, directory, seconds=seconds, rounds=rounds, in_flight=in_flight)
    failed = False
    try:
        report = anyio.run(bench.run, backend_options={"use_uvloop": True})
    except (LeanError, ProcessFailed) as error:
        failed = True
        # The message may quote a log, whose brackets are not markup.
        console.print(
            f"[bold red]The benchmark could not run:[/] {escape(str(error))}",
            highlight=False,
            soft_wrap=True,
        )
        return 1
    finally:
        # After a failure the logs are wanted.
        if data_dir is None and not failed:
            shutil.rmtree(directory, ignore_errors=True)
    _BUILD.mkdir(exist_ok=True)
    path = _BUILD / "bench.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    print_report(report, console)
    console.print(f"All figures: {path}")
    return 0 if all(verdict.ok for verdict in report.verdicts) else 1


class _Relay(msgspec.Struct, frozen=True):
    active: bool
    lag: int


class _NodeStatistics(msgspec.Struct, frozen=True):
    relay: _Relay


class _Stats(msgspec.Struct, frozen=True):
    """What is read here of what a node says about itself."""

    node: _NodeStatistics


async def _caught_up(nats_url: str) -> None:
    """Wait until the product has relayed the events that were there before it started.

    The stream is new, so the relay fills it from the outbox; measured meanwhile, a payment would
    seem to cost several events.
    """
    with anyio.move_on_after(_CATCH_UP_DEADLINE_S):
        async with Client(app="bench", url=nats_url) as client:
            while True:
                answer = await client.request_raw("$SRV.STATS.zhihui", b"", timeout_s=5.0)
                relay = msgspec.json.decode(answer, type=_Stats).node.relay
                if relay.active and relay.lag == 0:
                    return
                await anyio.sleep(_RELAY_POLL_S)
    raise ProcessFailed(
        f"the product has not relayed the events of the filling in {_CATCH_UP_DEADLINE_S:.0f} s"
    )


class _Bench:
    """One run, from the start of the servers to the report."""

    def __init__(
        self, console: Console, directory: Path, *, seconds: float, rounds: int, in_flight: int
    ) -> None:
        self._console = console
        self._directory = directory
        self._seconds = seconds
        self._rounds = rounds
        self._in_flight = in_flight
        self._population = Population()
        self._measurements: list[Measurement] = []
        self._verdicts: list[Verdict] = []

    async def run(self) -> BenchReport:
        """Do all of it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        async with running_servers(self._directory) as servers:
            check_target(servers.nats_url)
            machine = await describe_machine(
                self._directory, postgres_dsn=servers.postgres_dsn, nats_url=servers.nats_url
            )
            self._say("filling three databases with the same accounts")
            databases = await create_databases(
                servers.postgres_dsn, self._population, log=self._directory / "bench-migrate.log"
            )
            await self._measure_services(servers, databases)
            raw = await self._measure_raw(servers, databases)
            await self._audit(_PRODUCT, databases.product)
            await self._audit(_BASELINE, databases.baseline)
            if all(verdict.ok for verdict in self._verdicts):
                await drop_databases(servers.postgres_dsn)
        return BenchReport(
            machine=machine,
            seconds=self._seconds,
            warmup_s=_WARMUP_S,
            rounds=self._rounds,
            in_flight=self._in_flight,
            population=self._population,
            measurements=tuple(self._measurements),
            raw=raw,
            verdicts=tuple(self._verdicts),
        )

    async def _measure_services(self, servers: Servers, databases: Databases) -> None:
        product = running_service(
            ["zhihui", "node", "--name", "bench"],
            name="the product's node",
            log=self._directory / "bench-product.log",
            environment={
                NATS_URL_VARIABLE: servers.nats_url,
                POSTGRES_DSN_VARIABLE: databases.product,
            },
        )
        baseline = running_service(
            ["loadtest.baseline.service"],
            name="the baseline",
            log=self._directory / "bench-baseline.log",
            environment={
                NATS_URL_VARIABLE: servers.nats_url,
                POSTGRES_DSN_VARIABLE: databases.baseline,
            },
        )
        connection = await asyncpg.connect(databases.product)
        try:
            async with product as product_pid, baseline as baseline_pid:
                pids = {_PRODUCT: product_pid, _BASELINE: baseline_pid}
                self._say("waiting until the events of the filling are relayed")
                await _caught_up(servers.nats_url)
                for number in range(self._rounds):
                    order = (_PRODUCT, _BASELINE) if number % 2 == 0 else (_BASELINE, _PRODUCT)
                    for system in order:
                        await self._measure(servers, connection, system, pids[system], number)
        finally:
            await connection.close()

    async def _measure(
        self,
        servers: Servers,
        connection: "asyncpg.Connection[asyncpg.Record]",
        system: str,
        pid: int,
        number: int,
    ) -> None:
        readings: list[Reading] = []

        async def on_phase(_phase: str) -> None:
            readings.append(
                await read_costs(
                    connection,
                    service_pid=pid,
                    nats_pid=servers.nats_pid,
                    postgres_pid=servers.postgres_pid,
                )
            )

        plan = Plan(
            url=servers.nats_url,
            subject=_SUBJECTS[system],
            in_flight=self._in_flight,
            warmup_s=_WARMUP_S,
            seconds=self._seconds,
            seed=number + 1,
            population=self._population,
        )
        log = self._directory / "bench-generator.log"
        load = await run_generator(plan, log=log, on_phase=on_phase)
        assert len(readings) == 2
        relay_s = await self._wait_relayed(connection) if system == _PRODUCT else None
        measurement = Measurement(
            system=system,
            round=number + 1,
            load=load,
            cost=cost_each(*readings, payments=load.ok, generator_cpu_us=load.cpu_us_each),
            relays=system == _PRODUCT,
            relay_s=relay_s,
        )
        self._measurements.append(measurement)
        self._say(
            f"round {number + 1} of {self._rounds}: {system:8} {load.per_second:8,.0f} payments/s, "
            f"p50 {load.p50_ms:.1f} ms, p99 {load.p99_ms:.1f} ms"
        )

    async def _wait_relayed(self, connection: "asyncpg.Connection[asyncpg.Record]") -> float | None:
        """Wait until every event is relayed; return how long it took, None when it did not end."""
        began = time.perf_counter()
        with anyio.move_on_after(_RELAY_DEADLINE_S):
            while True:
                progress = await relay_progress(connection)
                if progress.relayed >= progress.last:
                    return time.perf_counter() - began
                await anyio.sleep(_RELAY_POLL_S)
        return None

    async def _measure_raw(self, servers: Servers, databases: Databases) -> RawMeasurement:
        connection = await asyncpg.connect(databases.raw)
        try:
            before = await self._read_servers(connection, servers)
            limit = await measure_raw_limit(
                databases.raw, seconds=self._seconds, population=self._population, seed=1
            )
            after = await self._read_servers(connection, servers)
        finally:
            await connection.close()
        self._say(f"raw limit: {limit.per_second:,.0f} payments/s")
        cost = cost_each(before, after, payments=limit.payments, generator_cpu_us=0.0)
        return RawMeasurement(limit=limit, cost=cost)

    async def _read_servers(
        self, connection: "asyncpg.Connection[asyncpg.Record]", servers: Servers
    ) -> Reading:
        return await read_costs(
            connection, service_pid=None, nats_pid=None, postgres_pid=servers.postgres_pid
        )

    async def _audit(self, system: str, dsn: str) -> None:
        self._say(f"auditing the {system}'s ledger")
        rounds = [m for m in self._measurements if m.system == system]
        self._verdicts += judge(system, rounds, await run_audit(dsn))

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False)
