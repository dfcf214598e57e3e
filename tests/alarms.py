"""Nodes with an actor that is woken by timers: each ring deposits one unit in an account.

``python -m tests.alarms NAME NATS_URL POSTGRES_DSN`` is such a node as a process of its own.
"""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import msgspec

from kernel.actor import BatchActor, Delivery
from kernel.clock import SystemClock
from kernel.host import BatchHost
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.nats_bus import NatsBus
from kernel.postgres_store import PostgresStore
from kernel.randomness import SystemRandomness
from schemas.change import Alternative, Timer, TimerFired
from schemas.errors import Busy
from schemas.ledger import Moves, encode_moves
from tests.changes import change, deposit
from zhihui.node import NodeConfig, RunningNode, serving

__all__ = ("APP", "Bell", "alarm_node", "rings", "set_timers", "timer", "timers_left")

APP = "shop"
_KIND = "alarm"
_TYPE = "ring"
_ANSWER_WITHIN_MS = 20_000

_encode = msgspec.msgpack.encode


class Bell:
    """What the actors of a test share: while ``away`` they refuse.

    ``attempts`` are the request ids in order, ``first_at`` when each came first.
    """

    def __init__(self) -> None:
        self.away = False
        self.attempts: list[str] = []
        self.first_at: dict[str, datetime] = {}


class _AlarmActor(BatchActor):
    kind = _KIND
    accepts = {_TYPE: TimerFired}  # noqa: RUF012 - a constant of the class

    def __init__(self, bell: Bell) -> None:
        self._bell = bell

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            fired = msgspec.msgpack.decode(delivery.envelope.body, type=TimerFired)
            self._bell.attempts.append(fired.request_id)
            self._bell.first_at.setdefault(fired.request_id, datetime.now(UTC))
            if self._bell.away:
                delivery.fail(Busy("the bell is away", retry_after_s=0.05))
                continue
            account = msgspec.msgpack.decode(fired.body, type=str)
            ring = deposit(account, 1 + fired.missed, deposit_id=fired.request_id, app=APP)
            delivery.forward(
                JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change(fired.request_id, ring, app=APP)
            )


@asynccontextmanager
async def alarm_node(name: str, nats_url: str, dsn: str, bell: Bell) -> AsyncIterator[RunningNode]:
    """Run a node that serves the bell beside everything else."""
    clock = SystemClock()
    config = NodeConfig(name=name, nats_url=nats_url, postgres_dsn=dsn)
    async with PostgresStore(dsn) as store, NatsBus(nats_url, name=name, clock=clock) as bus:
        running = RunningNode(config, bus, store, clock, SystemRandomness())
        running.node.add_host(
            BatchHost(lambda: _AlarmActor(bell), clock=clock, dead_letters=running.dead_letters)
        )
        async with serving(running):
            yield running


def timer(timer_id: str, due_at: datetime, account: str, *, every_s: int = 0) -> Timer:
    """Return a timer that rings for the account."""
    due_at_ms = int(due_at.timestamp() * 1000)
    body = msgspec.Raw(_encode(account))
    return Timer(timer_id, due_at_ms, _KIND, timer_id, _TYPE, APP, body, every_s)


async def set_timers(
    running: RunningNode,
    request_id: str,
    timers: Sequence[Timer] = (),
    cancels: Sequence[str] = (),
) -> None:
    """Set and cancel timers in one change."""
    alternative = Alternative(
        encode_moves(Moves()), (), (), "{}", timers=tuple(timers), cancels=tuple(cancels)
    )
    await running.node.ask(
        JOURNAL_KIND,
        JOURNAL_KEY,
        JOURNAL_TYPE,
        change(request_id, alternative, app=APP),
        app=APP,
        deadline_ms=running.node.clock.now_ms() + _ANSWER_WITHIN_MS,
    )


async def rings(dsn: str) -> dict[str, int]:
    """Return what each ring deposited, by its request id."""
    rows = await _fetch(dsn, "SELECT deposit_id, amount_minor FROM zhihui.deposit")
    return {name: amount for name, amount in rows if name.startswith("~timer.")}


async def timers_left(dsn: str) -> int:
    """Return how many timers stand."""
    rows = await _fetch(dsn, "SELECT count(*) FROM zhihui.timer")
    return int(rows[0][0])


async def _fetch(dsn: str, sql: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def _main() -> None:
    name, nats_url, dsn = sys.argv[1:]
    async with alarm_node(name, nats_url, dsn, Bell()):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_main)
