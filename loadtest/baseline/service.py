"""A payment service of one file: NATS in, one Postgres function call per payment, JSON out.

It has the contract, the tables, the checks and the idempotency of the product, and is as fast as
this design honestly gets: uvloop, a prepared statement, a pool without its reset round trip, ids in
the order of time. It does less than the product in one respect: its events are rows in the outbox
that nobody relays.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import secrets
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import nats
import uvloop
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from schemas.errors import InvalidField, MalformedMessage, SelfPayment, ZhihuiError
from schemas.money import check_currency
from schemas.payments import CreatePayment, Payment
from schemas.reply import encode_error, encode_result
from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE

__all__ = ("SUBJECT", "BaselineService", "install", "main")

SUBJECT = "zh.baseline.v1.*.payment.create"

_POOL = 16

# Payments under way at once. More than the pool, so that a free connection always finds a decoded
# payment; measured from 16 to 512 on two cores, the throughput changes by less than its noise.
_UNDER_WAY = 64

_COMMAND_TIMEOUT_S = 30.0

_PAY = "SELECT committed, answer FROM baseline.pay($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"


async def install(dsn: str) -> None:
    """Create the baseline's function in a database that has the product's schema."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(Path(__file__).with_name("pay.sql").read_text("utf-8"))
    finally:
        await connection.close()


class BaselineService:
    """Answers payments, each in a task and a transaction of its own."""

    def __init__(self, bus: NatsClient, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._bus = bus
        self._pool = pool
        self._under_way = asyncio.Semaphore(_UNDER_WAY)
        self._tasks: set[asyncio.Task[None]] = set()
        self._decoder = msgspec.json.Decoder(CreatePayment)
        self._encoder = msgspec.json.Encoder()
        self._process = secrets.token_hex(5)
        self._count = itertools.count()

    async def received(self, message: Msg) -> None:
        """Take one request and work on it in the background."""
        await self._under_way.acquire()
        task = asyncio.create_task(self._serve(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, message: Msg) -> None:
        try:
            try:
                reply = await self._pay(message.subject.split(".")[3], message.data)
            except ZhihuiError as error:
                reply = encode_error(error)
            await self._bus.publish(message.reply, reply)
        finally:
            self._under_way.release()

    async def _pay(self, app: str, body: bytes) -> bytes:
        request = self._decode(body)
        now = datetime.now(UTC)
        assert isinstance(request.payer, str), "the load names a payer"
        payment = Payment(
            payment_id=self._new_id(),
            request_id=request.request_id,
            method="quick",
            status="succeeded",
            payer=request.payer,
            payee=request.payee,
            amount_minor=request.amount_minor,
            currency=request.currency,
            reference=request.reference,
            created_at=now,
        )
        arguments = (
            app,
            request.request_id,
            hashlib.blake2b(self._encoder.encode(request), digest_size=16).digest(),
            payment.payment_id,
            request.payer,
            request.payee,
            request.amount_minor,
            request.currency,
            request.reference,
            self._encoder.encode(payment).decode(),
            now,
        )
        try:
            row = await self._pool.fetchrow(_PAY, *arguments)
        except asyncpg.UniqueViolationError:
            # The same request id, sent twice at once: the other one stands by now.
            row = await self._pool.fetchrow(_PAY, *arguments)
        assert row is not None
        answer: bytes = row["answer"].encode()
        return encode_result(answer) if row["committed"] else b'{"ok":false,"error":%b}' % answer

    def _decode(self, body: bytes) -> CreatePayment:
        try:
            request = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise InvalidField(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedMessage(str(error)) from None
        check_currency(request.currency)
        if request.payer == request.payee:
            raise SelfPayment("payer and payee are the same account", field="payee")
        return request

    def _new_id(self) -> str:
        now_ms = time.time_ns() // 1_000_000
        return f"pay_{now_ms:011x}{self._process}{next(self._count) & 0xFFFFFF:06x}"


async def _no_reset(connection: object) -> None:
    """Skip what a pool does to a returned connection: payments leave no session state."""


async def _serve(nats_url: str, postgres_dsn: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    pool = asyncpg.create_pool(
        postgres_dsn,
        min_size=_POOL,
        max_size=_POOL,
        reset=_no_reset,
        command_timeout=_COMMAND_TIMEOUT_S,
    )
    async with pool:
        bus = await nats.connect(nats_url)
        service = BaselineService(bus, pool)
        await bus.subscribe(SUBJECT, queue="baseline", cb=service.received)
        await bus.flush()
        sys.stdout.write(json.dumps({"ready": True}) + "\n")
        sys.stdout.flush()
        await stop.wait()
        await bus.drain()


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.baseline.service",
        # Not as arguments: whoever may list processes would read the password.
        epilog=f"The servers are taken from {NATS_URL_VARIABLE} and {POSTGRES_DSN_VARIABLE}.",
    )
    parser.parse_args(arguments)
    nats_url = os.environ.get(NATS_URL_VARIABLE, "")
    postgres_dsn = os.environ.get(POSTGRES_DSN_VARIABLE, "")
    if not nats_url or not postgres_dsn:
        parser.error(f"set {NATS_URL_VARIABLE} and {POSTGRES_DSN_VARIABLE}")
    uvloop.run(_serve(nats_url, postgres_dsn))
    return 0


if __name__ == "__main__":
    sys.exit(main())
