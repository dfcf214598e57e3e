"""What a payment costs: CPU by process, log bytes, fsyncs, transactions, statements, wire bytes.

Counters are read at both ends of a window, and their difference is divided by the payments made in
it. Postgres makes the counts of a backend known once a second at the latest, so in a window of ten
seconds fsyncs and transactions are right to a tenth.
"""

import contextlib
import time

import asyncpg
import msgspec
import psutil

from loadtest.wire import WireBytes, read_wire_bytes

__all__ = ("Cost", "CpuSplit", "Reading", "cost_each", "read_costs")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of one moment; CPU in seconds, None for what is not ours to see.

    ``machine_s`` is the CPU time that all cores together spent on anything, ``cores`` how many
    there are. ``transactions`` counts those of the one database; ``statements`` is what the service
    says that it sent, and the wire bytes are of all connections that a server has now.
    """

    at_s: float
    machine_s: float
    service_s: float | None
    nats_s: float | None
    postgres_s: float | None
    wal_bytes: int
    cores: int = 1
    wal_fsyncs: int | None = None
    transactions: int | None = None
    statements: int | None = None
    nats_wire: WireBytes | None = None
    postgres_wire: WireBytes | None = None


class CpuSplit(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time in microseconds for one payment."""

    generator: float
    service: float | None
    nats: float | None
    postgres: float | None


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one payment took.

    ``other_cores`` is what the machine did beside it meanwhile, in cores: other programs, and
    the part of the kernel's work that it books on no process. Much of it spoils the figures.
    """

    cpu_us: CpuSplit
    wal_bytes: float
    other_cores: float | None
    wal_fsyncs: float | None = None
    transactions: float | None = None
    statements: float | None = None
    nats_wire_bytes: float | None = None
    postgres_wire_bytes: float | None = None


# Postgres 18 counts them with all other input and output, those before it by themselves.
_FSYNCS = {
    True: "SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'",
    False: "SELECT wal_sync FROM pg_stat_wal",
}
_TRANSACTIONS = (
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)
_POSTGRES_18 = 18


async def read_costs(
    postgres: "asyncpg.Connection[asyncpg.Record]",
    *,
    service_pid: int | None,
    nats_pid: int | None,
    postgres_pid: int | None,
    statements: int | None = None,
    nats_port: int | None = None,
    postgres_port: int | None = None,
) -> Reading:
    """Read all counters now; ``statements`` is what the service said of itself just before."""
    ports = [port for port in (nats_port, postgres_port) if port is not None]
    wire = (read_wire_bytes(*ports) if ports else None) or {}
    wal = await postgres.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    new = postgres.get_server_version().major >= _POSTGRES_18
    fsyncs = await postgres.fetchval(_FSYNCS[new])
    transactions = await postgres.fetchval(_TRANSACTIONS)
    cpu = psutil.cpu_times()
    return Reading(
        at_s=time.perf_counter(),
        machine_s=sum(cpu) - cpu.idle - getattr(cpu, "iowait", 0.0),
        service_s=_tree_cpu_s(service_pid),
        nats_s=_tree_cpu_s(nats_pid),
        postgres_s=_tree_cpu_s(postgres_pid),
        wal_bytes=int(wal),
        cores=psutil.cpu_count() or 1,
        wal_fsyncs=int(fsyncs),
        transactions=int(transactions),
        statements=statements,
        nats_wire=None if nats_port is None else wire.get(nats_port),
        postgres_wire=None if postgres_port is None else wire.get(postgres_port),
    )


def cost_each(before: Reading, after: Reading, *, payments: int, generator_cpu_us: float) -> Cost:
    """Return the cost of one of ``payments`` made between the readings."""
    payments = max(payments, 1)

    def count(start: float | None, end: float | None) -> float | None:
        return None if start is None or end is None else max(end - start, 0.0) / payments

    def wire(start: WireBytes | None, end: WireBytes | None) -> float | None:
        return None if start is None or end is None else count(start.both, end.both)

    def each(start: float | None, end: float | None) -> float | None:
        return None if start is None or end is None else (end - start) / payments * 1e6

    cpu_us = CpuSplit(
        generator=generator_cpu_us,
        service=each(before.service_s, after.service_s),
        nats=each(before.nats_s, after.nats_s),
        postgres=each(before.postgres_s, after.postgres_s),
    )
    other_cores = None
    if cpu_us.service is not None and cpu_us.nats is not None and cpu_us.postgres is not None:
        each_us = cpu_us.generator + cpu_us.service + cpu_us.nats + cpu_us.postgres
        other_s = after.machine_s - before.machine_s - each_us * payments / 1e6
        other_cores = max(other_s, 0.0) / (after.at_s - before.at_s)
    return Cost(
        cpu_us=cpu_us,
        wal_bytes=(after.wal_bytes - before.wal_bytes) / payments,
        other_cores=other_cores,
        wal_fsyncs=count(before.wal_fsyncs, after.wal_fsyncs),
        transactions=count(before.transactions, after.transactions),
        statements=count(before.statements, after.statements),
        nats_wire_bytes=wire(before.nats_wire, after.nats_wire),
        postgres_wire_bytes=wire(before.postgres_wire, after.postgres_wire),
    )


def _tree_cpu_s(pid: int | None) -> float | None:
    """Return the CPU time of a process and all its children, living and dead.

    A child's time moves to its parent's `children_*` when it ends, so the sum never runs backwards
    and a short-lived Postgres worker is not lost.
    """
    if pid is None:
        return None
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
