"""A relay between a real outbox and a real stream: what the tests of the relay share."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import msgspec
import nats

from kernel.clock import SystemClock
from kernel.event_relay import EventRelay
from kernel.jetstream import JetStreams
from kernel.nats_bus import NatsBus
from kernel.postgres_store import PostgresStore
from kernel.randomness import IdFactory, SystemRandomness
from kernel.store import EventRow
from schemas.events import CloudEvent
from schemas.subjects import EVENT_STREAM
from tests.eventually import eventually, turns
from zhihui.embedded.nats_server import EmbeddedNats

__all__ = ("RelayLab", "numbered_events", "relay_lab", "stream_api", "stream_size")

_AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def numbered_events(first: int, last: int) -> list[EventRow]:
    """Return events of two apps and two types, each different from all others."""
    return [
        EventRow(
            seq,
            ("gym", "shop")[seq % 2],
            ("account.opened", "payment.succeeded")[seq % 3 == 0],
            f"subject-{seq}",
            f'{{"number":{seq}}}',
            _AT,
        )
        for seq in range(first, last + 1)
    ]


class _Store(PostgresStore):
    """A store that notes which events were read from the outbox."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.read: list[int] = []

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        events = await super().events_after(seq, limit)
        self.read += [event.seq for event in events]
        return events


class RelayLab:
    """A relay with its own connections, and what stands at both of its ends."""

    def __init__(self, url: str, dsn: str, bus: NatsBus, store: _Store) -> None:
        self.url = url
        self.dsn = dsn
        self.bus = bus
        self.store = store
        clock = SystemClock()
        self.streams = JetStreams("n1", bus, IdFactory(clock, SystemRandomness()))
        # The epoch under which this node owns the journal.
        self.epoch: int | None = 1
        self.relay = EventRelay(self.streams, store, clock, epoch=lambda: self.epoch)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the relay, and let it end as a crash would; it leaves nothing behind."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.relay.run)
            yield
            tasks.cancel_scope.cancel()
        await turns()
        assert self.streams._waiting == {}, "nobody waits for these any more"

    async def store_events(self, first: int, last: int) -> list[EventRow]:
        """Put events into the outbox as a commit would, and return them."""
        events = numbered_events(first, last)
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.copy_records_to_table(
                "event",
                schema_name="zhihui",
                columns=("seq", "change_seq", "app", "type", "subject", "data", "at"),
                records=[(e.seq, e.seq, e.app, e.type, e.subject, e.data, e.at) for e in events],
            )
        finally:
            await connection.close()
        return events

    async def wait_saved(self, seq: int, within_s: float = 10.0) -> None:
        """Return when the stored cursor stands at an event."""

        async def saved() -> bool:
            return await self.store.event_cursor(EVENT_STREAM) == seq

        await eventually(saved, f"the cursor is saved at {seq}", within_s=within_s)

    async def wait_failures(self, count: int) -> None:
        """Return when the relay has failed so often."""
        await eventually(
            lambda: self.relay.statistics().failures >= count, f"{count} failures", within_s=20.0
        )

    async def check_stream(self, last: int) -> None:
        """The stream holds events 1 to ``last`` in order, each once, and nothing else."""
        messages = await _stream(self.url)
        assert [one["id"] for one in messages] == [f"ZHIHUI_EVENTS-{n + 1}" for n in range(last)]
        for event, message in zip(numbered_events(1, last), messages, strict=True):
            assert message["subject"] == f"zh.evt.v1.{event.app}.{event.type}"
            body = msgspec.json.decode(message["data"], type=CloudEvent)
            assert body == CloudEvent(
                id=f"ZHIHUI_EVENTS-{event.seq}",
                source=f"/zhihui/{event.app}",
                type=f"zhihui.{event.type}",
                subject=event.subject,
                time=event.at,
                data=msgspec.Raw(event.data.encode()),
            )


@asynccontextmanager
async def relay_lab(nats_server: EmbeddedNats, dsn: str) -> AsyncIterator[RelayLab]:
    """Yield a relay that does not run yet, on servers of the test's own."""
    async with (
        NatsBus(nats_server.url, name="test", clock=SystemClock()) as bus,
        _Store(dsn) as store,
    ):
        yield RelayLab(nats_server.url, dsn, bus, store)


async def stream_api(url: str, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return JetStream's answers to calls about the stream of events."""
    client = await nats.connect(url)
    try:
        answers = []
        for verb, body in calls:
            subject = f"$JS.API.STREAM.{verb}.{EVENT_STREAM}"
            message = await client.request(subject, json.dumps(body).encode(), timeout=5)
            answers.append(json.loads(message.data))
        return answers
    finally:
        await client.close()


async def stream_size(url: str) -> int:
    """Return how many events the stream holds."""
    (info,) = await stream_api(url, ("INFO", {}))
    return int(info["state"]["messages"]) if "state" in info else 0


async def _stream(url: str) -> list[dict[str, Any]]:
    """Return all that the stream holds: subject, id and data of each message."""
    (info,) = await stream_api(url, ("INFO", {}))
    numbers = range(info["state"]["first_seq"], info["state"]["last_seq"] + 1)
    messages = []
    for answer in await stream_api(url, *(("MSG.GET", {"seq": number}) for number in numbers)):
        message = answer["message"]
        lines = base64.b64decode(message["hdrs"]).decode().split("\r\n")
        (event_id,) = [line[13:] for line in lines if line.startswith("Nats-Msg-Id: ")]
        data = base64.b64decode(message["data"])
        messages.append({"subject": message["subject"], "id": event_id, "data": data})
    return messages
