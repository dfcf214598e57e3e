"""A process that is stopped in the middle of a commit keeps its rows locked, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg
import pytest

from kernel import _postgres_ownership
from kernel.clock import SystemClock
from kernel.ownership import DRAIN_S_MAX, LEASE_S, Ownership
from kernel.partition import PARTITIONS
from kernel.postgres_store import READ_TIMEOUT_S
from kernel.store import Commit
from schemas.errors import NotReady
from tests.conformance.store_lab import StoreLab, outcome_of, owned_by, postgres_lab
from tests.eventually import eventually

pytestmark = pytest.mark.anyio

_LONG_S = 60.0
_SHORT_S = 0.3


@asynccontextmanager
async def _stuck_commit(
    dsn: str, node: str, partitions: list[int]
) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Yield a session of the node that has locked its partitions and says no more."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": f"zhihui:{node}"})
    try:
        await connection.execute("BEGIN")
        epochs = await connection.fetch(
            "SELECT epoch FROM zhihui.partition WHERE partition = ANY($1) ORDER BY partition",
            partitions,
        )
        await connection.execute(
            "SELECT zhihui.fence($1, $2)", partitions, [row[0] for row in epochs]
        )
        yield connection
    finally:
        connection.terminate()


async def _own(lab: StoreLab, node: str, limit: int, lease_s: float) -> dict[int, int]:
    store = lab.stores[node]
    await store.join_cluster(node, node, lease_s)
    cluster = await store.claim_partitions(node, node, {}, limit, lease_s)
    return {claim.partition: claim.epoch for claim in cluster.claims if claim.owner == node}


async def test_heartbeats_do_not_wait_for_a_stuck_commit(postgres_dsn: str) -> None:
    """A commit that never ends, over everybody's partitions, costs nobody a lease."""
    async with postgres_lab(postgres_dsn) as lab:
        held = {node: await _own(lab, node, 20, _LONG_S) for node in ("n1", "n2")}
        async with _stuck_commit(postgres_dsn, "n1", list(range(PARTITIONS))) as session:
            for node, epochs in held.items():
                cluster = await lab.stores[node].heartbeat(node, node, 2 * _LONG_S)
                assert owned_by(cluster, node) == list(epochs)
                assert all(cluster.claims[p].lease_left_s > _LONG_S for p in epochs)
            assert not session.is_closed()


async def test_hand_over_waits_for_a_stuck_commit_less_than_a_lease(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits to let go sends no heartbeats: it tries again before its own life is over."""
    assert _postgres_ownership.RELEASE_WAIT_S + DRAIN_S_MAX < LEASE_S
    monkeypatch.setattr(_postgres_ownership, "RELEASE_WAIT_S", 0.2)
    async with postgres_lab(postgres_dsn) as lab:
        held = await _own(lab, "n1", 3, _LONG_S)
        async with _stuck_commit(postgres_dsn, "n1", [1]) as session:
            with anyio.fail_after(READ_TIMEOUT_S - 0.5), pytest.raises(NotReady):
                await lab.store.release_partitions("n1", held)
            await session.execute("ROLLBACK")
        await lab.store.release_partitions("n1", held)
        assert list(await _own(lab, "n2", 3, _LONG_S)) == [0, 1, 2]


async def test_what_is_not_locked_is_taken_meanwhile(postgres_dsn: str) -> None:
    """A living owner's stuck commit keeps what it has locked, and the rest is free to take."""
    async with postgres_lab(postgres_dsn) as lab:
        await _own(lab, "n1", 1, _LONG_S)
        async with _stuck_commit(postgres_dsn, "n1", [0, 5]) as session:
            assert list(await _own(lab, "n2", 8, _LONG_S)) == [1, 2, 3, 4, 6, 7, 8, 9]
            await session.execute("ROLLBACK")
        assert list(await _own(lab, "n3", 2, _LONG_S)) == [5, 10]


async def test_takeover_ends_a_stuck_commit(postgres_dsn: str) -> None:
    """When the lease of the stuck one is over, its session is ended and its partitions taken."""
    async with postgres_lab(postgres_dsn) as lab:
        await _own(lab, "n3", PARTITIONS - 3, _LONG_S)
        ours = list(await _own(lab, "n1", 3, _SHORT_S))
        await lab.stores["n2"].join_cluster("n2", "n2", _LONG_S)
        async with (
            _stuck_commit(postgres_dsn, "n3", [3]) as living,
            _stuck_commit(postgres_dsn, "n1", ours) as stuck,
        ):

            async def taken() -> bool:
                cluster = await lab.stores["n2"].claim_partitions(
                    "n2", "n2", {}, PARTITIONS, _LONG_S
                )
                return owned_by(cluster, "n2") == ours

            await lab.until(taken, "the partitions are taken")
            await eventually(stuck.is_closed, "the session is ended")
            await living.execute("COMMIT")
        outcome = await outcome_of(lab.store.commit(Commit({ours[0]: 1}, [])))
        assert outcome == f"stale [{ours[0]}]"


async def test_new_process_ends_a_stuck_commit_of_its_former_self(postgres_dsn: str) -> None:
    """A node that was stopped and started again need not wait for the lease of its former self."""
    async with postgres_lab(postgres_dsn) as lab:
        await _own(lab, "n1", 3, _LONG_S)
        async with _stuck_commit(postgres_dsn, "n1", [0, 1]):
            await lab.store.join_cluster("n1", "new", _LONG_S)

            async def taken() -> bool:
                cluster = await lab.store.claim_partitions("n1", "new", {2: 1}, 0, _LONG_S)
                return [claim.epoch for claim in cluster.claims[:3]] == [2, 2, 1]

            await lab.until(taken, "the partitions are taken")


async def test_new_process_holds_nothing_under_an_epoch_of_its_former_self(
    postgres_dsn: str,
) -> None:
    """What the former process keeps locked is left for the next time, and not served meanwhile.

    It stands in our name, but under the epoch with which the former process may still commit.
    """
    async with postgres_lab(postgres_dsn) as lab:
        former = await _own(lab, "n1", PARTITIONS, _LONG_S)
        async with _stuck_commit(postgres_dsn, "n1", [0, 1]):
            ownership = Ownership("n1", "new", lab.store, SystemClock(), lease_s=_LONG_S)
            with pytest.raises(NotReady, match="62 of 64"):
                await ownership.join(0.0)
            assert not {0, 1} & set(ownership.owned())
            await ownership.join(_LONG_S)
        assert all(ownership.epoch(p) == epoch + 1 for p, epoch in former.items())
