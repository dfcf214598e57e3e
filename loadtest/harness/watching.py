"""Observers for a target: what every run of a search, a comparison or a chaos day is judged by."""

from collections.abc import Callable

from loadtest.harness.control import Observer
from loadtest.harness.costs import CostObserver, Pids
from loadtest.harness.invariants.exactly_once import PAYMENT_SOURCES
from loadtest.harness.invariants.ledger_sums import Source
from loadtest.harness.invariants.observer import BooksObserver
from loadtest.harness.plan import RunPlan
from loadtest.harness.stands import Stand
from loadtest.harness.target import Target

__all__ = ("books_and_costs", "pids_of_stand", "pids_of_target", "sources_of")


def sources_of(plan: RunPlan) -> tuple[Source, ...]:
    """Return what the acknowledged requests of a run can be held against.

    Flows say what each request pays; of what users do only the ids are known.
    """
    return PAYMENT_SOURCES if plan.engine == "lean" else ("changes",)


def books_and_costs(
    plan: RunPlan,
    *,
    nats_url: str,
    postgres_dsn: str,
    pids: Callable[[], Pids],
    fdatasync_us: float | None = None,
    audit: bool = True,
) -> list[Observer]:
    """Return the observers of books and costs; none where the database is not known."""
    if not postgres_dsn:
        return []
    return [
        CostObserver(
            nats_url=nats_url,
            postgres_dsn=postgres_dsn,
            pids=pids,
            fdatasync_us=fdatasync_us,
        ),
        BooksObserver(postgres_dsn, app=plan.app, sources=sources_of(plan), audit=audit),
    ]


def pids_of_stand(stand: Stand) -> Callable[[], Pids]:
    """Return what finds the processes of a stand at each moment."""
    return lambda: Pids(nodes=stand.node_pids(), nats=stand.nats.pid, postgres=stand.postgres.pid)


def pids_of_target(target: Target) -> Callable[[], Pids]:
    """Return what finds the processes of a target; none of one that is not ours."""
    platform = target.platform
    if platform is None:
        return Pids
    return lambda: Pids(
        nodes=tuple(platform.node_pids().values()),
        nats=platform.servers.nats_pid,
        postgres=platform.servers.postgres_pid,
    )
