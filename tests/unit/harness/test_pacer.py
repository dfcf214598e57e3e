"""The pacer calls in the order of moments and not before them, with the kernel's timer or not."""

import asyncio
import sys
import time

import pytest

from loadtest.harness.pacer import Pacer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("timerfd", [True, False])
async def test_moments_come_in_order_and_not_early(*, timerfd: bool) -> None:
    """Whatever the order they were asked for in, also from inside a call, and ties as they came."""
    pacer = Pacer(timerfd=timerfd)
    assert pacer.exact is (timerfd and sys.platform == "linux")
    start_ns = time.perf_counter_ns() + 5_000_000
    called: list[tuple[str, int, int]] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def call(name: str, due_ns: int) -> None:
        called.append((name, due_ns - start_ns, time.perf_counter_ns() - due_ns))

    def again(due_ns: int) -> None:
        call("again", due_ns)
        pacer.at(due_ns + 1_000_000, lambda due: call("inner", due))
        pacer.at(start_ns + 4_000_000, last)

    def last(due_ns: int) -> None:
        call("last", due_ns)
        done.set_result(None)

    pacer.at(start_ns + 2_000_000, again)
    pacer.at(start_ns + 2_000_000, lambda due: call("tie", due))
    pacer.at(start_ns, lambda due: call("first", due))
    try:
        async with asyncio.timeout(10):
            await done
    finally:
        pacer.close()
    assert [(name, at_ns) for name, at_ns, _ in called] == [
        ("first", 0), ("again", 2_000_000), ("tie", 2_000_000), ("inner", 3_000_000),
        ("last", 4_000_000),
    ]  # fmt: skip
    assert all(late_ns >= 0 for _, _, late_ns in called)


async def test_a_closed_pacer_calls_nothing() -> None:
    """What was planned is forgotten when the pacer is closed."""
    pacer = Pacer()
    called: list[int] = []
    pacer.at(time.perf_counter_ns() + 2_000_000, called.append)
    pacer.close()
    await asyncio.sleep(0.01)
    assert called == []


async def test_a_load_that_is_behind_lets_others_run() -> None:
    """With endless overdue calls, the rest of the loop still gets its turns."""
    pacer = Pacer()
    turns = 0

    def overdue(due_ns: int) -> None:
        pacer.at(due_ns + 1, overdue)

    pacer.at(time.perf_counter_ns(), overdue)
    try:
        async with asyncio.timeout(10):
            while turns < 20:
                await asyncio.sleep(0)
                turns += 1
    finally:
        pacer.close()
    assert turns == 20
