"""Turns: how many, how long, and who is told what."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.clock import ManualClock
from kernel.plugins.errors import (
    DocumentTooLarge,
    MigrationFailed,
    TooManyTurns,
    TransitionRefused,
    TurnCutOff,
    TurnTimedOut,
    is_fault,
)
from kernel.plugins.limits import Turn, Turns
from kernel.plugins.manifest import Limits
from kernel.virtual_time import VirtualClock, run_virtual
from schemas.errors import Busy, InsufficientFunds, Internal, NotReady, StaleOwner

_LIMITS = Limits(concurrency=3, handler_ms=1000, document_bytes=64)


class _Ends:
    """What turns ended with."""

    def __init__(self) -> None:
        self.all: list[tuple[str, bool]] = []

    def __call__(self, error: BaseException | None, slow: bool) -> None:
        self.all.append(("" if error is None else type(error).__name__, slow))


def _virtual(main: Callable[[VirtualClock, Turns, _Ends], Awaitable[None]]) -> None:
    async def run(clock: VirtualClock, randomness: object) -> None:
        ends = _Ends()
        turns = Turns("library g1", _LIMITS, clock, ends)
        turns.open()
        await main(clock, turns, ends)
        assert turns.under_way == 0
        turns.stop()

    run_virtual(run)


async def _wait(seconds: float) -> str:
    await anyio.sleep(seconds)
    return "done"


def test_a_turn_in_time_returns_what_the_work_returns() -> None:
    """Up to the limit nothing is felt."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        for seconds in (0, 0.999):
            with Turn(turns) as turn:
                assert await turn.run(_wait(seconds)) == "done"
        assert ends.all == [("", False)] * 2
        assert turns.statistics().begun == 2

    _virtual(main)


def test_work_that_waits_too_long_is_cancelled() -> None:
    """It is cancelled when its time is over, the caller may try again, and it counts as slow."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        message = "longer than 1 s; nothing was committed"
        with pytest.raises(TurnTimedOut, match=message) as caught, Turn(turns) as turn:
            await turn.run(_wait(5))
        assert clock.monotonic_s() == pytest.approx(1.0)
        assert caught.value.body().code == "not_ready"
        assert caught.value.retryable
        assert ends.all == [("TurnTimedOut", True)]
        # The task itself is as good as before.
        await anyio.sleep(0.1)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    _virtual(main)


def test_what_the_host_does_besides_has_no_limit() -> None:
    """A commit is never cut short by the pack's limit."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        with Turn(turns) as turn:
            await turn.run(_wait(0.5))
            await anyio.sleep(10)
        assert ends.all == [("", False)]

    _virtual(main)


def test_each_turn_has_its_own_deadline() -> None:
    """Many at once, begun at different times: each is cancelled a second after it began."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        ended: list[tuple[float, float]] = []

        async def one(begin_s: float) -> None:
            await anyio.sleep(begin_s)
            with pytest.raises(TurnTimedOut), Turn(turns) as turn:
                await turn.run(_wait(100))
            ended.append((begin_s, clock.monotonic_s()))

        async with anyio.create_task_group() as tasks:
            for begin_s in (0.0, 0.3, 0.9, 1.7, 2.0, 9.0):
                tasks.start_soon(one, begin_s)
        assert all(end_s == pytest.approx(begin_s + 1.0) for begin_s, end_s in ended)
        assert len(ended) == 6

    _virtual(main)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 2.5)), min_size=1, max_size=3))
def test_a_turn_times_out_exactly_when_it_is_too_long(work: list[tuple[float, float]]) -> None:
    """Whatever else is under way, work below the limit ends well and work above it does not."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        async def one(begin_s: float, length_s: float) -> None:
            await anyio.sleep(begin_s)
            try:
                with Turn(turns) as turn:
                    await turn.run(_wait(length_s))
            except TurnTimedOut:
                assert length_s >= 0.999999
            else:
                assert length_s <= 1.000001

        async with anyio.create_task_group() as tasks:
            for begin_s, length_s in work:
                tasks.start_soon(one, begin_s, length_s)

    _virtual(main)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5])
def test_a_cancellation_from_outside_stays_one(seconds: float) -> None:
    """Who cancels the host's task gets what it asked for, also at the moment of the limit."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        timed_out = False
        with anyio.move_on_after(seconds) as scope:
            try:
                with Turn(turns) as turn:
                    await turn.run(_wait(5))
            except TurnTimedOut:
                timed_out = True
        if seconds != 1.0:
            assert timed_out == (seconds > 1.0)
            assert scope.cancelled_caught == (seconds < 1.0)
        assert timed_out or scope.cancelled_caught
        # Neither leaves the task half cancelled.
        await anyio.sleep(1)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    _virtual(main)


def test_scopes_within_the_work_are_not_confused() -> None:
    """A pack may have deadlines and groups of tasks of its own, inside or outside of ours."""

    async def inner(clock: VirtualClock) -> str:
        with anyio.move_on_after(0.2):
            await anyio.sleep(5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_wait, 0.1)
        return "inner"

    async def too_long() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_wait, 9)
            with anyio.move_on_after(8):
                await anyio.sleep(7)

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        with Turn(turns) as turn:
            assert await turn.run(inner(clock)) == "inner"
        with anyio.fail_after(30), pytest.raises(TurnTimedOut), Turn(turns) as turn:
            await turn.run(too_long())
        assert ends.all == [("", False), ("TurnTimedOut", True)]

    _virtual(main)


def test_work_that_refuses_to_be_cancelled_is_too_late() -> None:
    """Its result is not used, and the task is not left half cancelled."""

    async def stubborn() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await anyio.sleep(5)
        return "late"

    async def failing() -> str:
        try:
            await anyio.sleep(5)
        finally:
            raise ValueError("while cleaning up")

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        with pytest.raises(TurnTimedOut), Turn(turns) as turn:
            await turn.run(stubborn())
        with pytest.raises(ValueError, match="cleaning up"), Turn(turns) as turn:
            await turn.run(failing())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await anyio.sleep(0.1)

    _virtual(main)


def test_work_that_never_waits_counts_as_slow() -> None:
    """It cannot be cancelled, so its result stands and the guard is told."""
    ends = _Ends()

    async def main() -> None:
        from datetime import UTC, datetime

        clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        turns = Turns("library g1", _LIMITS, clock, ends)
        turns.open()

        async def compute() -> str:
            clock.advance(3.0)
            return "at last"

        with Turn(turns) as turn:
            assert await turn.run(compute()) == "at last"
        assert turns.statistics().slow == 1
        turns.stop()

    asyncio.run(main())
    assert ends.all == [("", True)]


def test_too_many_at_once_are_refused() -> None:
    """Beyond the limit nothing is begun, the sender is told when to come back, and it counts."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        with Turn(turns), Turn(turns), Turn(turns):
            with pytest.raises(TooManyTurns) as caught, Turn(turns):
                pytest.fail("it was begun")
            assert caught.value.body().code == "busy"
            assert caught.value.retry_after_s
        with Turn(turns):
            pass
        found = turns.statistics()
        assert (found.refused_busy, found.under_way_max, found.begun) == (1, 3, 4)
        assert len(ends.all) == 4

    _virtual(main)


def test_a_closed_door_says_why() -> None:
    """No turn begins while it is closed; those under way go on."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        with Turn(turns) as turn:
            turns.close(lambda: TransitionRefused("closed"))
            with pytest.raises(TransitionRefused), Turn(turns):
                pass
            assert await turn.run(_wait(0.1)) == "done"
        turns.open()
        with Turn(turns):
            pass

    _virtual(main)


def test_waiting_for_the_end_of_all_turns() -> None:
    """Several may wait; all wake when the last turn has ended, or when turns may begin again."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        woken: list[float] = []

        async def wait() -> None:
            await turns.wait_idle()
            woken.append(clock.monotonic_s())

        async def turn(seconds: float) -> None:
            with Turn(turns) as one:
                await one.run(_wait(seconds))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn, 0.4)
            tasks.start_soon(turn, 0.7)
            await anyio.sleep(0.1)
            turns.close(lambda: TransitionRefused("closed"))
            tasks.start_soon(wait)
            tasks.start_soon(wait)
        assert woken == [pytest.approx(0.7)] * 2
        async with anyio.create_task_group() as tasks:
            turns.open()
            tasks.start_soon(turn, 0.9)
            await anyio.sleep(0.1)
            turns.close(lambda: TransitionRefused("closed"))
            tasks.start_soon(wait)
            await anyio.sleep(0.1)
            turns.open()
        assert woken[2] == pytest.approx(0.9)

    _virtual(main)


def test_turns_are_cut_off() -> None:
    """The pack's work is cancelled and may be sent again; what the host does goes on."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        committed = []

        async def deciding() -> None:
            message = "had to stop; nothing was committed"
            with pytest.raises(TurnCutOff, match=message), Turn(turns) as turn:
                await turn.run(_wait(0.9))

        async def committing() -> None:
            with Turn(turns) as turn:
                await turn.run(_wait(0.01))
                await anyio.sleep(0.5)
                committed.append(clock.monotonic_s())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deciding)
            tasks.start_soon(committing)
            await anyio.sleep(0.1)
            assert turns.cut_off() == 1
            assert turns.cut_off() == 0
        assert committed == [pytest.approx(0.51)]
        assert sorted(ends.all) == [("", False), ("TurnCutOff", False)]
        assert turns.statistics().cut_off == 1

    _virtual(main)


def test_documents_have_a_size() -> None:
    """One byte more than the manifest allows is refused and counted."""

    async def main(clock: VirtualClock, turns: Turns, ends: _Ends) -> None:
        turns.check_document(b"x" * 64)
        turns.check_document("書" * 21)
        for body in (b"x" * 65, "書" * 22):
            with pytest.raises(DocumentTooLarge, match=r"of 6[56] bytes; its manifest allows 64"):
                turns.check_document(body)
        assert turns.statistics().documents_too_large == 2

    _virtual(main)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (None, False),
        (InsufficientFunds("x"), False),
        (NotReady("the store"), False),
        (StaleOwner("moved"), False),
        (Busy("full"), False),
        (asyncio.CancelledError(), False),
        (GeneratorExit(), False),
        (TurnTimedOut("slow"), True),
        (MigrationFailed("x"), True),
        (DocumentTooLarge("x"), True),
        (ZeroDivisionError(), True),
        (Internal("x"), True),
        (TimeoutError(), True),
    ],
)
def test_what_is_the_packs_fault(error: BaseException | None, fault: Any) -> None:
    """A rejection is part of the protocol, a store out of reach is nobody's fault here."""
    assert is_fault(error) is fault
