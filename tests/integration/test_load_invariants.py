"""Exactly once, held against a real ledger that was damaged on purpose."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from loadtest.harness.invariants import (
    LedgerRun,
    MultisetSum,
    Recorded,
    check_exactly_once,
    new_key,
    sum_of,
)
from loadtest.harness.invariants.ledger_sums import ledger_sum

pytestmark = pytest.mark.anyio

_AT = datetime(2025, 1, 1, tzinfo=UTC)
_RUN = LedgerRun(app="bench", id_prefix="load-7f-", from_seq=10)
# Enough for both halves of the hash to be negative somewhere.
_PAYMENTS = [(f"load-7f-{number}", 100 + number) for number in range(64)]


@pytest.fixture
async def ledger(postgres_dsn: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A ledger that holds the payments of a run, and some of others."""
    connection = await asyncpg.connect(postgres_dsn)
    try:
        # At once, because each commit waits for the disk.
        async with connection.transaction():
            await _pay(connection, 3, "load-7f-early", 1)
            for number, (request_id, amount_minor) in enumerate(_PAYMENTS):
                await _pay(connection, 11 + number, request_id, amount_minor)
            await _pay(connection, 900, "load-8a-other", 5)
            await _pay(connection, 901, "load-7f-foreign", 5, app="other")
        yield connection
    finally:
        await connection.close()


async def _pay(
    connection: "asyncpg.Connection[Any]",
    seq: int,
    request_id: str,
    amount_minor: int,
    *,
    app: str = "bench",
    change_id: str = "",
    moved_minor: int | None = None,
) -> None:
    """Store a payment; its change may go by another id, and move another amount."""
    await connection.execute(
        "INSERT INTO zhihui.change VALUES ($1, $2, $3, 'payment.create', '', 'committed', '', $4)",
        app,
        change_id or request_id,
        seq,
        _AT,
    )
    await connection.execute(
        "INSERT INTO zhihui.payment (payment_id, change_seq, app, request_id, method, status,"
        " payer, payee, amount_minor, currency, reference, created_at)"
        " VALUES ($1, $2, $3, $4, 'balance', 'succeeded', 'a', 'b', $5, 'CNY', '', $6)",
        f"pay_{seq}",
        seq,
        app,
        request_id,
        amount_minor,
        _AT,
    )
    moved = amount_minor if moved_minor is None else moved_minor
    for name, signed in (("a", -moved), ("b", moved)):
        await connection.execute(
            "INSERT INTO zhihui.entry VALUES ($1, $2, $2, $3, 0)", name, seq, signed
        )


def _acknowledged(key: bytes, payments: list[tuple[str, int]]) -> MultisetSum:
    return sum_of(key, ((name.encode(), amount) for name, amount in payments))


async def _verdicts(
    ledger: "asyncpg.Connection[Any]",
    payments: list[tuple[str, int]],
    unknown: tuple[Recorded, ...] = (),
) -> dict[str, tuple[bool, str]]:
    key = new_key()
    findings = await check_exactly_once(
        ledger,
        _RUN,
        key=key,
        acknowledged=_acknowledged(key, payments),
        unknown=unknown,
        sources=("documents", "money"),
    )
    return {one.name.removeprefix("exactly_once_"): (one.ok, one.detail) for one in findings}


async def test_postgres_has_the_same_numbers(ledger: "asyncpg.Connection[Any]") -> None:
    """Sum, exclusive or, count and amount of the ledger are those of Python, for many keys."""
    for _ in range(8):
        key = new_key()
        expected = _acknowledged(key, _PAYMENTS)
        assert await ledger_sum(ledger, _RUN, "documents", key=key) == expected
        assert await ledger_sum(ledger, _RUN, "money", key=key) == expected
        requests = _acknowledged(key, [(name, 0) for name, _ in _PAYMENTS])
        assert await ledger_sum(ledger, _RUN, "changes", key=key) == requests


async def test_a_whole_run_agrees(ledger: "asyncpg.Connection[Any]") -> None:
    """What was acknowledged is what is stored; rows of other runs, apps and times do not count."""
    verdicts = await _verdicts(ledger, _PAYMENTS)
    assert [ok for ok, _ in verdicts.values()] == [True, True]


async def test_a_lost_payment_is_found(ledger: "asyncpg.Connection[Any]") -> None:
    """A payment that was acknowledged and is not stored breaks both claims."""
    verdicts = await _verdicts(ledger, [*_PAYMENTS, ("load-7f-lost", 7)])
    assert verdicts["documents"] == (
        False,
        "65 acknowledged, 64 found, 1 too few, -7 minor units in all",
    )
    assert not verdicts["money"][0]


async def test_a_doubled_payment_is_found_and_named(ledger: "asyncpg.Connection[Any]") -> None:
    """A payment that is stored twice breaks the claim, which names it."""
    await _pay(ledger, 500, "load-7f-3", 103, change_id="load-7f-3#again")
    ok, detail = (await _verdicts(ledger, _PAYMENTS))["documents"]
    assert not ok
    assert detail.endswith("1 too many, +103 minor units in all, more than once: load-7f-3")


async def test_an_altered_amount_is_found(ledger: "asyncpg.Connection[Any]") -> None:
    """A payment of another amount than was acknowledged breaks the claim though none is missing."""
    # Without the triggers that keep rows as they are.
    await ledger.execute("SET session_replication_role = replica")
    await ledger.execute(
        "UPDATE zhihui.payment SET amount_minor = amount_minor + 1 WHERE request_id = 'load-7f-5'"
    )
    verdicts = await _verdicts(ledger, _PAYMENTS)
    assert verdicts["documents"][0] is False
    assert "as many, and not the same, +1 minor units" in verdicts["documents"][1]
    assert verdicts["money"][0] is True


async def test_money_that_moved_twice_is_found(ledger: "asyncpg.Connection[Any]") -> None:
    """A payment that is stored once and moved its money twice breaks the claim about money."""
    await _pay(ledger, 600, "load-7f-twice", 50, moved_minor=100)
    verdicts = await _verdicts(ledger, [*_PAYMENTS, ("load-7f-twice", 50)])
    assert verdicts["documents"][0] is True
    assert verdicts["money"][0] is False


async def test_a_refused_request_that_was_made_is_found(ledger: "asyncpg.Connection[Any]") -> None:
    """A payment that the caller was told is refused may not be stored."""
    ok, detail = (await _verdicts(ledger, _PAYMENTS[:-1]))["documents"]
    assert (ok, "1 too many" in detail) == (False, True)


async def test_unknown_requests_may_have_been_made(ledger: "asyncpg.Connection[Any]") -> None:
    """Without an answer a payment may be stored or not, but only once and with its own amount."""
    made = Recorded(*_PAYMENTS[-1])
    never = Recorded("load-7f-never", 9)
    verdicts = await _verdicts(ledger, _PAYMENTS[:-1], (made, never))
    assert verdicts["documents"] == (True, "64 acknowledged (of 2 unknown 1 were made)")
    other_amount = Recorded(made.request_id, made.amount_minor + 1)
    assert not (await _verdicts(ledger, _PAYMENTS[:-1], (other_amount,)))["documents"][0]
    await _pay(ledger, 700, *_PAYMENTS[-1], change_id="load-7f-again")
    assert not (await _verdicts(ledger, _PAYMENTS[:-1], (made,)))["documents"][0]
