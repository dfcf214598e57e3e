"""Every store keeps the same promises: one suite for the store in memory and for Postgres."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernel.book import TableRows
from kernel.dead_letter import DeadLetter
from kernel.ownership import Cluster
from kernel.partition import PARTITIONS
from kernel.store import Commit, EventRow, Position, Query, Remembered, StaleEpoch, Where
from kernel.timers import DueTimer
from tests.conformance.store_lab import (
    NODES,
    TABLES,
    StoreLab,
    memory_lab,
    outcome_of,
    owned_by,
    postgres_lab,
)

pytestmark = pytest.mark.anyio

_AT = datetime(2026, 11, 24, 9, 30, 15, 123456, tzinfo=UTC)
# Long enough that a slow machine does not lose a lease between two calls.
_LEASE_S = 30.0
_SHORT_S = 1.0


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str:
    """Both stores, one after the other; '' stands for memory."""
    if request.param == "memory":
        return ""
    return str(request.getfixturevalue("postgres_dsn"))


@pytest.fixture
async def lab(dsn: str) -> AsyncIterator[StoreLab]:
    """The stores of three nodes on one set of rows."""
    async with postgres_lab(dsn) if dsn else memory_lab() as found:
        yield found


def _rows(name: str, *rows: dict[str, Any], mode: Any = "insert") -> TableRows:
    """Return rows of a table, with the columns of the first."""
    known = {column.name: column.type for column in TABLES[name].columns}
    columns = tuple(rows[0])
    return TableRows(
        name,
        columns,
        tuple(known[column] for column in columns),
        [tuple(row.values()) for row in rows],
        mode,
        () if mode == "insert" else TABLES[name].key.columns,
    )


def _change(seq: int, request_id: str = "", **more: Any) -> dict[str, Any]:
    return {
        "app": "shop", "request_id": request_id or f"r{seq}", "seq": seq, "operation": "test",
        "digest": b"\x00\xff", "outcome": "committed", "answer": "{}", "at": _AT, **more,
    }  # fmt: skip


def _event(seq: int) -> dict[str, Any]:
    return {
        "seq": seq, "change_seq": 1, "app": "shop", "type": "a.b", "subject": "s", "data": "{}",
        "at": _AT,
    }  # fmt: skip


def _document(key: str, version: int, body: str = "{}") -> dict[str, Any]:
    return {
        "pack": "p", "collection": "c", "key": key, "version": version, "change_seq": 1,
        "body": body, "state_version": 1,
    }  # fmt: skip


def _timer(timer_id: str, due_at: datetime, *, partition: int = 1, every_s: int = 0) -> Any:
    return {
        "timer_id": timer_id, "change_seq": 1, "partition": partition, "due_at": due_at,
        "every_s": every_s, "kind": "k", "key": "x", "type": "t", "app": "shop", "body": b"\x01",
    }  # fmt: skip


async def test_what_was_committed_is_read_back(lab: StoreLab) -> None:
    """Positions, requests, documents and events are as they were written, types included."""
    store = lab.store
    assert await store.position() == Position(0, 0)
    await store.commit(
        Commit(
            {0: 0, 63: 0},
            [
                _rows("change", _change(1), _change(2, "other", outcome="not_found")),
                _rows("document", _document("k", 1, "one"), mode="versioned"),
                _rows("event", *(_event(seq) for seq in range(1, 8))),
            ],
        )
    )
    assert await store.position() == Position(2, 7)
    found = await store.find_requests([("shop", "r1"), ("shop", "none"), ("x", "r1")])
    assert found == [Remembered("shop", "r1", b"\x00\xff", "committed", "{}")]
    assert await store.find_requests([]) == []
    assert await store.load_document("p", "c", "k") == (1, 1, "one")
    assert await store.load_document("p", "c", "none") is None
    events = await store.events_after(3, 2)
    assert events == [EventRow(seq, "shop", "a.b", "s", "{}", _AT) for seq in (4, 5)]
    assert events[0].at.utcoffset() == timedelta(0)
    assert await store.events_after(7, 2) == []
    await store.round_trip()


async def test_cursor_never_moves_back(lab: StoreLab) -> None:
    """Each stream has its cursor, and a late note of an earlier place changes nothing."""
    assert await lab.store.event_cursor("S") == 0
    for seq in (5, 3):
        await lab.store.move_event_cursor("S", seq)
        assert await lab.store.event_cursor("S") == 5
    assert await lab.store.event_cursor("T") == 0


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([_rows("change", _change(9, "r1"))], "duplicate"),
        ([_rows("change", _change(1, "r9"))], "unknown"),
        ([_rows("event", _event(1))], "unknown"),
        ([_rows("document", _document("k", 1))], "version"),
        ([_rows("document", _document("k", 3), mode="versioned")], "version"),
        ([_rows("document", _document("z", 1), _document("z", 2), mode="versioned")], "version"),
        ([_rows("balance", {"account_id": "none", "entries": 1}, mode="update")], "version"),
        ([_rows("balance", {"account_id": "external:cash", "posted_minor": 0})], "refused"),
        ([_rows("timer", _timer("t1", _AT))], "refused"),
        ([_rows("timer", _timer("t9", _AT, every_s=-1))], "refused"),
        ([_rows("change", _change(9, outcome=None))], "refused"),
        ([_rows("change", _change(9, answer="a\0b"))], "refused"),
        ([_rows("change", _change(2**63))], "refused"),
        ([_rows("change", _change(1, outcome="x"), mode="update")], "refused"),
        ([_rows("event", {"seq": 1}, mode="delete")], "refused"),
        ([_rows("event", {"seq": 99}, mode="delete")], "refused"),
    ],
)
async def test_commit_that_does_not_stand_leaves_nothing(
    lab: StoreLab, tables: list[TableRows], expected: str
) -> None:
    """One row that cannot stand takes the whole commit with it, and says why."""
    standing = [
        _rows("change", _change(1)),
        _rows("event", _event(1)),
        _rows("document", _document("k", 1), mode="versioned"),
        _rows("timer", _timer("t1", _AT)),
    ]
    await lab.store.commit(Commit({}, standing))
    before = await lab.content()
    sound = [_rows("event", _event(20)), _rows("document", _document("new", 1), mode="versioned")]
    assert await outcome_of(lab.store.commit(Commit({}, [*sound, *tables]))) == expected
    assert await lab.content() == before
    assert await outcome_of(lab.store.commit(Commit({}, sound))) == "stands"


async def test_rows_are_updated_and_deleted_by_key(lab: StoreLab) -> None:
    """An update leaves other columns alone; a delete takes what is there and asks for no more."""
    store = lab.store
    await store.commit(
        Commit(
            {},
            [
                _rows("document", _document("k", 1), mode="versioned"),
                _rows("timer", _timer("t1", _AT), _timer("t2", _AT)),
            ],
        )
    )
    await store.commit(
        Commit(
            {},
            [
                _rows("document", _document("k", 2, "two"), mode="versioned"),
                _rows(
                    "balance", {"account_id": "external:cash", "posted_minor": -7}, mode="update"
                ),
                _rows("timer", {"timer_id": "t1"}, {"timer_id": "none"}, mode="delete"),
                _rows("timer", _timer("t1", _AT, partition=9)),
            ],
        )
    )
    content = await lab.content()
    assert content["document"] == [("p", "c", "k", 2, 1, "two", 1)]
    assert ("external:cash", -7, 0, 0) in content["balance"]
    assert [row[:3] for row in content["timer"]] == [("t1", 1, 9), ("t2", 1, 1)]


async def test_stale_epochs_are_named(lab: StoreLab) -> None:
    """A commit under an epoch that is over, or to come, says for which partitions; none else."""
    await lab.epochs({1: 5, 2: 6, 3: 7})
    tables = [_rows("change", _change(1))]
    with pytest.raises(StaleEpoch) as caught:
        await lab.store.commit(Commit({1: 5, 2: 5, 3: 8, 99: 0}, tables))
    assert caught.value.partitions == {2, 3, 99}
    assert await lab.store.position() == Position(0, 0)
    await lab.store.commit(Commit({1: 5, 2: 6, 3: 7}, tables))


async def test_queries(lab: StoreLab) -> None:
    """Conditions, order and limit; nulls fulfil nothing; values come in the types of the schema."""
    store = lab.store
    account = {
        "change_seq": 1, "app": "shop", "holder": "h", "type": "customer", "asset": "CNY",
        "status": "open", "opened_at": _AT, "customer_id": "", "class": "",
    }  # fmt: skip
    await store.commit(
        Commit(
            {},
            [
                _rows(
                    "account",
                    {"account_id": "a", **account, "floor_minor": 0, "ceiling_minor": 2**63 - 1},
                    {"account_id": "b", **account, "floor_minor": -5, "ceiling_minor": None},
                ),
                _rows(
                    "hold",
                    {
                        "hold_id": "h1", "change_seq": 1, "app": "shop", "account_id": "a",
                        "payee": "", "asset": "CNY", "purpose": "p", "capturable": False,
                        "reference": "", "amount_minor": 1, "placed_at": _AT, "expires_at": None,
                        "captured_minor": 0, "released_minor": 0, "status": "open", "steps": 1,
                    },
                ),
            ],
        )
    )  # fmt: skip

    async def names(*where: Where, **how: Any) -> list[str]:
        query = Query(table="account", columns=("account_id",), where=where, **how)
        return [row[0] for row in await store.fetch(query)]

    ours = Where("app", "=", "shop")
    assert await names(ours, order_by=("floor_minor",)) == ["b", "a"]
    assert await names(ours, order_by=("ceiling_minor",)) == ["a", "b"]
    assert await names(order_by=("app", "account_id"), limit=2) == [
        "channel:alipay:expected",
        "channel:alipay:suspense",
    ]
    assert await names(Where("account_id", "in", ["b", "none"])) == ["b"]
    assert await names(Where("account_id", "in", [])) == []
    assert await names(Where("account_id", "=", "a"), Where("app", "=", "other")) == []
    assert await names(ours, Where("floor_minor", ">", -5)) == ["a"]
    assert await names(ours, Where("floor_minor", "<=", -5)) == ["b"]
    assert await names(Where("ceiling_minor", ">", 0)) == ["a"]
    columns = ("capturable", "placed_at", "expires_at", "amount_minor")
    found = await store.fetch(Query(table="hold", columns=columns))
    assert found == [(False, _AT, None, 1)]
    assert [type(value) for value in found[0]] == [bool, datetime, type(None), int]


async def _join(lab: StoreLab, name: str, lease_s: float = _LEASE_S, instance: str = "") -> Cluster:
    store = lab.stores[name]
    await store.join_cluster(name, instance or name, lease_s)
    return await store.heartbeat(name, instance or name, lease_s)


async def _claim(
    lab: StoreLab, name: str, limit: int, lease_s: float = _LEASE_S, instance: str = ""
) -> dict[int, int]:
    """Claim, and return what the node then owns, with its epochs."""
    cluster = await lab.stores[name].claim_partitions(name, instance or name, {}, limit, lease_s)
    return {claim.partition: claim.epoch for claim in cluster.claims if claim.owner == name}


async def test_partitions_are_shared_and_never_taken_twice(lab: StoreLab) -> None:
    """Claims take free partitions in order, at most the limit, and leave those that are held."""
    for name in ("n3", "n2"):
        await _join(lab, name)
    cluster = await _join(lab, "n1")
    assert cluster.nodes == NODES
    assert [claim.partition for claim in cluster.claims] == list(range(PARTITIONS))
    assert {(claim.owner, claim.epoch) for claim in cluster.claims} == {("", 0)}
    assert await _claim(lab, "n1", 20) == dict.fromkeys(range(20), 1)
    assert await _claim(lab, "n2", 100) == dict.fromkeys(range(20, 64), 1)
    assert await _claim(lab, "n3", 100) == {}
    cluster = await lab.stores["n3"].heartbeat("n3", "n3", _LEASE_S)
    assert len(owned_by(cluster, "n2")) == 44
    assert all(0 < claim.lease_left_s <= _LEASE_S for claim in cluster.claims)


async def test_released_partitions_are_free_at_once(lab: StoreLab) -> None:
    """Only what is held under the epoch given is let go; the next owner's epoch is higher."""
    await _join(lab, "n1")
    await _join(lab, "n2")
    await _claim(lab, "n1", 64)
    await lab.stores["n1"].release_partitions("n1", {1: 1, 2: 9, 3: 1})
    await lab.stores["n2"].release_partitions("n2", {4: 1})
    assert await _claim(lab, "n2", 64) == {1: 2, 3: 2}
    assert await outcome_of(lab.store.commit(Commit({1: 1, 2: 1, 3: 1}, []))) == "stale [1, 3]"
    assert await outcome_of(lab.store.commit(Commit({1: 2, 2: 1, 3: 2}, []))) == "stands"


async def test_lease_ends_with_the_life_of_its_owner(lab: StoreLab) -> None:
    """Heartbeats keep what a node holds; a node that is silent loses it to those that are not."""
    await _join(lab, "n1", _SHORT_S)
    await _join(lab, "n2")
    await _claim(lab, "n1", 10, _SHORT_S)
    looks = 0

    async def kept() -> bool:
        nonlocal looks
        looks += 1
        # Longer than its first lease, and lost by nobody's claim.
        await lab.stores["n1"].heartbeat("n1", "n1", _LEASE_S)
        return looks > 10

    await lab.until(kept, "ten heartbeats")
    assert 0 not in await _claim(lab, "n2", 5)
    cluster = await lab.stores["n1"].heartbeat("n1", "n1", _SHORT_S)
    assert cluster.nodes == ("n1", "n2")

    async def gone() -> bool:
        cluster = await lab.stores["n2"].heartbeat("n2", "n2", _LEASE_S)
        ended = {claim.owner for claim in cluster.claims if claim.lease_left_s <= 0}
        return cluster.nodes == ("n2",) and "n1" in ended

    await lab.until(gone, "the silent node is gone")
    # It took five of those that were free before.
    claimed = await lab.stores["n2"].claim_partitions(
        "n2", "n2", dict.fromkeys(range(10, 15), 1), 64, _LEASE_S
    )
    assert len(owned_by(claimed, "n2")) == PARTITIONS
    assert {claim.epoch for claim in claimed.claims[:10]} == {2}
    assert await outcome_of(lab.store.commit(Commit({0: 1}, []))) == "stale [0]"
    # It comes to itself: it has lost what it held, and extends nothing of it.
    cluster = await lab.stores["n1"].heartbeat("n1", "n1", _LEASE_S)
    assert cluster.nodes == ("n1", "n2")
    assert owned_by(cluster, "n1") == []


async def test_newer_process_of_a_name_is_the_one(lab: StoreLab) -> None:
    """It takes what the former one left, under new epochs and beyond the limit; that one none."""
    await _join(lab, "n1", instance="old")
    assert len(await _claim(lab, "n1", 10, instance="old")) == 10
    cluster = await _join(lab, "n1", instance="new")
    assert (cluster.instance, cluster.nodes) == ("new", ("n1",))
    assert await _claim(lab, "n1", 1, instance="new") == {**dict.fromkeys(range(10), 2), 10: 1}
    held = {**dict.fromkeys(range(9), 2), 9: 1}
    cluster = await lab.store.claim_partitions("n1", "new", held, 0, _LEASE_S)
    assert [claim.epoch for claim in cluster.claims[:11]] == [*[2] * 9, 3, 2]
    # The former process hears of it, and can do no harm.
    for cluster in (
        await lab.store.heartbeat("n1", "old", _SHORT_S, leaving=True),
        await lab.store.claim_partitions("n1", "old", {}, 64, _SHORT_S),
    ):
        assert cluster.instance == "new"
        assert cluster.nodes == ("n1",)
        assert len(owned_by(cluster, "n1")) == 11
        assert cluster.claims[0].lease_left_s > _SHORT_S
    await lab.store.leave_cluster("n1", "old")
    assert (await lab.store.heartbeat("n1", "new", _LEASE_S)).nodes == ("n1",)


async def test_node_that_leaves_is_no_longer_counted(lab: StoreLab) -> None:
    """It still holds what it has while it leaves; then it is forgotten, and joins anew."""
    await _join(lab, "n1")
    await _join(lab, "n2")
    epochs = await _claim(lab, "n1", 3)
    cluster = await lab.store.heartbeat("n1", "n1", _LEASE_S, leaving=True)
    assert cluster.nodes == ("n2",)
    assert owned_by(cluster, "n1") == [0, 1, 2]
    assert cluster.claims[0].lease_left_s > 0
    await lab.store.release_partitions("n1", epochs)
    await lab.store.leave_cluster("n1", "n1")
    cluster = await lab.store.heartbeat("n1", "n1", _LEASE_S)
    assert (cluster.instance, cluster.nodes) == ("", ("n2",))
    assert owned_by(cluster, "n1") == []
    assert (await _join(lab, "n1")).nodes == ("n1", "n2")


async def test_timers_come_due_in_order(lab: StoreLab) -> None:
    """The oldest first, of the partitions asked for, without those under way."""
    due = [_AT + timedelta(seconds=s) for s in (3, 1, 2, 2, 9)]
    timers = [_timer(f"t{n}", at, partition=n % 2) for n, at in enumerate(due)]
    await lab.store.commit(Commit({}, [_rows("timer", *timers)]))

    async def ids(partitions: list[int], seconds: int, limit: int, *without: str) -> list[str]:
        now = _AT + timedelta(seconds=seconds)
        found = await lab.store.due_timers(partitions, now, limit, list(without))
        return [timer.timer_id for timer in found]

    assert await ids([0, 1], 3, 10) == ["t1", "t2", "t3", "t0"]
    assert await ids([0, 1], 3, 2) == ["t1", "t2"]
    assert await ids([0, 1], 3, 2, "t1", "t3") == ["t2", "t0"]
    assert await ids([0], 8, 10) == ["t2", "t0"]
    assert await ids([0], 9, 10) == ["t2", "t0", "t4"]
    assert await ids([], 9, 10) == []
    found = await lab.store.due_timers([1], _AT + timedelta(seconds=1), 10, [])
    assert found == [DueTimer("t1", due[1], 0, "k", "x", "t", "shop", b"\x01")]


async def test_timers_end_as_they_stood(lab: StoreLab) -> None:
    """One that came is removed or moved on; one that was moved meanwhile is left as it is."""
    later = _AT + timedelta(days=1)
    timers = [_timer(name, _AT, every_s=60) for name in ("once", "again", "moved")]
    await lab.store.commit(Commit({}, [_rows("timer", *timers)]))
    await lab.store.end_timers(
        [("once", _AT, None), ("again", _AT, later), ("moved", later, None), ("none", _AT, None)]
    )
    rows = await lab.store.fetch(
        Query(table="timer", columns=("timer_id", "due_at"), order_by=("timer_id",))
    )
    assert rows == [("again", later), ("moved", _AT)]
    await lab.store.end_timers([])
    await lab.store.end_timers([("again", _AT, None), ("moved", later, later)])
    assert rows == await lab.store.fetch(
        Query(table="timer", columns=("timer_id", "due_at"), order_by=("timer_id",))
    )


async def test_dead_letters_are_kept_once(lab: StoreLab) -> None:
    """A letter that is brought again, because its first bringing went unheard, is one letter."""
    letters = [
        DeadLetter(
            dead_letter_id=f"d{n}", at=_AT, node="n1", kind="k", key="x", type="t", app="shop",
            reason="r", attempts=2, body=b"\x00",
        )
        for n in range(3)
    ]  # fmt: skip
    await lab.store.keep_dead_letters(letters[:2])
    await lab.store.keep_dead_letters(letters)
    rows = (await lab.content())["dead_letter"]
    assert rows == [(f"d{n}", _AT, "n1", "k", "x", "t", "shop", "r", 2, b"\x00") for n in range(3)]
