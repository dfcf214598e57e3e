"""The relay between a real outbox and a real stream: in order, each once, whatever happens."""

import math
from collections.abc import Sequence

import anyio
import pytest

from kernel import event_relay, jetstream
from kernel.streams import Outgoing, Published, Refused
from schemas.errors import NotReady
from schemas.subjects import EVENT_STREAM, EVENT_SUBJECTS
from tests.eventually import eventually
from tests.integration.relay_lab import (
    numbered_events,
    relay_lab,
    stream_api,
    stream_size,
)
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio


async def test_events_reach_the_stream_in_order_each_once(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole chunks and the rest arrive as CloudEvents; then the cursor is saved at the last one."""
    # So that only the end of the work can be what saves the cursor.
    monkeypatch.setattr(event_relay, "CURSOR_EVERY_S", math.inf)
    async with relay_lab(nats_server, postgres_dsn) as lab:
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
        async with relay_lab(nats_server, postgres_dsn) as lab:
            await lab.store_events(first, last)
            async with lab.running():
                await lab.wait_saved(last)
            assert lab.store.read == list(range(first, last + 1))
            await lab.check_stream(last)


async def test_events_handed_over_are_not_read_again(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """What is in memory is relayed from there: here the outbox does not even hold it."""
    async with relay_lab(nats_server, postgres_dsn) as lab:
        lab.relay.hand_over(numbered_events(1, 600))
        lab.relay.hand_over(numbered_events(601, 700))
        async with lab.running():
            await lab.wait_saved(700)
            lab.relay.hand_over(numbered_events(701, 703))
            await lab.wait_saved(703)
        assert lab.store.read == []
        await lab.check_stream(703)


async def test_gap_in_what_was_handed_over_is_read(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """Where memory has a gap the outbox is read, and memory serves again after it."""
    async with relay_lab(nats_server, postgres_dsn) as lab:
        events = await lab.store_events(1, 20)
        lab.relay.hand_over(events[:10])
        lab.relay.hand_over(events[14:])
        async with lab.running():
            await lab.wait_saved(20)
            assert lab.store.read == list(range(1, 21))
            lab.relay.hand_over(numbered_events(21, 22))
            await lab.wait_saved(22)
            # And a gap between what was relayed and what is handed over.
            events = await lab.store_events(23, 40)
            lab.relay.hand_over(events[10:])
            await lab.wait_saved(40)
            lab.relay.hand_over(numbered_events(41, 41))
            await lab.wait_saved(41)
        assert lab.store.read == [*range(1, 21), *range(23, 41)]
        await lab.check_stream(41)


async def test_memory_for_events_is_bounded(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into memory is read from the outbox when its turn comes."""
    monkeypatch.setattr(event_relay, "HANDED_OVER_MAX", 10)
    monkeypatch.setattr(event_relay, "CHUNK", 4)
    async with relay_lab(nats_server, postgres_dsn) as lab:
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


@pytest.mark.parametrize("readable", [True, False])
async def test_crash_before_the_cursor_was_saved_doubles_nothing(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, *,
    readable: bool,
) -> None:  # fmt: skip
    """Published and not noted: the next relay asks the stream, or publishes again in vain."""
    monkeypatch.setattr(event_relay, "CHUNK", 50)
    async with relay_lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 70)

        async def never(stream: str, seq: int) -> None:
            del stream, seq
            await anyio.sleep_forever()

        monkeypatch.setattr(lab.store, "move_event_cursor", never)

        async def published() -> bool:
            return await stream_size(lab.url) == 50

        async with lab.running():
            await eventually(published, "the first chunk is published")
        assert await lab.store.event_cursor(EVENT_STREAM) == 0
    # Other chunks than before: one of old events, one of old and new ones, one of new ones.
    monkeypatch.setattr(event_relay, "CHUNK", 30)
    async with relay_lab(nats_server, postgres_dsn) as lab:

        async def unreadable(stream: str, seq: int) -> None:
            del stream, seq

        if not readable:
            monkeypatch.setattr(lab.streams, "read", unreadable)
        async with lab.running():
            await lab.wait_saved(70)
        await lab.check_stream(70)
        counts = lab.relay.statistics()
        expected = (1, 0, 0) if readable else (3, 60, 0)
        assert (counts.batches, counts.single, counts.failures) == expected


@pytest.mark.parametrize(("atomic", "sent"), [(True, 0), (True, 1), (True, 49), (False, 60)])
async def test_cut_in_the_middle_doubles_nothing(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, *,
    atomic: bool, sent: int,
) -> None:  # fmt: skip
    """A batch without its end leaves no event behind; single ones before a cut count."""
    monkeypatch.setattr(event_relay, "RETRY_S", 0.01)
    if not atomic:  # the batch of 50 is refused, and the cut comes after ten single ones
        await stream_api(
            nats_server.url, ("CREATE", {"name": EVENT_STREAM, "subjects": [EVENT_SUBJECTS]})
        )
    async with relay_lab(nats_server, postgres_dsn) as lab:
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
    monkeypatch.setattr(jetstream, "ANSWER_TIMEOUT_S", 0.5)
    async with relay_lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 20)
        on_ack = lab.streams._on_answer
        heard = []

        def deaf(subject: str, reply: str, data: bytes, headers: bytes) -> None:
            # The first answer is about the stream, which is empty; the second about the batch.
            heard.append(subject)
            if len(heard) != 2:
                on_ack(subject, reply, data, headers)

        monkeypatch.setattr(lab.streams, "_on_answer", deaf)
        async with lab.running():
            await lab.wait_saved(20)
        assert lab.relay.statistics().failures >= 1
        await lab.check_stream(20)


async def test_killed_nats_is_caught_up_with(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NATS dies in the middle and comes back: nothing is missing and nothing is there twice."""
    monkeypatch.setattr(event_relay, "CHUNK", 10)
    monkeypatch.setattr(event_relay, "RETRY_S", 0.05)
    monkeypatch.setattr(jetstream, "ANSWER_TIMEOUT_S", 1.0)
    async with relay_lab(nats_server, postgres_dsn) as lab:
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
    monkeypatch.setattr(jetstream, "ANSWER_TIMEOUT_S", 0.2)
    async with relay_lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 10)
        await nats_server.kill()
        await eventually(lambda: not lab.bus.statistics().connected, "the loss is noticed")
        async with lab.running():
            await lab.wait_failures(5)
            assert len(lab.streams._waiting) <= 1
            await nats_server.start()
            await lab.wait_saved(10, within_s=30.0)
        await lab.check_stream(10)


async def test_refused_events_wait(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that takes nothing holds the events up, until its operator lets them in."""
    monkeypatch.setattr(event_relay, "RETRY_S", 0.01)
    config = {"name": EVENT_STREAM, "subjects": [EVENT_SUBJECTS], "max_msg_size": 10}
    await stream_api(nats_server.url, ("CREATE", config))
    async with relay_lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 10)
        async with lab.running():
            await lab.wait_failures(3)
            assert len(lab.streams._waiting) <= 11
            assert await lab.store.event_cursor(EVENT_STREAM) == 0
            assert await stream_size(lab.url) == 0
            (updated,) = await stream_api(lab.url, ("UPDATE", {**config, "max_msg_size": -1}))
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
    (created,) = await stream_api(nats_server.url, ("CREATE", config))
    async with relay_lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 30)
        async with lab.running():
            await lab.wait_saved(30)
        await lab.check_stream(30)
        assert lab.relay.statistics().single == (0 if atomic else 30)
        (info,) = await stream_api(lab.url, ("INFO", {}))
        assert info["config"] == created["config"]
        assert info["config"]["max_age"] == 3_600 * 10**9


async def test_only_what_stands_is_counted(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a batch and then a single event are refused, those before it are relayed and counted."""
    monkeypatch.setattr(event_relay, "RETRY_S", 0.01)
    async with relay_lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 20)
        publish = lab.streams.publish
        refusing = [True]

        async def refuse_batch(
            messages: Sequence[Outgoing], *, after_seq: int | None = None
        ) -> Published:
            del messages, after_seq
            raise Refused("no batches today")

        async def refuse_some(message: Outgoing, *, after_seq: int | None = None) -> Published:
            if refusing[0] and message.message_id == "ZHIHUI_EVENTS-8":
                raise Refused("not this one")
            return await publish(message, after_seq=after_seq)

        monkeypatch.setattr(lab.streams, "publish_batch", refuse_batch)
        monkeypatch.setattr(lab.streams, "publish", refuse_some)
        async with lab.running():
            await lab.wait_failures(3)
            counts = lab.relay.statistics()
            assert (counts.relayed, counts.single, counts.cursor, counts.lag) == (7, 7, 7, 13)
            refusing[0] = False
            await lab.wait_saved(20)
        counts = lab.relay.statistics()
        assert (counts.relayed, counts.single, counts.lag) == (20, 20, 0)
        await lab.check_stream(20)
