"""What waits is read while a batch is being written, and nothing comes of it early."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.dead_letter import DeadLetters
from kernel.host import BatchHost
from kernel.randomness import IdFactory, SeededRandomness
from schemas.change import Change
from tests.changes import Answers
from tests.eventually import eventually
from tests.unit.stock_lab import JOURNAL_PARTITION, OPENING, StockLab, change, delivery_of, take

pytestmark = pytest.mark.anyio


class _Hosted:
    """A journal under supervision whose commits can be held up."""

    def __init__(self, lab: StockLab) -> None:
        self.lab = lab
        self.answers = Answers()
        letters = DeadLetters("n1", lab.store, lab.clock, IdFactory(lab.clock, SeededRandomness(1)))
        self.host = BatchHost(lambda: lab.journal, clock=lab.clock, dead_letters=letters)
        self.moments: list[str] = []
        # What was answered at each moment.
        self.answered: list[tuple[str, list[int]]] = []
        self.held: anyio.Event | None = None
        lab.store.disturb = self._disturb

    async def _disturb(self, moment: str) -> None:
        if moment != "find_requests":
            self.moments.append(moment)
        self.answered.append((moment, sorted(self.answers.replies)))
        if moment == "commit" and self.held is not None:
            await self.held.wait()

    def send(self, *changes: Change) -> None:
        for one in changes:
            number = int(one.request_id)
            self.host.deliver(delivery_of(number, one, self.answers))

    async def until(self, moment: str) -> None:
        await eventually(lambda: moment in self.moments, moment)

    async def all_answered(self, count: int) -> None:
        await eventually(lambda: len(self.answers.replies) == count, "all answers")


@asynccontextmanager
async def _hosted() -> AsyncIterator[_Hosted]:
    hosted = _Hosted(await StockLab().started())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hosted.host.run)
        yield hosted
        tasks.cancel_scope.cancel()


async def test_what_waits_is_read_during_the_commit() -> None:
    """The next batch finds what it needs in memory, and is answered after its own commit only."""
    async with _hosted() as one:
        one.held = anyio.Event()
        one.send(change("0", take("a", 1)))
        await one.until("commit")
        one.moments.clear()
        one.send(change("1", take("b", 1)), change("2", take("c", 1)))
        await one.until("fetch")
        assert one.answers.replies == {}
        one.held.set()
        await one.all_answered(3)
        assert one.moments == ["fetch", "commit done", "commit", "commit done"]
        assert one.lab.stock() == dict.fromkeys("abc", OPENING - 1)
        one.lab.check()


async def test_what_was_read_ahead_is_decided_after_what_was_written() -> None:
    """A batch sees all of the one before it, though it was read while that one was on its way."""
    async with _hosted() as one:
        one.held = anyio.Event()
        one.send(change("0", take("a", OPENING)))
        await one.until("commit")
        one.send(change("1", take("a", 1)), change("2", take("b", 1)))
        one.held.set()
        await one.all_answered(3)
        answers = one.answers
        assert (answers[1], answers[2]) == ("insufficient_funds", '{"taken":"b"}')
        one.lab.check()


@pytest.mark.parametrize("fault", ["lost", "unheard"])
async def test_nothing_of_what_waits_is_answered_when_a_commit_is_unknown(fault: str) -> None:
    """What was read ahead is dropped with everything else, and read anew after the outage."""
    async with _hosted() as one:
        one.held = anyio.Event()
        one.lab.store.faults.append(fault)
        one.send(change("0", take("a", 1)))
        await one.until("commit")
        one.send(change("1", take("b", 1)))
        await one.until("fetch")
        # Somebody else's doing, which only a new look at the store can show.
        one.lab.database.put("stock", ("b",), {"quantity": 5})
        one.held.set()
        await one.all_answered(2)
        assert one.lab.journal.statistics().unknown_commits == 1
        # At the start, and when the state was read anew: neither of the two.
        assert [told for moment, told in one.answered if moment == "position"] == [[], []]
        assert one.lab.stock() == {"a": OPENING - 1, "b": 4, "c": OPENING}
        one.lab.check()


async def test_nothing_of_what_waits_is_committed_by_a_journal_that_lost_its_partition() -> None:
    """The batch on its way and the one that waits are refused alike, and memory is empty."""
    async with _hosted() as one:
        one.held = anyio.Event()
        one.send(change("0", take("a", 1)))
        await one.until("commit")
        one.send(change("1", take("b", 1)))
        await one.until("fetch")
        one.lab.move_partition(JOURNAL_PARTITION, "n2")
        one.held.set()
        await one.all_answered(2)
        assert [one.answers[n] for n in range(2)] == ["stale_owner"] * 2
        assert one.lab.stock() == dict.fromkeys("abc", OPENING)
        assert one.lab.book.stock == {}


async def test_reading_ahead_that_fails_costs_nothing() -> None:
    """It is read again when its turn comes."""
    async with _hosted() as one:
        one.held = anyio.Event()
        one.send(change("0", take("a", 1)))
        await one.until("commit")
        fetch, calls = one.lab.store.fetch, []

        async def failing(query: object) -> list[tuple[object, ...]]:
            calls.append(query)
            if len(calls) == 1:
                raise RuntimeError("lost on the way")
            return await fetch(query)  # type: ignore[arg-type]

        one.lab.store.fetch = failing  # type: ignore[method-assign]
        one.send(change("1", take("b", 1)))
        await eventually(lambda: len(calls) == 1, "the reading ahead")
        one.held.set()
        await one.all_answered(2)
        assert (len(calls), one.answers[1]) == (2, '{"taken":"b"}')
        assert one.host.statistics().restarts == 0


_faults = st.lists(st.sampled_from(["", "", "lost", "unheard"]), max_size=8)
_takes = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 60), st.integers(0, 3)),
    min_size=1, max_size=20,
)  # fmt: skip


@given(faults=_faults, takes=_takes)
async def test_any_arrival_and_any_fault_counts_each_change_once(
    faults: list[str], takes: list[tuple[str, int, int]]
) -> None:
    """Whatever arrives during whichever commit: memory is what is stored, each answer is kept."""
    async with _hosted() as one:
        one.lab.store.faults.extend(faults)
        for number, (name, quantity, turns) in enumerate(takes):
            one.send(change(str(number), take(name, quantity)))
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
        await one.all_answered(len(takes))
        left = dict.fromkeys("abc", OPENING)
        for number, (name, quantity, _) in enumerate(takes):
            if left[name] >= quantity:
                left[name] -= quantity
                assert one.answers[number] == f'{{"taken":"{name}"}}'
            else:
                assert one.answers[number] == "insufficient_funds"
        assert one.lab.stock() == left
        one.lab.check()
