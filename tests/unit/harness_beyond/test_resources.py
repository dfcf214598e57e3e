"""Which resource set the limit, from counters whose truth is known."""

import socket

import msgspec
import pytest

from loadtest.cost import Reading, cost_each
from loadtest.harness.costs.node_statistics import NodeSums
from loadtest.harness.costs.resources import (
    BUSY,
    ProcessTimes,
    Resource,
    Usage,
    binding_resource,
    usage_between,
)
from loadtest.wire import WireBytes, read_wire_bytes

_START = Reading(
    at_s=100.0,
    machine_s=50.0,
    service_s=10.0,
    nats_s=1.0,
    postgres_s=5.0,
    wal_bytes=1_000,
    cores=2,
    wal_fsyncs=100,
    transactions=1_000,
    statements=2_000,
    nats_wire=WireBytes(sent=100, received=50),
    postgres_wire=WireBytes(sent=10, received=10),
)


def _usage(
    *, node: float = 0.3, backend: float = 0.2, commit: float = 0.2, **changes: float
) -> Usage:
    """Return the usage of ten seconds in which single processes used these shares of a core."""
    end = msgspec.structs.replace(_START, at_s=110.0, **changes)
    return usage_between(
        _START,
        end,
        processes=(
            ProcessTimes(nodes={1: 0.0, 2: 5.0}, backends={7: 1.0}),
            ProcessTimes(nodes={1: node * 10, 2: 5.1}, backends={7: 1.0 + backend * 10, 8: 99.0}),
        ),
        nodes=(NodeSums(commit_s=3.0), NodeSums(commit_s=3.0 + commit * 10)),
        generator_s=1.0,
        fdatasync_us=100.0,
    )


def test_the_busiest_node_is_the_limit() -> None:
    """A node that used its one core up is named before the machine whose other core was idle."""
    usage = _usage(node=0.98, machine_s=50.0 + 18.0, service_s=20.0, postgres_s=11.0)
    assert usage.binding is not None
    assert usage.binding.name == "node_cpu"
    assert usage.binding.share == pytest.approx(0.98)
    assert usage.sentence() == "one core of the busiest node: 98%"


def test_what_other_programs_took_is_told() -> None:
    """Of 20 core seconds, 12 went to nobody of the run: a reader has to know."""
    usage = _usage(machine_s=50.0 + 20.0, service_s=15.0, postgres_s=7.0)
    assert usage.others == pytest.approx(12.0 / 20.0)
    assert usage.sentence().endswith("careful: other programs used 60% of this machine")


def test_a_full_machine_is_the_limit_when_no_part_of_it_is() -> None:
    """Where many share all cores and none fills one, the machine is what there is no more of."""
    usage = _usage(node=0.7, machine_s=50.0 + 19.5)
    assert usage.binding is not None
    assert usage.binding.name == "machine_cpu"


def test_waiting_for_commits_is_the_limit_when_nothing_else_is() -> None:
    """A journal that always waits for a disk is at its limit though no CPU is busy."""
    usage = _usage(commit=0.97)
    assert usage.binding is not None
    assert usage.binding.name == "commit_path"


def test_the_disk_is_named_before_those_who_wait_for_it() -> None:
    """9,500 flushes a second of a disk that makes 10,000 are the limit, and not the journal."""
    usage = _usage(commit=0.99, wal_fsyncs=100 + 95_000)
    assert usage.binding is not None
    assert usage.binding.name == "fsync"
    assert "9,500 times a second" in usage.binding.detail


def test_nothing_at_its_limit_is_said_so() -> None:
    """Below the mark no resource is named as the limit; the most used one is told."""
    usage = _usage()
    assert usage.binding is None
    assert usage.sentence().startswith("nothing was at its limit; most used, one core of the bus")


def test_a_process_that_came_later_is_not_counted_for_the_time_before() -> None:
    """A backend without a first reading says nothing, however much CPU time it has."""
    shares = {one.name: one.share for one in _usage(backend=0.25).resources}
    assert shares["postgres_backend_cpu"] == pytest.approx(0.25)


def test_the_mark_is_inclusive() -> None:
    """A resource exactly at the mark is the limit; just below it is not."""
    at = Resource(name="x", share=BUSY, detail="x")
    assert binding_resource([at]) == at
    assert binding_resource([msgspec.structs.replace(at, share=BUSY - 0.001)]) is None


def test_a_cost_counts_fsyncs_transactions_statements_and_bytes() -> None:
    """Each is the difference over the payments, and unknown where it was not read."""
    end = msgspec.structs.replace(
        _START,
        at_s=110.0,
        wal_fsyncs=150,
        transactions=1_200,
        statements=2_100,
        nats_wire=WireBytes(sent=600, received=550),
        postgres_wire=None,
    )
    cost = cost_each(_START, end, payments=100, generator_cpu_us=1.0)
    assert (cost.wal_fsyncs, cost.transactions, cost.statements) == (0.5, 2.0, 1.0)
    assert cost.nats_wire_bytes == 10.0
    assert cost.postgres_wire_bytes is None


def test_the_kernel_counts_bytes_of_a_server() -> None:
    """What went over a connection is counted at the server's port, by direction."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            with accepted:
                client.sendall(b"x" * 1_000)
                assert len(accepted.recv(1_000, socket.MSG_WAITALL)) == 1_000
                accepted.sendall(b"y" * 300)
                assert len(client.recv(300, socket.MSG_WAITALL)) == 300
                # Brings the acknowledgement, which alone may be late.
                client.sendall(b"z")
                assert accepted.recv(1) == b"z"
                found = read_wire_bytes(port, 1)
    if found is None:
        pytest.skip("this kernel does not tell of connections")
    assert found[1] == WireBytes()
    assert found[port].received == 1_001
    assert found[port].sent == 300
    assert found[port].both == 1_301
