"""Ownership on the move: handing over, leaving, losing, and telling the others."""

import contextlib

import anyio
import pytest

from kernel import ownership as ownership_module
from kernel.ownership import LEASE_S
from kernel.partition import PARTITIONS
from schemas.errors import NotReady
from tests.eventually import eventually, turns
from tests.unit.kernel.ownership_lab import OwnershipLab

pytestmark = pytest.mark.anyio


async def test_hand_over_waits_for_what_is_under_way() -> None:
    """While a partition drains it takes nothing new, and its last commits still pass."""
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")
    drained: list[set[int]] = []
    gate = anyio.Event()

    async def drain(partitions: set[int]) -> None:
        drained.append(set(partitions))
        await gate.wait()

    first.drain_with(drain)
    await first.join(0.0)
    with contextlib.suppress(NotReady):
        await second.join(0.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first._tick)
        await turns()
        (going,) = drained
        assert len(going) == PARTITIONS // 2
        assert not any(first.accepts(p) for p in going)
        assert all(first.epoch(p) == 1 for p in range(PARTITIONS))
        assert set(first.owned()) == set(range(PARTITIONS)) - going
        assert {lab.store.rows[p].owner for p in going} == {"n1"}
        gate.set()
    assert {lab.store.rows[p].owner for p in going} == {""}
    assert all(first.epoch(p) is None and first.node_of(p) is None for p in going)
    await lab.settle(second, first)
    lab.check_shares(first, second)


async def test_hand_over_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer than its time is left to the epochs."""
    monkeypatch.setattr(ownership_module, "DRAIN_S_MAX", 0.01)
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")

    async def drain(partitions: set[int]) -> None:
        del partitions
        await anyio.sleep_forever()

    first.drain_with(drain)
    await first.join(0.0)
    with contextlib.suppress(NotReady):
        await second.join(0.0)
    with anyio.fail_after(10):
        await first._tick()
        await first.hand_over_all()
    assert first.owned() == {}
    await lab.settle(second)
    assert len(second.owned()) == PARTITIONS


async def test_loss_during_a_hand_over_is_no_release() -> None:
    """A partition that a commit found lost while it drained is not let go of a second time."""
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")

    async def drain(partitions: set[int]) -> None:
        one = min(partitions)
        lab.store.database.put("partition", (one,), {"owner": "n2", "epoch": 7})
        first.lost({one})

    first.drain_with(drain)
    await first.join(0.0)
    with contextlib.suppress(NotReady):
        await second.join(0.0)
    await first._tick()
    assert [p for p, row in lab.store.rows.items() if (row.owner, row.epoch) == ("n2", 7)]
    assert first.statistics().lost == 1
    await lab.settle(second, first)
    lab.check_shares(first, second)


async def test_leaving_node_hands_all_over_and_still_knows_the_others() -> None:
    """After the hand-over it takes nothing back, and what it forwards finds the new owner."""
    lab = OwnershipLab()
    first, second, third = await lab.joined("n1", "n2", "n3")
    await first.hand_over_all()
    assert first.owned() == {}
    await lab.settle(second, third, first)
    lab.check_shares(second, third)
    assert {first.node_of(p) for p in range(PARTITIONS)} == {"n2", "n3"}
    assert "n1" not in first.nodes
    await first.leave()
    assert set(lab.store.instances) == {"n2", "n3"}
    await lab.pass_time(LEASE_S * 2, second, third)
    lab.check_shares(second, third)


async def test_hand_over_that_failed_is_done_by_the_leave() -> None:
    """A store that was away for the hand-over is told at the end; nobody waits for the lease."""
    lab = OwnershipLab()
    first, second = await lab.joined("n1", "n2")
    lab.store.away = True
    with pytest.raises(NotReady):
        await first.hand_over_all()
    # It still owns what it has not let go of, and serves it.
    assert len(first.owned()) == PARTITIONS // 2
    assert first.accepts(min(first.owned()))
    lab.store.away = False
    await first.leave()
    await lab.settle(second)
    assert lab.clock.monotonic_s() == 0.0
    lab.check_shares(second)


async def test_all_leave_at_once_and_the_next_start_is_quick() -> None:
    """After an ordered stop of everybody the next node need not wait, and gets higher epochs."""
    lab = OwnershipLab()
    nodes = await lab.joined("n1", "n2", "n3")
    for one in nodes:
        await one.hand_over_all()
    for one in nodes:
        await one.leave()
    assert lab.store.instances == {}
    assert {row.owner for row in lab.store.rows.values()} == {""}
    before = {p: row.epoch for p, row in lab.store.rows.items()}
    other = lab.node("n9")
    await other.join(0.0)
    assert lab.clock.monotonic_s() == 0.0
    assert all(epoch == before[p] + 1 for p, epoch in other.owned().items())


async def test_loss_noticed_by_a_commit_is_looked_at_at_once() -> None:
    """What a refused commit says is enough to stop; the next look, a soon one, finds the truth."""
    lab = OwnershipLab()
    (ownership,) = await lab.joined("n1")
    ownership.lost({7, 8})
    assert (ownership.epoch(7), ownership.node_of(7), ownership.accepts(7)) == (None, None, False)
    assert ownership.statistics().lost == 2
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ownership.keep)
        # No time passes, and nobody calls: the loss itself is the reason to look.
        await turns()
        tasks.cancel_scope.cancel()
    # The rows still said that it was ours: another epoch, as if it had been elsewhere.
    assert (ownership.epoch(7), ownership.epoch(9)) == (2, 1)
    lab.check_shares(ownership)


async def test_loss_of_what_is_not_owned_is_no_loss() -> None:
    """A commit may say so twice, or of what another node decided: it changes nothing."""
    lab = OwnershipLab()
    first, second = await lab.joined("n1", "n2")
    theirs = set(second.owned())
    first.lost(theirs)
    assert first.statistics().lost == 0
    assert {first.node_of(p) for p in theirs} == {"n2"}


async def test_others_are_told_of_each_move() -> None:
    """Coming, taking and letting go are told, so that the others need not find out by themselves.

    A look at which nothing moved is not.
    """
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")
    told: list[str] = []
    first.on_moved(lambda: told.append("n1"))
    second.on_moved(lambda: told.append("n2"))
    await first.join(0.0)
    assert told == ["n1", "n1"]
    with contextlib.suppress(NotReady):
        await second.join(0.0)
    assert told.pop() == "n2"
    await first._tick()
    assert told.pop() == "n1"
    await second._tick()
    assert told.pop() == "n2"
    before = list(told)
    await lab.settle(first, second)
    assert told == before
    await first.hand_over_all()
    assert told == [*before, "n1"]


async def test_word_of_a_move_is_heard_during_a_look() -> None:
    """A call to look that comes while a look is under way leads to another look, not to none."""
    lab = OwnershipLab()
    (first,) = await lab.joined("n1")
    before = lab.store.calls.count("heartbeat")

    async def called_again() -> None:
        first.look()

    async with anyio.create_task_group() as tasks:
        lab.store.at["heartbeat"] = called_again
        first.look()
        tasks.start_soon(first.keep)
        await eventually(
            lambda: lab.store.calls.count("heartbeat") >= before + 2, "a second look", within_s=0.9
        )
        tasks.cancel_scope.cancel()


async def test_hand_over_and_keeping_do_not_cross() -> None:
    """Only one step is under way at a time: a look during a hand-over comes after it."""
    lab = OwnershipLab()
    first, second = lab.node("n1"), lab.node("n2")
    gate = anyio.Event()
    during: list[int] = []

    async def drain(partitions: set[int]) -> None:
        del partitions
        await gate.wait()
        during.append(lab.store.calls.count("heartbeat"))

    first.drain_with(drain)
    await first.join(0.0)
    with contextlib.suppress(NotReady):
        await second.join(0.0)
    before = lab.store.calls.count("heartbeat")
    async with anyio.create_task_group() as tasks:
        for step in (first._tick, first.hand_over_all, first._tick):
            tasks.start_soon(step)
        await turns()
        gate.set()
    assert during[0] == before + 1
    assert first.owned() == {}
    await lab.settle(second, first)
    assert len(second.owned()) == PARTITIONS


async def test_name_that_sorts_between_others_takes_an_equal_share() -> None:
    """Names may come in any order; the remainder goes to the first ones."""
    lab = OwnershipLab()
    nodes = await lab.joined("m", "z", "a", "q", "b")
    await lab.settle(*nodes)
    lab.check_shares(*nodes)
    by_name = {one._node: len(one.owned()) for one in nodes}
    assert by_name == {"a": 13, "b": 13, "m": 13, "q": 13, "z": 12}


async def test_leaving_node_takes_nothing_back() -> None:
    """What stands in its name without its knowledge is left to the others when it leaves."""
    lab = OwnershipLab()
    first, second = await lab.joined("n1", "n2")
    theirs = set(second.owned())
    # Taken and not heard of: the row says n1, which does not know.
    for partition in sorted(theirs)[:3]:
        epoch = lab.store.rows[partition].epoch + 1
        lab.store.database.put("partition", (partition,), {"owner": "n1", "epoch": epoch})
    await first.hand_over_all()
    for _ in range(3):
        await first._tick()
        assert first.owned() == {}
        await second._tick()
    await first.leave()
    await lab.pass_time(LEASE_S, second)
    lab.check_shares(second)
