"""A node that never starts, in memory, and what its instruments say of it."""

from datetime import UTC, datetime

import anyio
from prometheus_client.parser import text_string_to_metric_families

from actors.tables import BANK_TABLES, first_rows
from kernel.buckets import Buckets
from kernel.clock import ManualClock
from kernel.memory_bus import MemoryBus
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.memory_streams import MemoryStreams
from kernel.randomness import SeededRandomness
from zhihui.instruments.database import ChannelOrders, DatabaseLook, LedgerLook
from zhihui.instruments.observer import Observer
from zhihui.instruments.snapshot import Snapshot, take_snapshot
from zhihui.node import NodeConfig, RunningNode

__all__ = ("LOOK", "made_node", "observer_of", "samples", "snapshot_of")

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

LOOK = DatabaseLook(
    at_s=100.0,
    timers_due=3,
    timers_oldest_s=12.5,
    dead_letters=2,
    orders=(ChannelOrders(channel="wechat", kind="pay", open=4, oldest_s=61.0),),
    ledger=LedgerLook(balances_minor=0, changes_minor=7, at_s=99.0, duration_s=0.25),
)


def made_node() -> RunningNode:
    """Return a node on ports in memory, of which nothing runs."""
    # Its parts are made on a loop, and keep for the counting.
    return anyio.run(_made_node)


async def _made_node() -> RunningNode:
    clock = ManualClock(START)
    store = MemoryStore(MemoryDatabase(clock, BANK_TABLES, first_rows()))
    config = NodeConfig(name="n1", nats_url="", postgres_dsn="")
    return RunningNode(config, MemoryBus(), store, clock, SeededRandomness(1), MemoryStreams(clock))


def snapshot_of(
    running: RunningNode, observer: Observer, look: DatabaseLook | None = None
) -> Snapshot:
    """Return what the loop would publish now."""
    return take_snapshot(
        running,
        taken_s=observer.clock.monotonic_s(),
        taken_at_s=observer.clock.now_ms() / 1000,
        loop_lag_s=Buckets().statistics(),
        database=look,
    )


def observer_of(running: RunningNode, look: DatabaseLook | None = None) -> Observer:
    """Return an observer that follows a node."""
    observer = Observer("n1", "postgresql://nowhere")
    running.edge.accepting = True
    observer.follow(running)
    observer.snapshot = snapshot_of(running, observer, look)
    return observer


def samples(page: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return the samples of a page: by name, and then by the labels in order."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(page):
        for one in family.samples:
            labels = tuple(sorted(one.labels.items()))
            assert labels not in found.setdefault(one.name, {}), f"{one.name} {labels} twice"
            found[one.name][labels] = one.value
    return found
