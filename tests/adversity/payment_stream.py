"""What must hold of a stream of payments at its end, and where its accounts are."""

import asyncpg

from kernel.partition import PARTITIONS, partition_of
from loadtest.adversity.stream import PaymentStream, open_spread_accounts
from schemas.errors import NotFound
from zhihui.audit import run_audit
from zhihui.client import Client

__all__ = ("check_stream", "open_accounts_everywhere")


async def open_accounts_everywhere(client: Client) -> list[tuple[str, str]]:
    """Open payers with funds, one in each partition of payments, and one payee for all."""
    return await open_spread_accounts(
        client, lambda account: partition_of("payment", account), PARTITIONS
    )


async def check_stream(client: Client, stream: PaymentStream, dsn: str) -> int:
    """Compare what the callers were told with what stands; return how many payments do.

    Every acknowledged payment exists once, every other at most once, and what nobody heard of is
    found by its request id. There are no payments but the stream's.
    """
    assert stream.hung == []
    assert stream.wrong == []
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT request_id, payment_id FROM zhihui.payment")
    finally:
        await connection.close()
    standing = {row["request_id"]: row["payment_id"] for row in rows}
    assert len(standing) == len(rows), "a request was paid twice"
    assert stream.acknowledged.items() <= standing.items(), "an acknowledged payment is lost"
    assert set(standing) <= stream.acknowledged.keys() | stream.unknown.keys()
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
