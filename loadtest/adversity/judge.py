"""What the callers of a stream were told, compared with what stands."""

import time

import anyio
import asyncpg
import msgspec

from loadtest.adversity.stream import PaymentStream
from schemas.errors import NotFound, ZhihuiError
from zhihui.audit import run_audit
from zhihui.client import Client

__all__ = ("Findings", "judge_stream", "wait_settled")

_STANDING = "SELECT request_id, payment_id FROM zhihui.payment WHERE starts_with(request_id, $1)"
_EVENTS = """
SELECT coalesce((SELECT max(seq) FROM zhihui.event), 0)
     - coalesce((SELECT max(seq) FROM zhihui.event_cursor), 0)
"""
_POSTED = "SELECT posted_minor FROM zhihui.balance WHERE account_id = $1"
_PAYMENTS = "SELECT count(*) FROM zhihui.payment"
_LOOK_EVERY_S = 0.1
# How many are asked about at a time.
_ASKING = 32
_SHOWN_MAX = 5


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What of a stream was right and what was not.

    ``lost`` were acknowledged or kept and do not stand, ``doubled`` stand more than once or were
    not found again under their request id. Of the ``unknown``, ``found`` stood, the others had
    never begun; both were sent again.
    """

    acknowledged: int
    unknown: int
    found: int
    lost: int
    doubled: int
    hung: int
    wrong: int
    audit_ok: bool
    examples: tuple[str, ...] = ()


async def wait_settled(stream: PaymentStream, dsn: str, within_s: float) -> float | None:
    """Wait until what was kept is paid and all events are on; return the seconds, None if not."""
    began_s = time.monotonic()
    connection = await asyncpg.connect(dsn)
    try:
        while (took_s := time.monotonic() - began_s) <= within_s:
            standing = await _standing(connection, stream)
            if stream.kept <= standing.keys() and not await connection.fetchval(_EVENTS):
                return took_s
            await anyio.sleep(_LOOK_EVERY_S)
    finally:
        await connection.close()
    return None


async def judge_stream(client: Client, stream: PaymentStream, dsn: str, payee: str) -> Findings:
    """Compare, ask for everything that nobody heard of, send it again, and audit.

    All payments of the database are to ``payee``, one unit each.
    """
    connection = await asyncpg.connect(dsn)
    examples = [*stream.hung[:_SHOWN_MAX], *stream.wrong[:_SHOWN_MAX]]
    try:
        standing = await _standing(connection, stream)
        told = {**dict.fromkeys(stream.kept, ""), **stream.acknowledged}
        # Of what was kept no payment id was told.
        lost = [
            request_id
            for request_id, payment_id in told.items()
            if not (ids := standing.get(request_id)) or (payment_id and payment_id not in ids)
        ]
        doubled = [request_id for request_id, ids in standing.items() if len(ids) > 1]
        doubled += sorted(standing.keys() - told.keys() - stream.unknown.keys())
        differing = await _resolve(client, stream, standing)
        again = await _standing(connection, stream)
        doubled += [request_id for request_id, ids in again.items() if len(ids) > 1]
        payments = await connection.fetchval(_PAYMENTS)
        posted = await connection.fetchval(_POSTED, payee)
    finally:
        await connection.close()
    if payments != posted:
        examples.append(f"the payee has {posted} of {payments} payments")
    report = await run_audit(dsn)
    examples += [f"audit: {one.name}: {one.offending} rows" for one in report.checks if not one.ok]
    if report.totals.dead_letters:
        examples.append(f"{report.totals.dead_letters} dead letters: an outage is no fault of any")
    examples += [f"lost: {one}" for one in lost[:_SHOWN_MAX]]
    examples += [f"doubled: {one}" for one in [*doubled, *differing][:_SHOWN_MAX]]
    return Findings(
        acknowledged=len(told),
        unknown=len(stream.unknown),
        found=len(stream.unknown.keys() & standing.keys()),
        lost=len(lost),
        doubled=len(set(doubled) | set(differing)) + (payments != posted),
        hung=len(stream.hung),
        wrong=len(stream.wrong),
        audit_ok=report.ok and not report.totals.dead_letters,
        examples=tuple(examples),
    )


async def _standing(
    connection: "asyncpg.Connection[asyncpg.Record]", stream: PaymentStream
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in await connection.fetch(_STANDING, f"{stream.prefix}-"):
        found.setdefault(row["request_id"], []).append(row["payment_id"])
    return found


async def _resolve(
    client: Client, stream: PaymentStream, standing: dict[str, list[str]]
) -> list[str]:
    """Find each of which nobody heard by its request id, and send it again.

    Return those for which the answers do not agree with what stands.
    """
    differing: list[str] = []
    waiting = list(stream.unknown.items())

    async def work() -> None:
        while waiting:
            request_id, (payer, payee) = waiting.pop()
            stood = standing.get(request_id)
            try:
                found = (await client.payments.get(request_id=request_id)).payment_id
            except NotFound:
                found = ""
            except ZhihuiError as error:
                differing.append(f"{request_id} cannot be looked for: {error.code}")
                continue
            if found != (stood[0] if stood else ""):
                differing.append(f"{request_id} stands as {stood}, and {found!r} was found")
            try:
                paid = await client.payments.create(
                    payer=payer, payee=payee, amount_minor=1, request_id=request_id
                )
            except ZhihuiError as error:
                differing.append(f"{request_id} sent again: {error.code}: {error.message}")
            else:
                if stood and paid.payment_id != stood[0]:
                    differing.append(f"{request_id} stood as {stood[0]}, again {paid.payment_id}")

    async with anyio.create_task_group() as tasks:
        for _ in range(_ASKING):
            tasks.start_soon(work)
    return differing
