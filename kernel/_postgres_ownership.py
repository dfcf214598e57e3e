"""Ownership in Postgres: which rows are read and locked, in which order.

A partition is held as long as its owner lives (or its own lease lasts, which is given when it is
taken). So a heartbeat writes the one row of its node and no row of a partition. It never waits for
a commit, which holds those rows: one that is stuck cannot cost anybody else a lease.

Rows of partitions are locked in the order of their numbers, as the fence of a commit locks them,
so that nobody waits in a circle. The row of a node comes before them.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from kernel.ownership import Claim, Cluster

__all__ = (
    "CLAIM_WAIT_S",
    "RELEASE_WAIT_S",
    "claim",
    "cluster",
    "end_former_sessions",
    "heartbeat",
    "join",
    "leave",
    "release",
)

# How long a claim waits for the commits that hold the rows. An owner that lives needs it for the
# batch under way, some tens of milliseconds; what takes longer is stuck.
CLAIM_WAIT_S = 1.0
# How long a release waits for them. Meanwhile its node sends no heartbeats, so together with the
# time to drain it has to be shorter than a lease.
RELEASE_WAIT_S = 2.0

_HELD_UNTIL = "greatest(p.lease_until, n.lives_until)"
_PARTITIONS = "zhihui.partition AS p LEFT JOIN zhihui.node AS n ON n.name = p.owner"
_LEASE = "clock_timestamp() + make_interval(secs => $3)"


async def join(
    connection: asyncpg.Connection[Any], node: str, instance: str, lease_s: float
) -> None:
    """Let this process go by the name of the node."""
    await connection.execute(
        "DELETE FROM zhihui.node WHERE lives_until < clock_timestamp() - interval '1 day'"
    )
    await connection.execute(
        "INSERT INTO zhihui.node (name, instance, started_at, lives_until, leaving)"  # noqa: S608 - a constant
        f" VALUES ($1, $2, clock_timestamp(), {_LEASE}, false)"
        " ON CONFLICT (name) DO UPDATE SET instance = excluded.instance,"
        " started_at = excluded.started_at, lives_until = excluded.lives_until, leaving = false",
        node,
        instance,
        lease_s,
    )


async def heartbeat(
    connection: asyncpg.Connection[Any], node: str, instance: str, lease_s: float, *, leaving: bool
) -> None:
    """Let the node live on, unless another process goes by its name."""
    await connection.execute(
        f"UPDATE zhihui.node SET lives_until = {_LEASE}, leaving = $4"  # noqa: S608 - a constant
        " WHERE name = $1 AND instance = $2",
        node,
        instance,
        lease_s,
        leaving,
    )


async def cluster(connection: asyncpg.Connection[Any], node: str) -> Cluster:
    """Return everything as it stands."""
    nodes = await connection.fetch(
        "SELECT name, instance, lives_until > clock_timestamp() AND NOT leaving FROM zhihui.node"
    )
    rows = await connection.fetch(
        "SELECT p.partition, p.owner, p.epoch,"  # noqa: S608 - constants
        f" extract(epoch FROM {_HELD_UNTIL} - clock_timestamp())::float8"
        f" FROM {_PARTITIONS} ORDER BY p.partition"
    )
    instances = {row[0]: row[1] for row in nodes}
    return Cluster(
        instances.get(node, ""),
        # In the order of their letters, whatever the collation: all nodes count in the same order.
        tuple(sorted(row[0] for row in nodes if row[2])),
        tuple(Claim(*row) for row in rows),
    )


async def claim(
    connection: asyncpg.Connection[Any],
    node: str,
    instance: str,
    epochs: dict[int, int],
    limit: int,
    lease_s: float,
    *,
    skip_locked: bool,
) -> Cluster:
    """Take what a former process of this name left, and at most ``limit`` others.

    Each row is waited for, and when one is not free within :data:`CLAIM_WAIT_S`,
    :class:`asyncpg.LockNotAvailableError` is raised; or what is locked is left for the next time.
    """
    async with connection.transaction():
        # An integer of our own, so it may stand in the text.
        await connection.execute(f"SET LOCAL lock_timeout = {int(CLAIM_WAIT_S * 1000)}")
        counts = await connection.execute(
            f"UPDATE zhihui.node SET lives_until = {_LEASE}"  # noqa: S608 - a constant
            " WHERE name = $1 AND instance = $2",
            node,
            instance,
            lease_s,
        )
        if counts == "UPDATE 1":
            candidates = await connection.fetch(
                f"SELECT p.partition, p.owner = $1 FROM {_PARTITIONS}"  # noqa: S608 - constants
                " WHERE (p.owner = $1 AND NOT EXISTS ("
                "   SELECT FROM unnest($2::smallint[], $3::bigint[]) AS h(partition, epoch)"
                "   WHERE h.partition = p.partition AND h.epoch = p.epoch))"
                f" OR (p.owner <> $1 AND (p.owner = '' OR {_HELD_UNTIL} <= clock_timestamp()))"
                " ORDER BY p.partition FOR NO KEY UPDATE OF p"
                + (" SKIP LOCKED" if skip_locked else ""),
                node,
                list(epochs),
                list(epochs.values()),
            )
            ours = [partition for partition, is_ours in candidates if is_ours]
            others = [partition for partition, is_ours in candidates if not is_ours]
            await connection.execute(
                "UPDATE zhihui.partition SET owner = $1, epoch = epoch + 1,"  # noqa: S608 - constant
                f" lease_until = {_LEASE} WHERE partition = ANY($2)",
                node,
                ours + others[: max(limit, 0)],
                lease_s,
            )
        return await cluster(connection, node)


async def release(connection: asyncpg.Connection[Any], node: str, epochs: dict[int, int]) -> None:
    """Let go of what is held under these epochs; each epoch stays, so the next one is higher."""
    await connection.execute(
        "WITH held AS (SELECT p.partition FROM zhihui.partition AS p"
        " JOIN unnest($2::smallint[], $3::bigint[]) AS h(partition, epoch)"
        " ON p.partition = h.partition AND p.epoch = h.epoch"
        " WHERE p.owner = $1 ORDER BY p.partition FOR NO KEY UPDATE OF p)"
        " UPDATE zhihui.partition AS p SET owner = '', lease_until = 'epoch'"
        " FROM held WHERE p.partition = held.partition",
        node,
        list(epochs),
        list(epochs.values()),
        timeout=RELEASE_WAIT_S,
    )


async def leave(connection: asyncpg.Connection[Any], node: str, instance: str) -> None:
    """Forget the node, unless another process goes by its name."""
    await connection.execute(
        "DELETE FROM zhihui.node WHERE name = $1 AND instance = $2", node, instance
    )


async def end_former_sessions(
    connection: asyncpg.Connection[Any], node: str, epochs: dict[int, int], application: str
) -> None:
    """End the transactions in which a process is that no longer counts.

    A process that was stopped in the middle of a commit would keep its partitions' rows locked for
    as long as it is stopped. The epoch would refuse the commit anyway. Timeouts do not help: none
    ends a session that waits for the rest of a COPY. It is over for those whose lease has ended,
    and for a former process of this name. ``application`` precedes the name of a node in the name
    of its sessions, of which Postgres keeps 63 bytes.
    """
    await connection.execute(
        "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a"  # noqa: S608 - constants
        " WHERE a.datname = current_database() AND a.usename = current_user"
        " AND a.pid <> pg_backend_pid()"
        " AND a.xact_start < clock_timestamp() - interval '1 second' AND a.application_name IN"
        f" (SELECT left($4 || ':' || p.owner, 63) FROM {_PARTITIONS}"
        " LEFT JOIN unnest($2::smallint[], $3::bigint[]) AS h(partition, epoch)"
        " ON p.partition = h.partition AND p.epoch = h.epoch"
        " WHERE p.owner <> '' AND CASE WHEN p.owner = $1 THEN h.partition IS NULL"
        f" ELSE {_HELD_UNTIL} <= clock_timestamp() END)",
        node,
        list(epochs),
        list(epochs.values()),
        application,
    )
