"""A stream of payments under adversity, and what must hold of it at the end."""

import time
from collections import Counter
from collections.abc import Sequence

import anyio
import asyncpg

from kernel.partition import PARTITIONS, partition_of
from schemas.errors import NotFound, Unavailable
from zhihui.audit import run_audit
from zhihui.client import Client

__all__ = (
    "FUNDS_MINOR",
    "GRACE_S",
    "PaymentStream",
    "check_stream",
    "open_accounts",
    "open_accounts_everywhere",
)

FUNDS_MINOR = 10**9
# What a busy machine may add to a call's own limit.
GRACE_S = 1.0


class PaymentStream:
    """Workers that pay one unit after the other, each under an id of its own.

    ``pairs`` are payers with their payees, taken in turns. A call that takes longer than its limit
    fails the test.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._number = 0
        self.stopped = False
        self.acknowledged: dict[str, str] = {}
        self.unknown: list[str] = []
        # How many calls ended without an answer, by their limit in seconds.
        self.gave_up: Counter[float] = Counter()
        self.latencies_s: list[float] = []

    async def work(self, client: Client, timeout_s: float) -> None:
        """Pay until the stream is stopped; ``timeout_s`` is the client's own limit."""
        while not self.stopped:
            self._number += 1
            await self.pay(client, self._pairs[self._number % len(self._pairs)], timeout_s)

    async def pay(self, client: Client, pair: tuple[str, str], timeout_s: float) -> None:
        """Pay once from the one to the other, under a new request id."""
        self._number += 1
        request_id = f"stream-{self._number}"
        began_s = time.monotonic()
        try:
            payment = await client.payments.create(
                payer=pair[0], payee=pair[1], amount_minor=1, request_id=request_id
            )
        except Unavailable:
            self.unknown.append(request_id)
            self.gave_up[timeout_s] += 1
        else:
            self.acknowledged[request_id] = payment.payment_id
        took_s = time.monotonic() - began_s
        self.latencies_s.append(took_s)
        assert took_s <= timeout_s + GRACE_S, f"{request_id} took {took_s:.2f} s"


async def open_accounts(client: Client, pairs: int) -> list[tuple[str, str]]:
    """Open payers with funds, and their payees."""
    opened = []
    for _ in range(pairs):
        payer = (await client.accounts.open(holder="Li")).account_id
        payee = (await client.accounts.open(holder="Shop", type="merchant")).account_id
        await client.accounts.deposit(payer, FUNDS_MINOR, source="external:cash")
        opened.append((payer, payee))
    return opened


async def open_accounts_everywhere(client: Client) -> list[tuple[str, str]]:
    """Open payers with funds, one in each partition of payments, and one payee for all."""
    payee = (await client.accounts.open(holder="Shop", type="merchant")).account_id
    payers: dict[int, str] = {}

    async def open_one() -> None:
        account = (await client.accounts.open(holder="Li")).account_id
        payers.setdefault(partition_of("payment", account), account)

    # Some 300 are needed as a rule: the ids are as they come.
    while len(payers) < PARTITIONS:
        async with anyio.create_task_group() as tasks:
            for _ in range(PARTITIONS):
                tasks.start_soon(open_one)
    async with anyio.create_task_group() as tasks:
        for payer in payers.values():
            tasks.start_soon(_fund, client, payer)
    return [(payer, payee) for payer in payers.values()]


async def _fund(client: Client, account: str) -> None:
    await client.accounts.deposit(account, FUNDS_MINOR, source="external:cash")


async def check_stream(client: Client, stream: PaymentStream, dsn: str) -> int:
    """Compare what the callers were told with what stands; return how many payments do.

    Every acknowledged payment exists once, every other at most once, and what nobody heard of is
    found by its request id. There are no payments but the stream's.
    """
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT request_id, payment_id FROM zhihui.payment")
    finally:
        await connection.close()
    standing = {row["request_id"]: row["payment_id"] for row in rows}
    assert len(standing) == len(rows), "a request was paid twice"
    assert stream.acknowledged.items() <= standing.items(), "an acknowledged payment is lost"
    assert set(standing) <= stream.acknowledged.keys() | set(stream.unknown)
    # What nobody heard of is found by its request id, or was never begun; and it stays so.
    for request_id in stream.unknown:
        try:
            found = await client.payments.get(request_id=request_id)
        except NotFound:
            assert request_id not in standing
        else:
            assert found.payment_id == standing[request_id]
    for request_id, payment_id in list(stream.acknowledged.items())[:20]:
        again = await client.payments.get(request_id=request_id)
        assert again.payment_id == payment_id
    report = await run_audit(dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]
    assert report.totals.payments == len(standing)
    assert report.totals.dead_letters == 0, "an outage is no fault of a message"
    return len(standing)
