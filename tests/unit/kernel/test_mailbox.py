"""The mailbox: bounded, in order, drained in batches by one reader."""

import anyio
import pytest

from kernel.mailbox import Mailbox
from tests.eventually import turns

pytestmark = pytest.mark.anyio


async def test_full_mailbox_refuses_and_keeps_what_it_has() -> None:
    """Beyond its capacity a mailbox takes nothing, and loses nothing it took."""
    mailbox: Mailbox[int] = Mailbox(3)
    assert [mailbox.put_nowait(n) for n in range(5)] == [True, True, True, False, False]
    assert mailbox.take(10) == [0, 1, 2]
    assert mailbox.put_nowait(9)
    assert mailbox.take(10) == [9]


async def test_order_is_kept_over_partial_batches() -> None:
    """Items come out oldest first, however the batches are cut."""
    mailbox: Mailbox[int] = Mailbox(100)
    for n in range(10):
        mailbox.put_nowait(n)
    taken = [mailbox.take(4), mailbox.take(4)]
    mailbox.put_nowait(10)
    taken.append(mailbox.take(4))
    assert taken == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert mailbox.take(4) == []


async def test_reader_wakes_once_for_a_crowd() -> None:
    """A waiting reader is woken by the first item and finds all that came in the same turn."""
    mailbox: Mailbox[int] = Mailbox(100)
    batches = []

    async def read() -> None:
        while True:
            await mailbox.wait_not_empty()
            batches.append(mailbox.take(100))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await turns()
        for n in range(3):
            mailbox.put_nowait(n)
        await turns()
        mailbox.put_nowait(3)
        await turns()
        tasks.cancel_scope.cancel()
    assert batches == [[0, 1, 2], [3]]


async def test_cancelled_reader_makes_room_for_another() -> None:
    """After a reader was cancelled the next one gets the items; two at once are our own bug."""
    mailbox: Mailbox[int] = Mailbox(10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mailbox.wait_not_empty)
        await turns()
        with pytest.raises(AssertionError, match="one reader"):
            await mailbox.wait_not_empty()
        tasks.cancel_scope.cancel()
    mailbox.put_nowait(1)
    await mailbox.wait_not_empty()
    assert mailbox.take(1) == [1]


async def test_statistics_count() -> None:
    """What was accepted, refused, taken and at most waiting is counted."""
    mailbox: Mailbox[int] = Mailbox(3)
    for n in range(4):
        mailbox.put_nowait(n)
    mailbox.take(2)
    statistics = mailbox.statistics()
    assert (statistics.depth, statistics.depth_max, statistics.capacity) == (1, 3, 3)
    assert (statistics.accepted, statistics.refused, statistics.batches) == (3, 1, 1)
