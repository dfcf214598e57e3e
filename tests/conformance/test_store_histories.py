"""Any sequence of commits has the same outcomes and leaves the same rows in both stores."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from kernel.book import TableRows
from kernel.memory_tables import Column
from kernel.store import Commit, Query, Where
from tests.conformance.store_lab import TABLES, MemoryLab, outcome_of, postgres_lab

# Time to shrink an example that fails.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_EPOCHS = {0: 1, 1: 2}

# Few values for what is a key, so that rows meet.
_FEW: dict[str, tuple[Any, ...]] = {
    "app": ("a", "b"),
    "request_id": ("r1", "r2", "r3"),
    "seq": (1, 2, 3, 4),
    "account_id": ("x", "y", "external:cash"),
    "number": (1, 2, 3),
    "timer_id": ("t1", "t2", "t3"),
    "key": ("k1", "k2"),
    "pack": ("p",),
    "collection": ("c",),
    "version": (1, 2, 3),
    "hold_id": ("h1", "h2"),
    "change_seq": (1, 2),
}
_ORDINARY: dict[str, tuple[Any, ...]] = {
    "text": ("", "é\n'"),
    "bigint": (1, 7, 2**63 - 1),
    "integer": (1, 2**31 - 1),
    "smallint": (0, 63),
    "boolean": (True, False),
    "bytea": (b"", b"\x00\xff"),
    "timestamptz": (_AT, _AT + timedelta(microseconds=1)),
}
# What the column's type, a check or NOT NULL refuses; now and then.
_ODD: dict[str, tuple[Any, ...]] = {
    "text": (None, "a\0b"),
    "bigint": (None, 0, -1, 2**63),
    "integer": (None, 2**31),
    "smallint": (None, 2**15),
    "boolean": (None,),
    "bytea": (None,),
    "timestamptz": (None,),
}
Mode = Literal["insert", "update", "versioned", "delete"]
_MODES: tuple[Mode, ...] = ("insert", "insert", "update", "delete")
_IMMUTABLE_MODES: tuple[Mode, ...] = ("insert",) * 10 + ("update", "delete")
_TABLES = ("change", "event", "document", "timer", "balance", "entry", "hold", "hold_step")


def _value(column: Column, *, odd: bool) -> st.SearchStrategy[Any]:
    few = _FEW.get(column.name)
    return st.sampled_from(_ODD[column.type] if odd else few or _ORDINARY[column.type])


@st.composite
def _table_rows(draw: st.DrawFn) -> TableRows:
    table = TABLES[draw(st.sampled_from(_TABLES))]
    mode: Mode = draw(st.sampled_from(_IMMUTABLE_MODES if table.immutable else _MODES))
    if table.name == "document" and mode != "delete":
        mode = "versioned"
    key = table.key.columns
    columns = list(table.columns)
    if mode == "delete":
        columns = [one for one in columns if one.name in key]
    elif mode == "update":
        changed = draw(
            st.sampled_from([one for one in columns if one.name not in (*key, "seq", "version")])
        )
        columns = [one for one in columns if one.name in key or one is changed]
    odd = draw(st.sampled_from((*[-1] * 20, *range(30))))
    count = draw(st.integers(1, 3))
    rows = [
        tuple(draw(_value(one, odd=odd == n + 10 * number)) for n, one in enumerate(columns))
        for number in range(count)
    ]
    return TableRows(
        table.name,
        tuple(one.name for one in columns),
        tuple(one.type for one in columns),
        rows,
        mode,
        () if mode == "insert" else key,
    )


@st.composite
def _commits(draw: st.DrawFn) -> Commit:
    epochs = draw(st.sampled_from(({}, *[_EPOCHS] * 6, {0: 1}, {0: 0, 1: 2}, {7: 1})))
    return Commit(epochs, draw(st.lists(_table_rows(), min_size=1, max_size=3)))


def _queries() -> list[Query]:
    found = []
    for name in _TABLES:
        table = TABLES[name]
        columns = tuple(column.name for column in table.columns)
        order = table.key.columns
        last = Where(order[-1], ">", _FEW[order[-1]][0])
        first = Where(order[0], "in", list(_FEW[order[0]][:2]))
        one = Where(order[0], "=", _FEW[order[0]][0])
        found += [
            Query(table=name, columns=columns, where=where, order_by=order, limit=3)
            for where in ((), (first,), (first, last), (one,))
        ]
    return found


@pytest.fixture
def fast(postgres_dsn: str) -> str:
    """A database that need not survive a crash: the examples are many and small."""
    return f"{postgres_dsn}{'&' if '?' in postgres_dsn else '?'}synchronous_commit=off"


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(_commits(), min_size=1, max_size=6))
async def test_any_history_ends_alike(fast: str, history: list[Commit]) -> None:
    """Each commit stands or fails for the same reason in both; so do tables, answers and reads."""
    async with postgres_lab(fast, ("n1",)) as postgres:
        memory = MemoryLab()
        await postgres.empty()
        for lab in (memory, postgres):
            await lab.epochs(_EPOCHS)
        for commit in history:
            expected = await outcome_of(memory.store.commit(commit))
            event(expected.split()[0])
            assert await outcome_of(postgres.store.commit(commit)) == expected
        assert await postgres.content() == await memory.content()
        for query in _queries():
            assert await postgres.store.fetch(query) == await memory.store.fetch(query)
        assert await postgres.store.position() == await memory.store.position()
        keys = [(app, request) for app in _FEW["app"] for request in _FEW["request_id"]]
        found = [await lab.store.find_requests(keys) for lab in (memory, postgres)]
        first, second = (sorted(one, key=lambda r: (r.app, r.request_id)) for one in found)
        assert first == second
        events = [await lab.store.events_after(1, 2) for lab in (memory, postgres)]
        assert events[0] == events[1]
