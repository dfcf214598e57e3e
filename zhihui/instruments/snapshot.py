"""What the loop publishes and the threads read: one immutable picture of a node."""

import msgspec

from kernel.buckets import BucketStatistics
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND
from kernel.partition import partition_of
from zhihui.instruments.database import DatabaseLook
from zhihui.node import RunningNode, ServiceStatistics

__all__ = ("OperationCounts", "Snapshot", "take_snapshot")

_JOURNAL_PARTITION = partition_of(JOURNAL_KIND, JOURNAL_KEY)


class OperationCounts(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the edge since the start; ``codes`` are its errors."""

    service: str
    verb: str
    answered: int
    codes: dict[str, int]
    durations_s: BucketStatistics


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A node at one moment; ``taken_s`` is its monotonic time, ``taken_at_s`` the Unix time."""

    taken_s: float
    taken_at_s: float
    owns_journal: bool
    statistics: ServiceStatistics
    operations: tuple[OperationCounts, ...]
    # Refused before it was known which operation was meant, by code.
    refused_early: dict[str, int]
    loop_lag_s: BucketStatistics
    # None on a node that does not own the journal, and until the first look.
    database: DatabaseLook | None = None


def take_snapshot(
    running: RunningNode, *, taken_s: float, taken_at_s: float, loop_lag_s: BucketStatistics,
    database: DatabaseLook | None,
) -> Snapshot:  # fmt: skip
    """Return the node as it stands. To be called on its loop."""
    return Snapshot(
        taken_s=taken_s,
        taken_at_s=taken_at_s,
        owns_journal=running.ownership.epoch(_JOURNAL_PARTITION) is not None,
        statistics=running.statistics(),
        operations=tuple(
            OperationCounts(
                service=one.operation.service,
                verb=one.operation.verb,
                answered=one.answered,
                codes=dict(one.codes),
                durations_s=one.durations_s.statistics(),
            )
            for one in running.edge.endpoints.values()
        ),
        refused_early=dict(running.edge.refused_early),
        loop_lag_s=loop_lag_s,
        database=database,
    )
