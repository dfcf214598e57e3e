"""Ownership under any history of joins, ends, crashes, pauses and outages."""

import contextlib
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from kernel.clock import ManualClock
from kernel.ownership import LEASE_S, Ownership
from kernel.partition import PARTITIONS
from schemas.errors import NotReady, StaleOwner, ZhihuiError
from tests.unit.kernel.harness import START, FakeOwnershipStore

# Time to shrink an example that fails; one that passes takes milliseconds.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_NAMES = ("n1", "n2", "n3", "n4", "n5")
_METHODS = ("heartbeat", "claim_partitions", "release_partitions", "join_cluster", "leave_cluster")

_names = st.sampled_from(_NAMES)
_joins = st.tuples(st.just("join"), _names)
_ticks = st.tuples(st.just("tick"), _names)
_steps = st.one_of(
    _joins,
    _joins,
    _ticks,
    _ticks,
    st.tuples(st.just("leave"), _names),
    st.tuples(st.just("crash"), _names),
    st.tuples(st.just("lose"), _names, st.integers(0, PARTITIONS - 1)),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 1.0, LEASE_S - 0.5, LEASE_S + 0.5, 20.0])),
    st.tuples(st.just("away"), st.booleans()),
    st.tuples(st.just("unheard"), st.sampled_from(_METHODS)),
    # Another node looks while a call of this method is on its way.
    st.tuples(st.just("between"), st.sampled_from(_METHODS), _names),
)


class _World:
    """Processes that come and go by names, on one store."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = FakeOwnershipStore(self.clock)
        self.processes: list[tuple[str, Ownership]] = []
        self.held: dict[tuple[int, int], Ownership] = {}
        self._number = 0

    def of(self, name: str) -> list[Ownership]:
        return [one for its, one in self.processes if its == name]

    def remove(self, process: Ownership) -> None:
        self.processes = [one for one in self.processes if one[1] is not process]

    async def do(self, step: tuple[object, ...]) -> None:
        what, argument, *rest = step
        if what == "pass":
            assert isinstance(argument, float)
            self.clock.advance(argument)
        elif what == "away":
            self.store.away = bool(argument)
        elif what == "unheard":
            self.store.unheard.append(str(argument))
        elif what == "between":
            self.store.at[str(argument)] = self._between(str(rest[0]))
        elif what == "join":
            await self.join(str(argument))
        else:
            for one in self.of(str(argument)):
                if what == "tick":
                    await self.tick(one)
                elif what == "crash":
                    self.remove(one)
                elif what == "lose":
                    one.lost({int(str(rest[0]))})
                else:
                    await self.leave(one)
        self.check_epochs()

    def _between(self, name: str) -> Callable[[], Awaitable[None]]:
        async def look() -> None:
            for one in self.of(name):
                # A process waits for itself; only others can come in between.
                if not one._turn.locked():
                    await self.tick(one)

        return look

    async def join(self, name: str) -> None:
        self._number += 1
        process = Ownership(name, f"{name}-{self._number}", self.store, self.clock)
        self.processes.append((name, process))
        try:
            await process.join(0.0)
        except NotReady:
            # It goes on trying if the others know of it, and ends if they do not.
            if self.store.instances.get(name) != process._instance:
                self.remove(process)
        except StaleOwner:
            self.remove(process)

    async def tick(self, process: Ownership) -> None:
        try:
            await process._tick()
        except StaleOwner:
            await self.leave(process)
        except ZhihuiError:
            pass

    async def leave(self, process: Ownership) -> None:
        self.remove(process)
        with contextlib.suppress(ZhihuiError):
            await process.leave()

    def check_epochs(self) -> None:
        """An epoch of a partition belongs to one process for ever, which is what fences commits."""
        rows = self.store.rows
        for _, process in self.processes:
            for partition, epoch in process.owned().items():
                assert self.held.setdefault((partition, epoch), process) is process
                row = rows[partition]
                assert row.epoch >= epoch
                if row.epoch == epoch:
                    assert row.owner in (process._node, ""), "held by nobody else under this epoch"

    async def settle(self) -> None:
        """Let everything be well for a while."""
        self.store.away = False
        self.store.unheard.clear()
        self.store.at.clear()
        for _ in range(24):
            self.clock.advance(0.5)
            for _, one in list(self.processes):
                await self.tick(one)
                self.check_epochs()


@settings(max_examples=60)
@given(first=st.lists(_names, unique=True), steps=st.lists(_steps, max_size=40))
async def test_shares_converge_after_any_history(
    first: list[str], steps: list[tuple[object, ...]]
) -> None:
    """Whatever happened, the nodes that live own equal shares soon, and each partition once."""
    world = _World()
    for name in first:
        await world.join(name)
    for step in steps:
        await world.do(step)
    await world.settle()
    names = sorted({name for name, _ in world.processes})
    assert len(names) == len(world.processes), "one process for each name"
    event(f"{len(names)} nodes at the end")
    if not names:
        return
    by_name = dict(world.processes)
    share, rest = divmod(PARTITIONS, len(names))
    assert [len(by_name[name].owned()) for name in names] == [
        share + (number < rest) for number in range(len(names))
    ]
    for partition, row in world.store.rows.items():
        owner = by_name[row.owner]
        assert owner.epoch(partition) == row.epoch
        assert owner.accepts(partition)
        assert {one.node_of(partition) for one in by_name.values()} == {row.owner}
    # And then nothing moves any more.
    before = {p: row.epoch for p, row in world.store.rows.items()}
    await world.settle()
    assert {p: row.epoch for p, row in world.store.rows.items()} == before


@settings(max_examples=50)
@given(order=st.permutations(_NAMES), leaving=st.permutations(_NAMES))
async def test_coming_and_leaving_in_any_order(order: list[str], leaving: list[str]) -> None:
    """With one to five nodes, after each coming and each leaving, nobody waits for a lease."""
    world = _World()
    there: list[str] = []

    async def rounds() -> None:
        for _ in range(4):
            for _, one in list(world.processes):
                await world.tick(one)
                world.check_epochs()
        sizes = [len(one.owned()) for _, one in world.processes]
        assert sum(sizes) == PARTITIONS
        assert max(sizes) - min(sizes) <= 1

    for name in order:
        await world.join(name)
        there.append(name)
        await rounds()
    for name in leaving[:-1]:
        (process,) = world.of(name)
        await process.hand_over_all()
        await world.leave(process)
        await rounds()
    assert world.clock.monotonic_s() == 0.0
