"""Ownership while the store is away, and when its answers are lost."""

import contextlib

import anyio
import pytest

from kernel.ownership import LEASE_S
from kernel.partition import PARTITIONS
from schemas.errors import NotReady
from tests.eventually import eventually, turns
from tests.unit.kernel.ownership_lab import OwnershipLab

pytestmark = pytest.mark.anyio


async def test_store_that_is_away_loses_nothing() -> None:
    """While the store does not answer the node keeps what it has: the epoch guards the commits."""
    lab = OwnershipLab()
    (ownership,) = await lab.joined("n1")
    lab.store.away = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ownership.keep)
        for _ in range(10):
            lab.clock.advance(LEASE_S / 2)
            ownership.look()
            await turns()
        assert lab.store.calls.count("heartbeat") >= 10
        assert ownership.epoch(0) == 1
        lab.store.away = False
        ownership.look()
        await turns()
        tasks.cancel_scope.cancel()
    assert ownership.statistics().lost == 0
    lab.check_shares(ownership)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
async def test_store_that_was_away_for_all_at_once(order: tuple[int, ...]) -> None:
    """After an outage longer than the leases all share again, whoever comes back first."""
    lab = OwnershipLab()
    nodes = await lab.joined("n1", "n2", "n3")
    lab.store.away = True
    for _ in range(12):
        lab.clock.advance(0.5)
        for one in nodes:
            with pytest.raises(NotReady):
                await one._tick()
    lab.store.away = False
    await lab.settle(*(nodes[number] for number in order), rounds=5)
    lab.check_shares(*nodes)


async def test_store_that_is_away_is_not_hammered() -> None:
    """When the lease of another ends during an outage the pauses between two looks stay long."""
    lab = OwnershipLab()
    first, _ = await lab.joined("n1", "n2")
    lab.clock.advance(10 * LEASE_S)
    lab.store.away = True
    before = len(lab.store.calls)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.keep)
        await eventually(lambda: len(lab.store.calls) > before, "the first look")
        with anyio.move_on_after(0.3):
            await anyio.sleep_forever()
        tasks.cancel_scope.cancel()
    # One at once, for the lease that ended; the next only after the ordinary pause.
    assert len(lab.store.calls) - before <= 2


async def test_claim_whose_answer_was_lost_is_not_used() -> None:
    """What was taken unheard is taken again under epochs that this process knows."""
    lab = OwnershipLab()
    first = lab.node("n1")
    lab.store.unheard.append("claim_partitions")
    with pytest.raises(NotReady, match="the answer was lost"):
        await first.join(0.0)
    assert lab.store.rows[0].epoch == 1
    assert first.owned() == {}
    await first._tick()
    assert set(first.owned().values()) == {2}
    lab.check_shares(first)


async def test_claim_of_a_crashed_nodes_partitions_whose_answer_was_lost() -> None:
    """The same beside another node: the shares come out equal, and no epoch is used twice."""
    lab = OwnershipLab()
    first, second, third = await lab.joined("n1", "n2", "n3")
    lab.store.unheard.append("claim_partitions")
    for _ in range(20):
        lab.clock.advance(0.5)
        for one in (first, second):
            with contextlib.suppress(NotReady):
                await one._tick()
    assert not lab.store.unheard
    lab.check_shares(first, second)
    assert not set(third.owned().items()) & {
        *first.owned().items(),
        *second.owned().items(),
    }


@pytest.mark.parametrize("method", ["heartbeat", "release_partitions", "join_cluster"])
async def test_lost_answers_of_the_others_heal(method: str) -> None:
    """Whatever took effect unheard, a later look finds the truth."""
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")
    await first.join(0.0)
    lab.store.unheard.append(method)
    for one in (first, second):
        with contextlib.suppress(NotReady):
            await (one._tick() if one is first else one.join(0.0))
    for _ in range(20):
        lab.clock.advance(0.5)
        for one in (first, second):
            with contextlib.suppress(NotReady):
                await one._tick()
    assert not lab.store.unheard
    lab.check_shares(first, second)


async def test_release_whose_answer_was_lost_frees_all_the_same() -> None:
    """Until the next look the node still thinks it owns them, and nobody believes it."""
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")
    await first.join(0.0)
    lab.store.unheard.append("release_partitions")
    with contextlib.suppress(NotReady):
        await second.join(0.0)
    with pytest.raises(NotReady):
        await first._tick()
    assert len(first.owned()) == PARTITIONS
    await second._tick()
    await first._tick()
    assert len(second.owned()) == PARTITIONS // 2
    lab.check_shares(first, second)
