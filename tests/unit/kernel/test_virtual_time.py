"""Virtual time: waits cost nothing, end in order, and the clock agrees with all of them."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from unittest import mock

import anyio
import anyio.to_thread
import pytest

from kernel import virtual_time
from kernel.randomness import IdFactory, SeededRandomness
from kernel.virtual_time import Deadlock, Standstill, VirtualClock, run_virtual

_START = datetime(2027, 3, 1, 23, 59, 59, tzinfo=UTC)


def test_a_year_passes_at_once() -> None:
    """Sleeping moves both times by exactly what was asked, however long."""

    async def main(clock: VirtualClock, _: SeededRandomness) -> None:
        began_ms = clock.now_ms()
        await clock.sleep(365 * 86_400)
        assert clock.now() == _START + timedelta(days=365)
        assert clock.monotonic_s() == 365 * 86_400
        assert clock.now_ms() - began_ms == 365 * 86_400_000

    run_virtual(main, start=_START)


def test_all_ways_to_wait_follow() -> None:
    """anyio's and asyncio's sleeps, timeouts and callbacks come due in the order of their times."""

    async def main(clock: VirtualClock, _: SeededRandomness) -> list[tuple[str, float]]:
        done: list[tuple[str, float]] = []

        def note(name: str) -> None:
            done.append((name, clock.monotonic_s()))

        async def asyncio_sleep() -> None:
            await asyncio.sleep(3)
            note("asyncio.sleep")

        async def anyio_sleep() -> None:
            await anyio.sleep(1)
            note("anyio.sleep")

        async def move_on() -> None:
            with anyio.move_on_after(2):
                await anyio.sleep_forever()
            note("anyio.move_on_after")

        async def wait_for() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 4)
            note("asyncio.wait_for")

        asyncio.get_running_loop().call_later(0.5, note, "call_later")
        async with anyio.create_task_group() as tasks:
            for one in (asyncio_sleep, anyio_sleep, move_on, wait_for):
                tasks.start_soon(one)
        note(f"anyio.current_time {anyio.current_time()}")
        return done

    assert run_virtual(main) == [
        ("call_later", 0.5),
        ("anyio.sleep", 1),
        ("anyio.move_on_after", 2),
        ("asyncio.sleep", 3),
        ("asyncio.wait_for", 4),
        ("anyio.current_time 4.0", 4),
    ]


def test_time_stands_while_there_is_work() -> None:
    """A turn of the loop takes no time: who sleeps longer is never woken before who is busy."""

    async def main(clock: VirtualClock, _: SeededRandomness) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep, 0.001)
            for _turn in range(1_000):
                await asyncio.sleep(0)
            assert clock.monotonic_s() == 0
        assert clock.monotonic_s() == 0.001

    run_virtual(main)


def test_deadlock_is_named() -> None:
    """When nothing can ever happen again, the error names the tasks that wait for it."""

    async def main(clock: VirtualClock, _: SeededRandomness) -> None:
        async def wait_for_godot() -> None:
            await asyncio.Event().wait()

        await clock.sleep(7)
        await asyncio.create_task(wait_for_godot(), name="estragon")

    with pytest.raises(Deadlock, match=re.escape("estragon in test_deadlock_is_named")):
        run_virtual(main)


def test_loop_that_never_waits_is_found() -> None:
    """Tasks that pass the ball without any time passing are an error, not a test that hangs."""

    async def main(clock: VirtualClock, _: SeededRandomness) -> None:
        while True:
            await clock.sleep(0)

    with (
        mock.patch.object(virtual_time, "STANDSTILL_TURNS_MAX", 1_000),
        pytest.raises(Standstill, match="1000 turns"),
    ):
        run_virtual(main)


def test_same_seed_gives_the_same_run() -> None:
    """Identifiers and times repeat with the seed, and differ without."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> list[str]:
        ids = IdFactory(clock, randomness)
        found = []
        for _ in range(5):
            await clock.sleep(randomness.bits(10) / 7)
            found.append(ids.new("x"))
        return found

    assert run_virtual(main, seed=1) == run_virtual(main, seed=1)
    assert run_virtual(main, seed=1) != run_virtual(main, seed=2)


def test_threads_are_refused() -> None:
    """What would take real time says so instead of letting virtual time run away."""

    async def executor(_: VirtualClock, __: SeededRandomness) -> None:
        await asyncio.get_running_loop().run_in_executor(None, print)

    async def to_thread(_: VirtualClock, __: SeededRandomness) -> None:
        await asyncio.to_thread(print)

    for main in (executor, to_thread):
        with pytest.raises(RuntimeError, match="threads"):
            run_virtual(main)


def test_errors_and_results_come_through() -> None:
    """The main task's result is returned, and its error raised, after its own clean-up."""
    cleaned: list[float] = []

    async def main(clock: VirtualClock, _: SeededRandomness) -> None:
        async def lingering() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                cleaned.append(clock.monotonic_s())

        task = asyncio.create_task(lingering())
        await clock.sleep(5)
        raise LookupError(task.get_name())

    with pytest.raises(LookupError):
        run_virtual(main)
    assert cleaned == [5]
