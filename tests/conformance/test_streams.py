"""One suite for the streams in memory and for those of a real JetStream: the same promises."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from kernel import jetstream
from kernel.clock import SystemClock
from kernel.jetstream import JetStreams
from kernel.memory_streams import MemoryStreams
from kernel.nats_bus import NatsBus
from kernel.randomness import IdFactory, SystemRandomness
from kernel.streams import (
    Consumer,
    ConsumerSettings,
    Outgoing,
    OutOfPlace,
    Refused,
    StreamMessage,
    Streams,
    StreamSettings,
)
from schemas.errors import NotReady
from tests.eventually import eventually
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio

_PLAIN = StreamSettings(name="PLAIN", subjects=("plain.>",), atomic=True)
_QUEUE = StreamSettings(
    name="QUEUE", subjects=("queue.*.in",), work_queue=True, when_full="refuse", messages_max=50,
    message_bytes_max=2_000,
)  # fmt: skip
_WORKERS = ConsumerSettings(name="workers", ack_wait_s=30.0, unacknowledged_max=100)
_HASTY = ConsumerSettings(name="workers", ack_wait_s=0.3, unacknowledged_max=100)
# Long enough for a busy machine; it passes at once where something is there.
_WAIT_S = 5.0


@pytest.fixture(params=["memory", "jetstream"])
def server(request: pytest.FixtureRequest) -> EmbeddedNats | None:
    """A JetStream server of the test's own, or None for streams in memory."""
    if request.param == "memory":
        return None
    # Asked for here, before the test's loop runs: the server is started in a loop of its own.
    nats: EmbeddedNats = request.getfixturevalue("nats_server")
    return nats


@asynccontextmanager
async def _streams(server: EmbeddedNats | None) -> AsyncIterator[Streams]:
    clock = SystemClock()
    if server is None:
        yield MemoryStreams(clock)
        return
    async with NatsBus(server.url, name="test", clock=clock) as bus:
        yield JetStreams("test", bus, IdFactory(clock, SystemRandomness()))


def _message(number: int, *, subject: str = "plain.a", message_id: str = "") -> Outgoing:
    return Outgoing(subject, f"body {number}".encode(), message_id, (("Zh-Number", str(number)),))


async def _fetched(consumer: Consumer, count: int) -> list[StreamMessage]:
    """Return ``count`` messages, in as many fetches as it takes."""
    messages: list[StreamMessage] = []
    with anyio.fail_after(20):
        while len(messages) < count:
            messages += await consumer.fetch(count - len(messages), _WAIT_S)
    return messages


def _bodies(messages: list[StreamMessage]) -> list[bytes]:
    return [message.body for message in messages]


async def test_what_is_published_stands_in_order(server: EmbeddedNats | None) -> None:
    """Messages get numbers from 1 on and are read with subject, headers and body as they were."""
    async with _streams(server) as streams:
        assert await streams.state("PLAIN") is None
        assert (await streams.ensure(_PLAIN)).last_seq == 0
        for number in (1, 2, 3):
            subject = f"plain.{'ab'[number % 2]}"
            standing = await streams.publish(_message(number, subject=subject))
            assert (standing.stream, standing.seq, standing.duplicate) == ("PLAIN", number, False)
        state = await streams.state("PLAIN")
        assert state is not None
        assert (state.messages, state.first_seq, state.last_seq) == (3, 1, 3)
        found = await streams.read("PLAIN", 2)
        assert found is not None
        assert (found.seq, found.subject, found.body) == (2, "plain.a", b"body 2")
        assert found.headers["Zh-Number"] == "2"
        assert found.at.tzinfo is not None
        assert await streams.read("PLAIN", 4) is None


async def test_reading_on_finds_the_next_that_matches(server: EmbeddedNats | None) -> None:
    """A read from a number on skips other subjects and deleted messages."""
    async with _streams(server) as streams:
        await streams.ensure(_PLAIN)
        for number in range(1, 7):
            await streams.publish(_message(number, subject=f"plain.{'ab'[number % 2]}"))

        async def next_seq(seq: int, subject: str = ">") -> int:
            found = await streams.read_next("PLAIN", seq, subject=subject)
            return found.seq if found else 0

        assert [await next_seq(seq) for seq in (0, 1, 4, 7)] == [1, 1, 4, 0]
        assert await next_seq(2, "plain.b") == 3
        assert await next_seq(6, "plain.b") == 0
        assert await streams.delete("PLAIN", 3)
        assert not await streams.delete("PLAIN", 3)
        assert await next_seq(2, "plain.b") == 5
        assert await streams.read("PLAIN", 3) is None


async def test_an_id_stands_once_within_the_window(server: EmbeddedNats | None) -> None:
    """The same id again is dropped and answered with the number of the first."""
    async with _streams(server) as streams:
        await streams.ensure(_PLAIN)
        first = await streams.publish(_message(1, message_id="m-1"))
        again = await streams.publish(_message(2, message_id="m-1"))
        other = await streams.publish(_message(3, message_id="m-2"))
        assert (first.seq, again.seq, other.seq) == (1, 1, 2)
        assert (first.duplicate, again.duplicate, other.duplicate) == (False, True, False)


async def test_an_id_is_forgotten_after_the_window(server: EmbeddedNats | None) -> None:
    """What comes after the window stands again: an id is a filter and no memory."""
    async with _streams(server) as streams:
        await streams.ensure(
            StreamSettings(name="SHORT", subjects=("short.>",), duplicate_window_s=0.2)
        )
        seqs = [(await streams.publish(_message(1, subject="short.a", message_id="m"))).seq]

        async def stands_again() -> bool:
            message = _message(1, subject="short.a", message_id="m")
            seqs.append((await streams.publish(message)).seq)
            return seqs[-1] == 2

        await eventually(stands_again, "the id is forgotten", within_s=15.0)


async def test_a_batch_stands_whole_or_not_at_all(server: EmbeddedNats | None) -> None:
    """A batch with an id that was seen leaves nothing; without, all of it stands in order."""
    async with _streams(server) as streams:
        await streams.ensure(_PLAIN)
        batch = [_message(number, message_id=f"m-{number}") for number in range(1, 6)]
        assert (await streams.publish_batch(batch)).seq == 5
        mixed = [_message(number, message_id=f"m-{number}") for number in range(4, 9)]
        with pytest.raises(Refused):
            await streams.publish_batch(mixed)
        state = await streams.state("PLAIN")
        assert state is not None
        assert state.messages == 5
        assert (await streams.publish_batch([_message(9)])).seq == 6
        last = await streams.read("PLAIN", 5)
        assert last is not None
        assert last.body == b"body 5"


async def test_a_place_that_is_taken_is_told(server: EmbeddedNats | None) -> None:
    """What is to stand after a number stands there or nowhere, singly and as a batch."""
    async with _streams(server) as streams:
        await streams.ensure(_PLAIN)
        assert (await streams.publish(_message(1, message_id="m-1"), after_seq=0)).seq == 1
        two = [_message(2, message_id="m-2"), _message(3, message_id="m-3")]
        for after_seq in (0, 2):
            with pytest.raises(OutOfPlace):
                await streams.publish(_message(2), after_seq=after_seq)
            with pytest.raises(OutOfPlace):
                await streams.publish_batch(two, after_seq=after_seq)
        assert (await streams.publish_batch(two, after_seq=1)).seq == 3
        assert (await streams.publish(_message(3, message_id="m-3"), after_seq=3)).duplicate
        with pytest.raises(OutOfPlace):
            await streams.publish(_message(3, message_id="m-3"), after_seq=2)
        assert (await streams.publish(_message(4), after_seq=3)).seq == 4


async def test_a_stream_keeps_the_settings_it_has(server: EmbeddedNats | None) -> None:
    """Made a second time with other settings, it is left as it is, with what it holds."""
    async with _streams(server) as streams:
        await streams.ensure(StreamSettings(name="PLAIN", subjects=("plain.>",)))
        await streams.publish(_message(1))
        assert (await streams.ensure(_PLAIN)).messages == 1
        with pytest.raises(Refused):
            await streams.publish_batch([_message(2), _message(3)])


async def test_what_no_stream_takes_is_told(
    server: EmbeddedNats | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing to a subject of no stream is an error, and a consumer that is gone as well."""
    monkeypatch.setattr(jetstream, "ANSWER_TIMEOUT_S", 0.5)
    async with _streams(server) as streams:
        await streams.ensure(_PLAIN)
        with pytest.raises(NotReady):
            await streams.publish(_message(1, subject="nobody.listens"))
        with pytest.raises(Refused):
            await streams.consumer("NOBODY", _WORKERS)


async def test_a_consumer_delivers_until_acknowledged(server: EmbeddedNats | None) -> None:
    """Each message comes once while it is waited for; acknowledged, it leaves the work queue."""
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        consumer = await streams.consumer("QUEUE", _WORKERS)
        assert await consumer.fetch(10, 0.1) == []
        for number in range(1, 6):
            await streams.publish(_message(number, subject="queue.a.in"))
        messages = await _fetched(consumer, 5)
        assert _bodies(messages) == [f"body {number}".encode() for number in range(1, 6)]
        assert [message.deliveries for message in messages] == [1] * 5
        assert messages[0].headers["Zh-Number"] == "1"
        assert (messages[0].stream, messages[0].subject) == ("QUEUE", "queue.a.in")
        assert await consumer.fetch(10, 0.1) == []
        for message in messages:
            consumer.ack(message)

        async def empty() -> bool:
            state = await streams.state("QUEUE")
            return state is not None and state.messages == 0

        await eventually(empty, "the queue is empty", within_s=10.0)
        await consumer.close()


async def test_a_fetch_waits_for_the_first(server: EmbeddedNats | None) -> None:
    """A fetch that finds nothing gets what is published while it waits, without its full time."""
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        consumer = await streams.consumer("QUEUE", _WORKERS)
        got: list[StreamMessage] = []

        async def fetch() -> None:
            got.extend(await consumer.fetch(10, 30.0))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fetch)
                await anyio.lowlevel.checkpoint()
                await streams.publish(_message(1, subject="queue.a.in"))
        assert _bodies(got) == [b"body 1"]


async def test_those_who_fetch_share_the_messages(server: EmbeddedNats | None) -> None:
    """Two at one consumer get each message once between them."""
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        one = await streams.consumer("QUEUE", _WORKERS)
        two = await streams.consumer("QUEUE", _WORKERS)
        for number in range(20):
            await streams.publish(_message(number, subject="queue.a.in"))
        bodies = _bodies(await _fetched(one, 5)) + _bodies(await _fetched(two, 15))
        assert sorted(bodies) == sorted(f"body {number}".encode() for number in range(20))


async def test_what_is_put_back_comes_again(server: EmbeddedNats | None) -> None:
    """A message put back comes again, counted; the others are not held up by it."""
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        consumer = await streams.consumer("QUEUE", _WORKERS)
        for number in (1, 2):
            await streams.publish(_message(number, subject="queue.a.in"))
        first, second = await _fetched(consumer, 2)
        consumer.put_back(first, 0.0)
        consumer.ack(second)
        (again,) = await _fetched(consumer, 1)
        assert (again.seq, again.deliveries) == (first.seq, 2)
        consumer.put_back(again, 0.3)
        (later,) = await _fetched(consumer, 1)
        assert (later.seq, later.deliveries) == (first.seq, 3)


async def test_what_is_not_answered_comes_again(server: EmbeddedNats | None) -> None:
    """A message whose consumer died comes again after the wait, at another one."""
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        dead = await streams.consumer("QUEUE", _HASTY)
        await streams.publish(_message(1, subject="queue.a.in"))
        (lost,) = await _fetched(dead, 1)
        await dead.close()
        other = await streams.consumer("QUEUE", _HASTY)
        (again,) = await _fetched(other, 1)
        assert (again.seq, again.deliveries) == (lost.seq, 2)
        other.ack(again)


async def test_what_is_terminated_does_not_come_again(server: EmbeddedNats | None) -> None:
    """A terminated message leaves the work queue and is not delivered any more."""
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        consumer = await streams.consumer("QUEUE", _HASTY)
        await streams.publish(_message(1, subject="queue.a.in"))
        (message,) = await _fetched(consumer, 1)
        consumer.terminate(message, "poison")

        async def gone() -> bool:
            return await streams.read("QUEUE", message.seq) is None

        await eventually(gone, "it has left the queue", within_s=10.0)
        assert await consumer.fetch(1, 0.6) == []


async def test_unacknowledged_messages_are_bounded(server: EmbeddedNats | None) -> None:
    """No more than the consumer's limit are out at a time."""
    settings = ConsumerSettings(name="workers", ack_wait_s=30.0, unacknowledged_max=3)
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        consumer = await streams.consumer("QUEUE", settings)
        for number in range(5):
            await streams.publish(_message(number, subject="queue.a.in"))
        messages = await _fetched(consumer, 3)
        assert await consumer.fetch(10, 0.3) == []
        consumer.ack(messages[0])
        assert len(await _fetched(consumer, 1)) == 1


async def test_a_full_queue_refuses(server: EmbeddedNats | None) -> None:
    """A stream that may drop nothing takes no more than its limit, and says so."""
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        for number in range(50):
            await streams.publish(_message(number, subject="queue.a.in"))
        with pytest.raises((NotReady, Refused)):
            await streams.publish(_message(50, subject="queue.a.in"))
        state = await streams.state("QUEUE")
        assert state is not None
        assert state.messages == 50


async def test_a_message_that_is_too_large_is_refused(server: EmbeddedNats | None) -> None:
    """A message beyond the stream's limit stands nowhere; one below it does."""
    async with _streams(server) as streams:
        await streams.ensure(_QUEUE)
        with pytest.raises(Refused):
            await streams.publish(Outgoing("queue.a.in", bytes(2_001)))
        assert (await streams.publish(Outgoing("queue.a.in", bytes(1_000)))).seq == 1


async def test_a_stream_may_drop_its_oldest(server: EmbeddedNats | None) -> None:
    """With a limit and nothing else said, the newest messages stay and numbers go on."""
    async with _streams(server) as streams:
        await streams.ensure(StreamSettings(name="RING", subjects=("ring.>",), messages_max=3))
        for number in range(1, 6):
            await streams.publish(_message(number, subject="ring.a"))
        state = await streams.state("RING")
        assert state is not None
        assert (state.messages, state.first_seq, state.last_seq) == (3, 3, 5)
