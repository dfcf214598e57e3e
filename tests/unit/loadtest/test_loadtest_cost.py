"""Costs: per payment, and nothing invented for what cannot be seen."""

from loadtest.cost import Reading, cost_each


def test_a_cost_is_the_difference_over_the_payments() -> None:
    """CPU seconds become microseconds for one payment, and bytes likewise."""
    before = Reading(
        at_s=0.0, machine_s=5.0, service_s=1.0, nats_s=2.0, postgres_s=3.0, wal_bytes=1_000
    )
    after = Reading(
        at_s=2.0, machine_s=7.0, service_s=1.5, nats_s=2.1, postgres_s=4.0, wal_bytes=11_000
    )
    cost = cost_each(before, after, payments=10_000, generator_cpu_us=6.0)
    assert cost.cpu_us.generator == 6.0
    assert cost.cpu_us.service == 50.0
    assert round(cost.cpu_us.nats or 0) == 10
    assert cost.cpu_us.postgres == 100.0
    assert cost.wal_bytes == 1.0


def test_what_else_the_machine_did_is_told() -> None:
    """Of two busy cores those that neither the system nor the generator used are others' work."""
    before = Reading(
        at_s=0.0, machine_s=0.0, service_s=0.0, nats_s=0.0, postgres_s=0.0, wal_bytes=0
    )
    after = Reading(at_s=2.0, machine_s=4.0, service_s=0.5, nats_s=0.5, postgres_s=0.5, wal_bytes=0)
    cost = cost_each(before, after, payments=100_000, generator_cpu_us=5.0)
    assert round(cost.other_cores or 0, 6) == 1.0


def test_a_server_that_is_not_ours_has_no_cost() -> None:
    """For a server that was given by its address the cost is unknown, not zero."""
    reading = Reading(
        at_s=0.0, machine_s=0.0, service_s=1.0, nats_s=None, postgres_s=None, wal_bytes=0
    )
    cost = cost_each(reading, reading, payments=1, generator_cpu_us=1.0)
    assert cost.cpu_us.nats is None
    assert cost.cpu_us.postgres is None
    assert cost.other_cores is None
