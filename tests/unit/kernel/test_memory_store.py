"""The store in memory can be disturbed as a real one is; what it promises is in the conformance."""

import anyio
import pytest

from kernel.book import TableRows
from kernel.clock import ManualClock
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.store import Commit, CommitUnknown
from schemas.errors import NotReady
from tests.unit.kernel.harness import START

pytestmark = pytest.mark.anyio


def _commit(seq: int) -> Commit:
    columns = ("app", "request_id", "seq", "operation", "digest", "outcome", "answer", "at")
    row = ("shop", f"r{seq}", seq, "test", b"", "committed", "{}", START)
    return Commit({}, [TableRows("change", columns, ("",) * 8, [row])])


def _store() -> MemoryStore:
    return MemoryStore(MemoryDatabase(ManualClock(START)))


async def _last(store: MemoryStore) -> int:
    return (await MemoryStore(store.database).position()).change_seq


async def test_faults_come_before_or_after_a_commit_stands() -> None:
    """Either way the caller hears only that it is not known; one commit each, then none."""
    store = _store()
    store.faults.extend(["lost", "", "unheard"])
    for seq, stands in ((1, False), (2, True), (3, True)):
        if seq == 2:
            await store.commit(_commit(seq))
        else:
            with pytest.raises(CommitUnknown):
                await store.commit(_commit(seq))
        assert (await _last(store) == seq) is stands
    await store.commit(_commit(4))
    statistics = store.statistics()
    assert (statistics.commits, statistics.commits_failed, statistics.rows) == (2, 2, 2)


async def test_cut_connection_refuses_and_the_others_go_on() -> None:
    """One node's connection is cut; another's to the same database is not; after mending both."""
    store = _store()
    other = MemoryStore(store.database)
    store.cut()
    with pytest.raises(NotReady):
        await store.commit(_commit(1))
    with pytest.raises(NotReady):
        await store.round_trip()
    await other.commit(_commit(1))
    store.mend()
    assert (await store.position()).change_seq == 1


@pytest.mark.parametrize(("moment", "stands"), [("commit", False), ("commit done", True)])
async def test_cut_and_death_in_the_middle_of_a_commit(moment: str, stands: bool) -> None:
    """What was not written by then is not written, and what was stands, though nobody hears it."""
    for dies in (False, True):
        store = _store()
        reached = anyio.Event()
        goes_on = anyio.Event()

        async def disturb(
            at: str, reached: anyio.Event = reached, goes_on: anyio.Event = goes_on
        ) -> None:
            if at == moment:
                reached.set()
                await goes_on.wait()

        store.disturb = disturb
        failures: list[Exception] = []

        async def work(store: MemoryStore = store, failures: list[Exception] = failures) -> None:
            try:
                await store.commit(_commit(1))
            except (CommitUnknown, NotReady) as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await reached.wait()
            store.cut()
            if dies:
                tasks.cancel_scope.cancel()
            goes_on.set()
        assert len(failures) == (not dies)
        assert await _last(store) == int(stands)


async def test_row_that_is_refused_undoes_those_before_it() -> None:
    """Unique numbers are free again after a commit that failed."""
    store = _store()
    await store.commit(_commit(1))
    both = Commit({}, [*_commit(2).tables, *_commit(1).tables])
    with pytest.raises(Exception, match="there already"):
        await store.commit(both)
    await store.commit(_commit(2))
    assert await _last(store) == 2
