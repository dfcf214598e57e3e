"""Ownership: leases, epochs, takeover and loss."""

import anyio
import pytest

from kernel.clock import ManualClock
from kernel.ownership import LEASE_S, RENEW_EVERY_S, Ownership
from kernel.partition import PARTITIONS
from schemas.errors import NotReady, StaleOwner
from tests.eventually import turns
from tests.unit.kernel.harness import START, FakeOwnershipStore

pytestmark = pytest.mark.anyio


class _Lab:
    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = FakeOwnershipStore(self.clock)

    def node(self, name: str) -> Ownership:
        return Ownership(name, self.store, self.clock)


async def test_first_node_owns_everything_under_epoch_one() -> None:
    """All partitions are free at first, and a node takes them all at once."""
    lab = _Lab()
    ownership = lab.node("n1")
    assert ownership.epoch(0) is None
    assert ownership.node_of(0) is None
    await ownership.acquire_all(1.0)
    assert {ownership.epoch(p) for p in range(PARTITIONS)} == {1}
    assert {ownership.node_of(p) for p in range(PARTITIONS)} == {"n1"}
    assert ownership.statistics().owned == PARTITIONS


async def test_same_name_takes_over_at_once_with_a_higher_epoch() -> None:
    """A restarted node does not wait for its former self, whose epochs are then stale."""
    lab = _Lab()
    former, successor = lab.node("n1"), lab.node("n1")
    await former.acquire_all(1.0)
    await successor.acquire_all(0.0)
    assert lab.clock.monotonic_s() == 0.0
    assert successor.epoch(5) == 2
    with pytest.raises(StaleOwner):
        await former.keep()
    assert former.epoch(5) is None
    assert former.statistics().lost == PARTITIONS
    # Its loss takes nothing from the successor.
    await former.release()
    assert lab.store.rows[5].owner == "n1"


async def test_other_name_waits_for_the_lease() -> None:
    """Another node gets the partitions when the lease of a dead one is over, not before."""
    lab = _Lab()
    await lab.node("n1").acquire_all(1.0)
    other = lab.node("n2")
    await other.acquire_all(LEASE_S + 2)
    assert lab.clock.monotonic_s() >= LEASE_S
    assert other.epoch(0) == 2


async def test_living_owner_is_named() -> None:
    """A node that finds another alive says which, after its time and not for ever."""
    lab = _Lab()
    await lab.node("n1").acquire_all(1.0)
    with pytest.raises(NotReady, match="'n1'"):
        await lab.node("n2").acquire_all(LEASE_S / 2)


async def test_leases_are_renewed_until_one_is_lost() -> None:
    """Renewed leases outlast their first term; a lost partition ends the keeping at once."""
    lab = _Lab()
    ownership = lab.node("n1")
    await ownership.acquire_all(1.0)
    failures: list[StaleOwner] = []

    async def keep() -> None:
        with pytest.raises(StaleOwner) as caught:
            await ownership.keep()
        failures.append(caught.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep)
        while lab.clock.monotonic_s() < 3 * LEASE_S:
            await turns(1)
        assert not failures
        with pytest.raises(NotReady):
            await lab.node("n2").acquire_all(0.0)
        lab.store.rows[3].owner, lab.store.rows[3].epoch = "n2", 9
        # One to renew, one to notice.
        until_s = lab.clock.monotonic_s() + 3 * RENEW_EVERY_S
        while not failures and lab.clock.monotonic_s() < until_s:
            await turns(1)
    assert failures
    assert ownership.epoch(3) is None
    assert ownership.epoch(4) == 1


async def test_store_that_is_away_loses_nothing() -> None:
    """While the store does not answer the node keeps what it has: the epoch guards the commits."""
    lab = _Lab()
    ownership = lab.node("n1")
    await ownership.acquire_all(1.0)
    lab.store.away = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ownership.keep)
        while lab.clock.monotonic_s() < 3 * LEASE_S:
            await turns(1)
        assert ownership.epoch(0) == 1
        lab.store.away = False
        await turns()
        tasks.cancel_scope.cancel()
    assert ownership.statistics().lost == 0


async def test_loss_noticed_by_a_commit_ends_the_keeping() -> None:
    """What a refused commit says is enough: the node gives up at its next renewal."""
    lab = _Lab()
    ownership = lab.node("n1")
    await ownership.acquire_all(1.0)
    ownership.lost({7})
    assert (ownership.epoch(7), ownership.node_of(7)) == (None, None)
    with pytest.raises(StaleOwner):
        await ownership.keep()


async def test_released_partitions_are_free_at_once() -> None:
    """After an ordered stop the next node need not wait, and gets a higher epoch."""
    lab = _Lab()
    ownership = lab.node("n1")
    await ownership.acquire_all(1.0)
    await ownership.release()
    assert ownership.statistics().owned == 0
    other = lab.node("n2")
    await other.acquire_all(0.0)
    assert other.epoch(0) == 2
    assert lab.clock.monotonic_s() == 0.0
