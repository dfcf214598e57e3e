"""Ownership: shares, leases, epochs, and who follows whom."""

import anyio
import pytest

from kernel.ownership import LEASE_S
from kernel.partition import PARTITIONS
from schemas.errors import NotReady, StaleOwner
from tests.eventually import turns
from tests.unit.kernel.ownership_lab import OwnershipLab

pytestmark = pytest.mark.anyio


async def test_first_node_owns_everything_under_epoch_one() -> None:
    """All partitions are free at first, and a node that is alone takes them all at once."""
    lab = OwnershipLab()
    ownership = lab.node("n1")
    assert ownership.epoch(0) is None
    assert ownership.node_of(0) is None
    assert not ownership.accepts(0)
    await ownership.join(0.0)
    assert {ownership.epoch(p) for p in range(PARTITIONS)} == {1}
    assert all(ownership.accepts(p) for p in range(PARTITIONS))
    assert ownership.nodes == ("n1",)
    statistics = ownership.statistics()
    assert (statistics.owned, statistics.epoch_max, statistics.nodes) == (PARTITIONS, 1, 1)
    assert (statistics.without_owner, statistics.gained, statistics.lost) == (0, PARTITIONS, 0)
    lab.check_shares(ownership)


async def test_newcomer_gets_its_share_from_those_who_are_there() -> None:
    """Nobody waits for a lease: who has too much lets go, and what moved has a higher epoch."""
    lab = OwnershipLab()
    first, second, third = await lab.joined("n1", "n2", "n3")
    assert lab.clock.monotonic_s() == 0.0
    lab.check_shares(first, second, third)
    assert [len(one.owned()) for one in (first, second, third)] == [22, 21, 21]
    assert set(first.owned().values()) == {1}, "what stayed kept its epoch"
    assert min(second.owned().values()) > 1
    assert first.statistics().released == PARTITIONS - 22
    assert first.statistics().lost == 0


async def test_join_waits_until_another_lets_go() -> None:
    """A newcomer is there once it owns something; until then it is not ready, and says why."""
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")
    await first.join(0.0)
    with pytest.raises(NotReady, match="'n2' owns 0 of 64"):
        await second.join(0.0)
    joined = anyio.Event()

    async def join() -> None:
        await second.join(10.0)
        joined.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(join)
        await turns()
        assert not joined.is_set()
        await first._tick()
        second.look()
        with anyio.fail_after(5):
            await joined.wait()
    await lab.settle(first, second)
    lab.check_shares(first, second)


async def test_join_gives_up_after_its_time() -> None:
    """A node that finds another that never lets go does not wait for ever."""
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")
    await first.join(0.0)
    failures: list[NotReady] = []

    async def join() -> None:
        with pytest.raises(NotReady) as caught:
            await second.join(2.0)
        failures.append(caught.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(join)
        await turns()
        lab.clock.advance(1.9)
        second.look()
        await turns()
        assert not failures
        lab.clock.advance(0.2)
        second.look()
        await turns()
        assert failures


async def test_same_name_takes_over_at_once_with_a_higher_epoch() -> None:
    """A restarted node does not wait for its former self, whose epochs are then stale."""
    lab = OwnershipLab()
    former, successor = lab.node("n1"), lab.node("n1")
    await former.join(0.0)
    await successor.join(0.0)
    assert lab.clock.monotonic_s() == 0.0
    assert successor.epoch(5) == 2
    former.look()
    with pytest.raises(StaleOwner, match="newer process"):
        await former.keep()
    # Its end takes nothing from the successor.
    await former.leave()
    await successor._tick()
    assert (lab.store.rows[5].owner, lab.store.instances["n1"]) == ("n1", "n1-2")
    lab.check_shares(successor)


async def test_former_process_ends_in_the_middle_of_its_successors_start() -> None:
    """Between the successor's coming and its claim the former lets go; nothing stays behind."""
    lab = OwnershipLab()
    former, successor = lab.node("n1"), lab.node("n1")
    await former.join(0.0)

    async def former_ends() -> None:
        with pytest.raises(StaleOwner):
            await former._tick()
        await former.leave()

    lab.store.at["claim_partitions"] = former_ends
    await successor.join(0.0)
    assert successor.epoch(5) == 2
    assert former.statistics().owned == 0
    lab.check_shares(successor)


async def test_former_process_claims_nothing_after_its_successor_came() -> None:
    """A process that looks before, and claims after, another took its name gets nothing."""
    lab = OwnershipLab()
    (former,) = await lab.joined("n1")
    other = lab.node("n1")
    former.lost({9})

    async def another_comes() -> None:
        await other.join(0.0)

    lab.store.at["claim_partitions"] = another_comes
    with pytest.raises(StaleOwner):
        await former._tick()
    assert former.epoch(9) is None
    lab.check_shares(other)


async def test_processes_of_one_name_do_not_fight() -> None:
    """The last to come is the one; all the others end, in whatever order they look."""
    lab = OwnershipLab()
    processes = [lab.node("n1") for _ in range(4)]
    for one in processes:
        await one.join(0.0)
    for one in (processes[2], processes[0], processes[1]):
        with pytest.raises(StaleOwner):
            await one._tick()
        await one.leave()
    await lab.pass_time(2 * LEASE_S, processes[3])
    lab.check_shares(processes[3])
    assert set(processes[3].owned().values()) == {4}, "nothing moved after the last one came"


async def test_crashed_node_is_followed_after_its_lease_and_not_before() -> None:
    """Others get the partitions of a dead node when its lease is over, and hear that it is gone."""
    lab = OwnershipLab()
    first, second = await lab.joined("n1", "n2")
    gone: list[set[str]] = []
    second.on_gone(gone.append)
    theirs = set(first.owned())
    await lab.pass_time(LEASE_S - 0.5, second)
    assert (len(second.owned()), gone) == (PARTITIONS // 2, [])
    await lab.pass_time(1.0, second)
    assert gone == [{"n1"}]
    lab.check_shares(second)
    assert all(lab.store.rows[p].epoch == 2 for p in theirs)


async def test_node_that_was_paused_past_its_lease_drops_what_it_lost() -> None:
    """It wakes with all it had and nothing is true any more: it drops it, and shares again."""
    lab = OwnershipLab()
    first, second = await lab.joined("n1", "n2")
    before = first.owned()
    await lab.pass_time(LEASE_S + 2, second)
    lab.check_shares(second)
    # It still thinks so, and none of these epochs would pass the fence of a commit.
    assert first.owned() == before
    assert all(lab.store.rows[p].epoch > epoch for p, epoch in before.items())
    await first._tick()
    assert first.owned() == {}
    assert first.statistics().lost == len(before)
    await lab.settle(second, first)
    lab.check_shares(first, second)
    assert all(epoch > before.get(p, 0) for p, epoch in first.owned().items())


async def test_paused_node_that_nobody_followed_goes_on() -> None:
    """A lease that ended and that nobody took is extended under the same epoch."""
    lab = OwnershipLab()
    (first,) = await lab.joined("n1")
    lab.clock.advance(100 * LEASE_S)
    await first._tick()
    assert set(first.owned().values()) == {1}
    lab.check_shares(first)
