"""What a benchmark found, as data and as a table."""

import statistics
from collections.abc import Callable

import msgspec
from rich.console import Console
from rich.table import Table

from loadtest.cost import Cost
from loadtest.machine import Machine
from loadtest.plan import Result
from loadtest.raw_limit import RawLimit
from loadtest.verdicts import Measurement, Verdict
from loadtest.workload import Population

__all__ = ("BenchReport", "RawMeasurement", "print_report")

# Above this share of a core the generator itself may have been the limit.
_GENERATOR_BUSY = 0.9

# On a quiet machine of two cores the kernel's own work took a tenth of a core or less.
_OTHER_CORES_MAX = 0.25


class RawMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """The raw limit of Postgres, and its cost."""

    limit: RawLimit
    cost: Cost


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, as `build/bench.json` has it."""

    machine: Machine
    seconds: float
    warmup_s: float
    rounds: int
    in_flight: int
    population: Population
    measurements: tuple[Measurement, ...]
    raw: RawMeasurement
    verdicts: tuple[Verdict, ...]

    def of(self, system: str) -> list[Measurement]:
        """Return the rounds of one system in order."""
        return sorted((m for m in self.measurements if m.system == system), key=lambda m: m.round)

    def ratios(self) -> list[float]:
        """Return throughput of the product over the baseline's, round by round."""
        pairs = zip(self.of("product"), self.of("baseline"), strict=True)
        return [a.load.per_second / b.load.per_second for a, b in pairs if b.load.ok]


def print_report(report: BenchReport, console: Console) -> None:
    """Print the figures, what they mean, and where they were taken."""
    _print_machine(report, console)
    table = Table(title="Payments through the public JSON path", title_justify="left")
    table.add_column("median of the rounds")
    for heading in ("(a) product", "(b) baseline", "(c) raw limit"):
        table.add_column(heading, justify="right")
    columns = (
        _column(report, report.of("product")),
        _column(report, report.of("baseline")),
        _raw_column(report.raw),
    )
    for label in columns[0]:
        table.add_row(label, *(column.get(label, "–") for column in columns))
    console.print(table)
    _print_ratio(report, console)
    console.print(
        "CPU and log are of one payment. (a) relays its events to JetStream too, (b) leaves them "
        f"in the outbox. (c) writes batches of {report.raw.limit.batch:,} through one connection "
        "and asks no questions.",
        style="dim",
        highlight=False,
    )
    for warning in _warnings(report):
        console.print(f"[bold yellow]careful[/] {warning}", highlight=False)
    for verdict in report.verdicts:
        mark = "[green]ok[/]  " if verdict.ok else "[bold red]FAIL[/]"
        console.print(f"{mark} {verdict.claim}: {verdict.detail}", highlight=False)


def _warnings(report: BenchReport) -> list[str]:
    rounds = report.measurements
    warnings = []
    limited = [m for m in rounds if m.load.cpu_us_each * m.load.per_second / 1e6 > _GENERATOR_BUSY]
    if limited:
        warnings.append(
            f"the generator was at its limit in {len(limited)} of {len(rounds)} measurements: "
            "their figures are too low"
        )
    others = [m.cost.other_cores for m in rounds if m.cost.other_cores is not None]
    disturbed = [cores for cores in others if cores > _OTHER_CORES_MAX]
    if disturbed:
        warnings.append(
            f"other programs kept up to {max(disturbed):.1f} cores busy in {len(disturbed)} of "
            f"{len(rounds)} measurements: repeat the run on a quiet machine. The system with more "
            "processes gets the larger share of a busy one; CPU for a payment is still comparable"
        )
    return warnings


def _column(report: BenchReport, rounds: list[Measurement]) -> dict[str, str]:
    def median(value: Callable[[Measurement], float | None]) -> float | None:
        values = [found for m in rounds if (found := value(m)) is not None]
        return statistics.median(values) if values else None

    rates = [m.load.per_second for m in rounds]
    rate = statistics.median(rates)
    return {
        "payments/s": f"{rate:,.0f}",
        "  least and most": f"{min(rates):,.0f} – {max(rates):,.0f}",
        "  share of (c)": f"{rate / report.raw.limit.per_second:.0%}",
        "latency p50, ms": _number(median(lambda m: m.load.p50_ms), 1),
        "latency p99, ms": _number(median(lambda m: m.load.p99_ms), 1),
        "not ok, all rounds": f"{sum(_not_ok(m.load) for m in rounds):,}",
        "told to come again": f"{sum(m.load.busy for m in rounds):,}",
        "CPU of the service, µs": _number(median(lambda m: m.cost.cpu_us.service), 1),
        "CPU of Postgres, µs": _number(median(lambda m: m.cost.cpu_us.postgres), 1),
        "CPU of NATS, µs": _number(median(lambda m: m.cost.cpu_us.nats), 1),
        "CPU of the generator, µs": _number(median(lambda m: m.cost.cpu_us.generator), 1),
        "CPU in all, µs": _number(median(_cpu_us), 1),
        "cores busy with it": _number(median(_cores_busy), 2),
        "cores busy otherwise": _number(median(lambda m: m.cost.other_cores), 2),
        "write-ahead log, bytes": _number(median(lambda m: m.cost.wal_bytes)),
    }


def _raw_column(raw: RawMeasurement) -> dict[str, str]:
    return {
        "payments/s": f"{raw.limit.per_second:,.0f}",
        "  share of (c)": "100%",
        "CPU of Postgres, µs": _number(raw.cost.cpu_us.postgres, 1),
        "write-ahead log, bytes": _number(raw.cost.wal_bytes),
    }


def _not_ok(load: Result) -> int:
    return load.rejected + load.failed + load.timed_out


def _cpu_us(measurement: Measurement) -> float | None:
    cpu = measurement.cost.cpu_us
    if cpu.service is None or cpu.nats is None or cpu.postgres is None:
        return None
    return cpu.generator + cpu.service + cpu.nats + cpu.postgres


def _cores_busy(measurement: Measurement) -> float | None:
    each_us = _cpu_us(measurement)
    return None if each_us is None else each_us * measurement.load.per_second / 1e6


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _print_ratio(report: BenchReport, console: Console) -> None:
    ratios = report.ratios()
    if ratios:
        console.print(
            f"(a) is [bold]{statistics.median(ratios):.2f} ×[/] (b), paired by round: "
            f"{', '.join(f'{ratio:.2f}' for ratio in ratios)}",
            highlight=False,
        )


def _print_machine(report: BenchReport, console: Console) -> None:
    machine = report.machine
    people = report.population
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    settings = ", ".join(f"{name} {value}" for name, value in machine.postgres_settings.items())
    console.print(
        f"{report.rounds} rounds of {report.seconds:g} s after {report.warmup_s:g} s of warm-up, "
        f"{report.in_flight} in flight, {people.payers:,} payers by Zipf {people.zipf:g}, "
        f"{people.payees:,} payees\n"
        f"{machine.cores} × {machine.processor}, {machine.memory_gib:.0f} GiB, {machine.system}, "
        f"load {machine.load_average:.1f} before, fdatasync {machine.fdatasync_us:.0f} µs\n"
        f"{versions}\n{settings}",
        style="dim",
        highlight=False,
    )
