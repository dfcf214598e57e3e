"""A node is killed in the middle of ten thousand published requests, and each is done once."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from random import Random

import anyio
import asyncpg
import nats
import pytest
from nats.js import JetStreamContext

from kernel.clock import SystemClock
from kernel.jetstream import JetStreams
from kernel.nats_bus import NatsBus
from kernel.randomness import IdFactory, SystemRandomness
from schemas.requests import CODE_HEADER, intake_subject
from schemas.subjects import DEAD_LETTER_STREAM, INTAKE_STREAM
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.platform import running_platform

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(240)]

_MESSAGES = 10_000
_DUPLICATES = _MESSAGES // 20
_POISON = _MESSAGES // 100
_GOOD = _MESSAGES - _DUPLICATES - _POISON
_PAYERS = 50
_AMOUNT = 7
_BROKEN = (b"\xff\xfe", b"{}", b'{"request_id":"', b"[1]", b"null", b'"text"')


def _messages(payers: list[str], payee: str) -> list[bytes]:
    """Return the bodies in the order in which they are published, which is always the same."""
    good = [
        b'{"request_id":"p-%d","payer":"%b","payee":"%b","amount_minor":%d}'
        % (number, payers[number % len(payers)].encode(), payee.encode(), _AMOUNT)
        for number in range(_GOOD)
    ]
    # Each different from all others, so that none may stand for another.
    poison = [_BROKEN[n % len(_BROKEN)] + b" " * n for n in range(1, _POISON + 1)]
    order = Random(7)  # noqa: S311 - reproducible on purpose
    bodies = [*good, *order.sample(good, _DUPLICATES), *poison]
    order.shuffle(bodies)
    return bodies


async def _publish_all(stream: JetStreamContext, bodies: list[bytes]) -> None:
    """Publish with acknowledgements, many at a time, as a backend in a hurry would."""
    subject = intake_subject("shop", "payment", "create")
    for start in range(0, len(bodies), 500):
        await asyncio.gather(
            *(stream.publish(subject, body) for body in bodies[start : start + 500])
        )


async def _letters(url: str) -> list[bytes]:
    """Return the bodies of all dead letters of the stream."""
    clock = SystemClock()
    async with NatsBus(url, name="letters", clock=clock) as bus:
        streams = JetStreams("letters", bus, IdFactory(clock, SystemRandomness()))
        found = []
        letter = await streams.read_next(DEAD_LETTER_STREAM, 1)
        while letter is not None:
            assert letter.headers[CODE_HEADER] in ("malformed_message", "invalid_field")
            found.append(letter.body)
            letter = await streams.read_next(DEAD_LETTER_STREAM, letter.seq + 1)
        return found


async def test_ten_thousand_published_requests_survive_a_kill(tmp_path: Path) -> None:
    """Each good one is done and answered once, each poison one is a dead letter once."""
    async with running_platform(tmp_path / "data") as platform:
        url, dsn = platform.servers.nats_url, platform.servers.postgres_dsn
        async with Client(app="shop", url=url) as client:
            payee = (await client.accounts.open(holder="Shop Ltd")).account_id
            payers = []
            for number in range(_PAYERS):
                opened = await client.accounts.open(holder=f"Payer {number}")
                payers.append(opened.account_id)
                await client.accounts.deposit(opened.account_id, 10**6, source="external:cash")
        connection = await nats.connect(url)
        database = await asyncpg.connect(dsn)
        stream = connection.jetstream()

        async def answered() -> int:
            return int(
                await database.fetchval(
                    "SELECT count(*) FROM zhihui.event WHERE type = 'request.succeeded'"
                )
            )

        async def middle() -> bool:
            return await answered() >= _GOOD // 3

        async def empty() -> bool:
            return (await stream.stream_info(INTAKE_STREAM)).state.messages == 0

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_publish_all, stream, _messages(payers, payee))
            await eventually(middle, "a third is done", within_s=90.0)
            (pid,) = platform.node_pids().values()
            os.kill(pid, signal.SIGKILL)
        await eventually(empty, "all is done", within_s=120.0)
        assert await answered() == _GOOD
        rows = await database.fetch(
            "SELECT subject FROM zhihui.event WHERE type = 'request.succeeded'"
        )
        assert Counter(row[0] for row in rows) == {f"p-{n}": 1 for n in range(_GOOD)}
        paid = await database.fetchval("SELECT count(*) FROM zhihui.payment")
        posted = await database.fetchval(
            "SELECT posted_minor FROM zhihui.balance WHERE account_id = $1", payee
        )
        assert (paid, posted) == (_GOOD, _GOOD * _AMOUNT)
        letters = await _letters(url)
        expected = sorted(body for body in _messages(payers, payee) if b'"payer"' not in body)
        assert sorted(letters) == expected
        assert len(set(letters)) == _POISON
        assert (await run_audit(dsn)).ok
        await database.close()
        await connection.close()
