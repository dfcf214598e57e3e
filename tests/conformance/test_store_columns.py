"""Whatever a column can hold comes back as it was written, alone and beside other rows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel._postgres_writing import ALIKE_ROWS_MIN
from kernel.book import TableRows
from kernel.store import Commit, Joined, Query, Where
from tests.conformance.store_lab import TABLES, StoreLab, memory_lab, postgres_lab

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_AT = datetime(2026, 11, 24, 9, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str:
    """Both stores, one after the other; '' stands for memory."""
    if request.param == "memory":
        return ""
    return str(request.getfixturevalue("postgres_dsn"))


@pytest.fixture
async def lab(dsn: str) -> AsyncIterator[StoreLab]:
    """One store of each kind."""
    async with postgres_lab(dsn, ("n1",)) if dsn else memory_lab() as found:
        yield found


# What a text that is taken apart might trip over.
_texts = st.lists(st.sampled_from(["", "\x1f", '"', "\\", "{", "}", ",", "NULL", "é\n", "a"]),
                  max_size=4).map("".join)  # fmt: skip
_moments = st.builds(
    lambda micros, hours: (
        _AT.astimezone(timezone(timedelta(hours=hours))) + timedelta(microseconds=micros)
    ),
    st.integers(-(10**15), 10**15),
    st.integers(-12, 14),
)
_row = st.fixed_dictionaries(
    {
        "payee": _texts, "reference": _texts, "capturable": st.booleans(),
        "amount_minor": st.sampled_from([1, 250, 2**63 - 1]), "placed_at": _moments,
        "expires_at": st.none() | _moments,
    }
)  # fmt: skip
_counter = iter(range(10**9))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(_row, min_size=1, max_size=4))
async def test_any_value_comes_back(lab: StoreLab, rows: list[dict[str, Any]]) -> None:
    """Separators, quotes, nulls, empty texts, the largest numbers, moments of any zone."""
    names = [f"h{next(_counter)}" for _ in rows]
    known = {column.name: column.type for column in TABLES["hold"].columns}
    whole = [
        {
            "hold_id": name, "change_seq": 1, "app": "shop", "account_id": "a", "asset": "CNY",
            "purpose": "p", "captured_minor": 0, "released_minor": 0, "status": "open", "steps": 1,
            **row,
        }
        for name, row in zip(names, rows, strict=True)
    ]  # fmt: skip
    columns = tuple(whole[0])
    types = tuple(known[one] for one in columns)
    values = [tuple(one[column] for column in columns) for one in whole]
    written = TableRows("hold", columns, types, values)
    await lab.store.commit(Commit({}, [written]))
    where = (Where("hold_id", "in", names),)
    found = await lab.store.fetch(Query(table="hold", columns=columns, where=where))
    assert sorted(found) == sorted(values)
    statuses = TableRows("hold", ("hold_id", "status", "reference"), ("text",) * 3,
                         [(name, "closed", f"{name}\x1f") for name in names], "update",
                         ("hold_id",))  # fmt: skip
    await lab.store.commit(Commit({}, [statuses]))
    query = Query(table="hold", columns=("reference", "status"), where=where)
    assert sorted(await lab.store.fetch(query)) == sorted((f"{n}\x1f", "closed") for n in names)


_value = st.sampled_from(["", "same", "\x1f", "{", "é"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    count=st.integers(ALIKE_ROWS_MIN - 1, ALIKE_ROWS_MIN + 4), payee=_value, reference=_value,
    odd=st.none() | _value, at=_moments, expires_at=st.none() | _moments,
)  # fmt: skip
async def test_columns_that_are_alike_come_back_in_every_row(
    lab: StoreLab, count: int, payee: str, reference: str, odd: str | None, at: datetime,
    expires_at: datetime | None,
) -> None:  # fmt: skip
    """New rows and changed ones, whether all have a value or all but one."""
    columns = ("hold_id", "change_seq", "app", "account_id", "payee", "asset", "purpose",
               "capturable", "reference", "amount_minor", "placed_at", "expires_at",
               "captured_minor", "released_minor", "status", "steps")  # fmt: skip
    known = {column.name: column.type for column in TABLES["hold"].columns}
    names = [f"h{next(_counter)}" for _ in range(count)]
    values = [
        (name, 1, "shop", "a", payee, "CNY", "p", True,
         reference if odd is None or number else odd, 5, at, expires_at, 0, 0, "open", 1)
        for number, name in enumerate(names)
    ]  # fmt: skip
    types = tuple(known[one] for one in columns)
    await lab.store.commit(Commit({}, [TableRows("hold", columns, types, values)]))
    where = (Where("hold_id", "in", names),)
    assert sorted(
        await lab.store.fetch(Query(table="hold", columns=columns, where=where))
    ) == sorted(values)
    closed = [(name, "closed", payee) for name in names]
    statuses = TableRows("hold", ("hold_id", "status", "reference"), ("text",) * 3, closed,
                         "update", ("hold_id",))  # fmt: skip
    await lab.store.commit(Commit({}, [statuses]))
    query = Query(table="hold", columns=("hold_id", "status", "reference"), where=where)
    assert sorted(await lab.store.fetch(query)) == sorted(closed)


async def test_joined_rows_come_with_theirs(lab: StoreLab) -> None:
    """One row for each of the table asked; what it is joined to, or nulls where that has none."""
    known = ["external:cash", "external:unionpay"]
    limit = {"account_id": known[0], "exempt": "", **dict.fromkeys(
        ("day", "day_out", "day_in", "year", "year_out", "year_in"), 7)}  # fmt: skip
    types = ("text", "text", *["bigint"] * 6)
    rows = TableRows("account_limit", tuple(limit), types, [tuple(limit.values())])
    await lab.store.commit(Commit({}, [rows]))
    query = Query(
        table="account",
        columns=("account_id", "asset"),
        joined=(
            Joined("balance", "account_id", ("entries", "posted_minor")),
            Joined("account_limit", "account_id", ("exempt", "day", "day_out_max")),
        ),
        where=(Where("account_id", "in", [*known, "none"]),),
        order_by=("account_id",),
    )
    assert await lab.store.fetch(query) == [
        (known[0], "CNY", 0, 0, "", 7, None),
        (known[1], "CNY", 0, 0, None, None, None),
    ]
