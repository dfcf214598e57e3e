"""The relay between a real outbox and a real stream: in order, each once, whatever happens."""

import base64
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import msgspec
import nats
import pytest

from kernel import event_relay
from kernel.clock import SystemClock
from kernel.event_relay import EventRelay
from kernel.nats_bus import NatsBus
from kernel.postgres_store import PostgresStore
from kernel.randomness import IdFactory, SystemRandomness
from kernel.store import EventRow
from schemas.errors import NotReady
from schemas.events import CloudEvent
from schemas.subjects import EVENT_STREAM, EVENT_SUBJECTS
from tests.eventually import eventually, turns
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio

_AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def _events(first: int, last: int) -> list[EventRow]:
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


class _Lab:
    """A relay with its own connections, and what stands at both of its ends."""

    def __init__(self, url: str, dsn: str, bus: NatsBus, store: _Store) -> None:
        self.url = url
        self.dsn = dsn
        self.bus = bus
        self.store = store
        clock = SystemClock()
        ids = IdFactory(clock, SystemRandomness())
        self.relay = EventRelay("n1", bus, store, clock, ids)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the relay, and let it end as a crash would; it leaves nothing behind."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.relay.run)
            yield
            tasks.cancel_scope.cancel()
        await turns()
        assert self.relay._acks == {}, "nobody waits for these any more"

    async def store_events(self, first: int, last: int) -> list[EventRow]:
        """Put events into the outbox as a commit would, and return them."""
        events = _events(first, last)
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
        for event, message in zip(_events(1, last), messages, strict=True):
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
async def _lab(nats_server: EmbeddedNats, dsn: str) -> AsyncIterator[_Lab]:
    async with (
        NatsBus(nats_server.url, name="test", clock=SystemClock()) as bus,
        _Store(dsn) as store,
    ):
        yield _Lab(nats_server.url, dsn, bus, store)


async def _api(url: str, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
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


async def _stream_size(url: str) -> int:
    (info,) = await _api(url, ("INFO", {}))
    return int(info["state"]["messages"]) if "state" in info else 0


async def _stream(url: str) -> list[dict[str, Any]]:
    """Return all that the stream holds: subject, id and data of each message."""
    (info,) = await _api(url, ("INFO", {}))
    numbers = range(info["state"]["first_seq"], info["state"]["last_seq"] + 1)
    messages = []
    for answer in await _api(url, *(("MSG.GET", {"seq": number}) for number in numbers)):
        message = answer["message"]
        lines = base64.b64decode(message["hdrs"]).decode().split("\r\n")
        (event_id,) = [line[13:] for line in lines if line.startswith("Nats-Msg-Id: ")]
        data = base64.b64decode(message["data"])
        messages.append({"subject": message["subject"], "id": event_id, "data": data})
    return messages


async def test_events_reach_the_stream_in_order_each_once(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole chunks and the rest arrive as CloudEvents; then the cursor is saved at the last one."""
    # So that only the end of the work can be what saves the cursor.
    monkeypatch.setattr(event_relay, "CURSOR_EVERY_S", math.inf)
    async with _lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 1_201)
        async with lab.running():
            await lab.wait_saved(1_201)
            await lab.check_stream(1_201)
            # What comes later is found as well, by being told and by looking now and then.
            await lab.store_events(1_202, 1_202)
            lab.relay.wake()
            await lab.wait_saved(1_202)
            await lab.store_events(1_203, 1_205)
            await lab.wait_saved(1_205)
        await lab.check_stream(1_205)
        counts = lab.relay.statistics()
        assert (counts.cursor, counts.relayed) == (1_205, 1_205)
        assert (counts.single, counts.failures) == (0, 0)
        assert lab.store.read == list(range(1, 1_206))


async def test_next_relay_begins_at_the_cursor(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """A relay that starts after another one publishes only what is new."""
    for first, last in ((1, 5), (6, 8)):
        async with _lab(nats_server, postgres_dsn) as lab:
            await lab.store_events(first, last)
            async with lab.running():
                await lab.wait_saved(last)
            assert lab.store.read == list(range(first, last + 1))
            await lab.check_stream(last)


async def test_events_handed_over_are_not_read_again(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """What is in memory is relayed from there: here the outbox does not even hold it."""
    async with _lab(nats_server, postgres_dsn) as lab:
        lab.relay.hand_over(_events(1, 600))
        lab.relay.hand_over(_events(601, 700))
        async with lab.running():
            await lab.wait_saved(700)
            lab.relay.hand_over(_events(701, 703))
            await lab.wait_saved(703)
        assert lab.store.read == []
        await lab.check_stream(703)


async def test_gap_in_what_was_handed_over_is_read(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """Where memory has a gap the outbox is read, and memory serves again after it."""
    async with _lab(nats_server, postgres_dsn) as lab:
        events = await lab.store_events(1, 20)
        lab.relay.hand_over(events[:10])
        lab.relay.hand_over(events[14:])
        async with lab.running():
            await lab.wait_saved(20)
            assert lab.store.read == list(range(1, 21))
            lab.relay.hand_over(_events(21, 22))
            await lab.wait_saved(22)
            # And a gap between what was relayed and what is handed over.
            events = await lab.store_events(23, 40)
            lab.relay.hand_over(events[10:])
            await lab.wait_saved(40)
            lab.relay.hand_over(_events(41, 41))
            await lab.wait_saved(41)
        assert lab.store.read == [*range(1, 21), *range(23, 41)]
        await lab.check_stream(41)


async def test_memory_for_events_is_bounded(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into memory is read from the outbox when its turn comes."""
    monkeypatch.setattr(event_relay, "HANDED_OVER_MAX", 10)
    monkeypatch.setattr(event_relay, "CHUNK", 4)
    async with _lab(nats_server, postgres_dsn) as lab:
        events = await lab.store_events(1, 20)
        for start, end in ((0, 8), (8, 16), (16, 20)):
            lab.relay.hand_over(events[start:end])
            assert len(lab.relay._handed_over) <= 10
        async with lab.running():
            await lab.wait_saved(20)
            assert lab.store.read == list(range(1, 17))
            events = await lab.store_events(21, 40)
            lab.relay.hand_over(events)
            assert len(lab.relay._handed_over) <= 10
            await lab.wait_saved(40)
        assert lab.store.read == [*range(1, 17), *range(21, 41)]
        await lab.check_stream(40)


async def test_crash_before_the_cursor_was_saved_doubles_nothing(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published and not noted: the next relay publishes again, and the stream keeps each once."""
    monkeypatch.setattr(event_relay, "CHUNK", 50)
    async with _lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 70)

        async def never(stream: str, seq: int) -> None:
            del stream, seq
            await anyio.sleep_forever()

        monkeypatch.setattr(lab.store, "move_event_cursor", never)

        async def published() -> bool:
            return await _stream_size(lab.url) == 50

        async with lab.running():
            await eventually(published, "the first chunk is published")
        assert await lab.store.event_cursor(EVENT_STREAM) == 0
    # Other chunks than before: one of old events, one of old and new ones, one of new ones.
    monkeypatch.setattr(event_relay, "CHUNK", 30)
    async with _lab(nats_server, postgres_dsn) as lab:
        async with lab.running():
            await lab.wait_saved(70)
        await lab.check_stream(70)
        counts = lab.relay.statistics()
        assert (counts.batches, counts.single, counts.failures) == (3, 60, 0)


@pytest.mark.parametrize(("atomic", "sent"), [(True, 0), (True, 1), (True, 49), (False, 60)])
async def test_cut_in_the_middle_doubles_nothing(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, *,
    atomic: bool, sent: int,
) -> None:  # fmt: skip
    """A batch without its end leaves no event behind; single ones before a cut count."""
    monkeypatch.setattr(event_relay, "RETRY_S", 0.01)
    if not atomic:  # the batch of 50 is refused, and the cut comes after ten single ones
        await _api(
            nats_server.url, ("CREATE", {"name": EVENT_STREAM, "subjects": [EVENT_SUBJECTS]})
        )
    async with _lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 50)
        publish, left = lab.bus.publish, [sent]

        def cut(subject: str, payload: bytes, *, reply: str = "", headers: bytes = b"") -> None:
            if subject.startswith("zh.evt."):
                left[0] -= 1
                if left[0] == -1:
                    raise NotReady("cut off")
            publish(subject, payload, reply=reply, headers=headers)

        monkeypatch.setattr(lab.bus, "publish", cut)
        async with lab.running():
            await lab.wait_saved(50)
        assert lab.relay.statistics().failures == 1
        await lab.check_stream(50)


async def test_lost_acknowledgement_doubles_nothing(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was stored although nobody heard of it is stored once."""
    monkeypatch.setattr(event_relay, "RETRY_S", 0.01)
    monkeypatch.setattr(event_relay, "ACK_TIMEOUT_S", 0.5)
    async with _lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 20)
        on_ack = lab.relay._on_ack
        heard = []

        def deaf(subject: str, reply: str, data: bytes, headers: bytes) -> None:
            # The first answer is about the stream, the second about the batch.
            heard.append(subject)
            if len(heard) != 2:
                on_ack(subject, reply, data, headers)

        monkeypatch.setattr(lab.relay, "_on_ack", deaf)
        async with lab.running():
            await lab.wait_saved(20)
        counts = lab.relay.statistics()
        assert counts.failures >= 1
        assert counts.single >= 20
        await lab.check_stream(20)


async def test_killed_nats_is_caught_up_with(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NATS dies in the middle and comes back: nothing is missing and nothing is there twice."""
    monkeypatch.setattr(event_relay, "CHUNK", 10)
    monkeypatch.setattr(event_relay, "RETRY_S", 0.05)
    monkeypatch.setattr(event_relay, "ACK_TIMEOUT_S", 1.0)
    async with _lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 600)
        async with lab.running():
            relay = lab.relay
            await eventually(lambda: relay.statistics().relayed >= 200, "the middle")
            await nats_server.kill()
            await lab.wait_failures(3)
            assert relay.statistics().cursor < 600
            # Nobody waits for events: commits go on, handed over or not.
            relay.hand_over(await lab.store_events(601, 620))
            await lab.store_events(621, 650)
            await nats_server.start()
            await lab.wait_saved(650, within_s=30.0)
        await lab.check_stream(650)


async def test_unreachable_nats_leaves_nothing_waiting(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it fails before it could begin, the relay keeps no acknowledgement to wait for.

    The lab looks for them whenever a relay ends; here it fails in each of its steps.
    """
    monkeypatch.setattr(event_relay, "RETRY_S", 0.01)
    monkeypatch.setattr(event_relay, "ACK_TIMEOUT_S", 0.2)
    async with _lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 10)
        await nats_server.kill()
        await eventually(lambda: not lab.bus.statistics().connected, "the loss is noticed")
        async with lab.running():
            await lab.wait_failures(5)
            assert len(lab.relay._acks) <= 1
            await nats_server.start()
            await lab.wait_saved(10, within_s=30.0)
        await lab.check_stream(10)


async def test_refused_events_wait(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that takes nothing holds the events up, until its operator lets them in."""
    monkeypatch.setattr(event_relay, "RETRY_S", 0.01)
    config = {"name": EVENT_STREAM, "subjects": [EVENT_SUBJECTS], "max_msg_size": 10}
    await _api(nats_server.url, ("CREATE", config))
    async with _lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 10)
        async with lab.running():
            await lab.wait_failures(3)
            assert len(lab.relay._acks) <= 11
            assert await lab.store.event_cursor(EVENT_STREAM) == 0
            assert await _stream_size(lab.url) == 0
            (updated,) = await _api(lab.url, ("UPDATE", {**config, "max_msg_size": -1}))
            assert "error" not in updated
            await lab.wait_saved(10)
        await lab.check_stream(10)


@pytest.mark.parametrize("atomic", [False, True])
async def test_stream_of_the_operator_is_left_alone(
    nats_server: EmbeddedNats, postgres_dsn: str, *, atomic: bool
) -> None:
    """A stream that is there with other settings is used as it is, with or without batches."""
    settings = {"max_age": 3_600 * 10**9, "description": "ours", "allow_atomic": atomic}
    config = {"name": EVENT_STREAM, "subjects": [EVENT_SUBJECTS], **settings}
    (created,) = await _api(nats_server.url, ("CREATE", config))
    async with _lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 30)
        async with lab.running():
            await lab.wait_saved(30)
        await lab.check_stream(30)
        assert lab.relay.statistics().single == (0 if atomic else 30)
        (info,) = await _api(lab.url, ("INFO", {}))
        assert info["config"] == created["config"]
        assert info["config"]["max_age"] == 3_600 * 10**9
