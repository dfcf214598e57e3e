"""The outbox: what leaves in one turn travels as one frame, within the frame's limits."""

import msgspec
import pytest

from kernel.memory_bus import MemoryBus
from kernel.outbox import ENVELOPES_MAX, FRAME_BYTES_MAX, Outbox
from schemas.envelope import Envelope, Frame, Reply, decode_frame
from tests.eventually import turns
from tests.unit.kernel.harness import envelope

pytestmark = pytest.mark.anyio

_BODY = msgspec.Raw(b"\xc0")


class _Frames:
    """All frames that a node would receive, with their sizes."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.sizes: list[int] = []

    def __call__(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        self.frames.append(decode_frame(data))
        self.sizes.append(len(data))

    @property
    def envelope_ids(self) -> list[int]:
        return [one.reply_id for frame in self.frames for one in frame.envelopes]

    @property
    def reply_ids(self) -> list[int]:
        return [one.reply_id for frame in self.frames for one in frame.replies]


async def _outbox(node: str = "n2") -> tuple[Outbox, _Frames, MemoryBus]:
    bus, frames = MemoryBus(), _Frames()
    await bus.subscribe(f"zh.node.v1.{node}", frames)
    return Outbox("n1", bus), frames, bus


def _large(reply_id: int, size: int) -> Envelope:
    return envelope("x" * size, reply_id=reply_id)


def _large_reply(reply_id: int, size: int) -> Reply:
    return Reply(reply_id, True, msgspec.Raw(msgspec.msgpack.encode("x" * size)))


async def test_one_frame_for_each_turn() -> None:
    """Envelopes and replies of one turn share a frame; the next turn has one of its own."""
    outbox, frames, _ = await _outbox()
    outbox.send("n2", envelope(reply_id=1))
    outbox.reply("n2", Reply(7, True, _BODY))
    outbox.send("n2", envelope(reply_id=2))
    await turns()
    outbox.send("n2", envelope(reply_id=3))
    await turns()
    assert [len(frame.envelopes) for frame in frames.frames] == [2, 1]
    assert frames.envelope_ids == [1, 2, 3]
    assert frames.reply_ids == [7]
    assert {frame.sender for frame in frames.frames} == {"n1"}
    statistics = outbox.statistics()
    assert (statistics.frames, statistics.envelopes, statistics.replies) == (2, 3, 1)


async def test_each_node_has_its_lane() -> None:
    """What is for one node never goes to another."""
    outbox, frames, bus = await _outbox()
    others = _Frames()
    await bus.subscribe("zh.node.v1.n3", others)
    outbox.send("n2", envelope(reply_id=1))
    outbox.send("n3", envelope(reply_id=2))
    outbox.reply("n3", Reply(3, True, _BODY))
    await turns()
    assert (frames.envelope_ids, frames.reply_ids) == ([1], [])
    assert (others.envelope_ids, others.reply_ids) == ([2], [3])


async def test_count_splits_frames_in_order() -> None:
    """No frame holds more than its limit, nothing is lost and the order is kept."""
    outbox, frames, _ = await _outbox()
    count = 2 * ENVELOPES_MAX + 5
    for number in range(count):
        outbox.send("n2", envelope(reply_id=number))
    for number in range(ENVELOPES_MAX + 1):
        outbox.reply("n2", Reply(number, True, _BODY))
    await turns()
    assert [len(frame.envelopes) for frame in frames.frames] == [ENVELOPES_MAX, ENVELOPES_MAX, 5]
    assert [len(frame.replies) for frame in frames.frames] == [ENVELOPES_MAX, 1, 0]
    assert frames.envelope_ids == list(range(count))
    assert frames.reply_ids == list(range(ENVELOPES_MAX + 1))


@pytest.mark.parametrize(("envelopes", "replies"), [(7, 0), (0, 7), (5, 5), (1, 6), (6, 1)])
async def test_bytes_split_frames_in_order(envelopes: int, replies: int) -> None:
    """No frame of several messages is larger than its limit, and the order is kept."""
    outbox, frames, _ = await _outbox()
    for number in range(envelopes):
        outbox.send("n2", _large(number, FRAME_BYTES_MAX // 3))
    for number in range(replies):
        outbox.reply("n2", _large_reply(number, FRAME_BYTES_MAX // 3))
    await turns()
    assert max(frames.sizes) <= FRAME_BYTES_MAX
    assert frames.envelope_ids == list(range(envelopes))
    assert frames.reply_ids == list(range(replies))
    assert all(frame.envelopes or frame.replies for frame in frames.frames)


async def test_one_envelope_and_one_reply_too_large_together() -> None:
    """Two messages that fit a frame each but not one together travel in two."""
    outbox, frames, _ = await _outbox()
    outbox.send("n2", _large(1, FRAME_BYTES_MAX // 2))
    outbox.reply("n2", _large_reply(2, FRAME_BYTES_MAX // 2))
    await turns()
    assert (frames.envelope_ids, frames.reply_ids) == ([1], [2])
    assert max(frames.sizes) <= FRAME_BYTES_MAX


async def test_single_oversized_message_goes_alone() -> None:
    """A message larger than a frame's limit is not held back for ever: it goes by itself."""
    outbox, frames, _ = await _outbox()
    outbox.send("n2", envelope(reply_id=1))
    outbox.send("n2", _large(2, FRAME_BYTES_MAX + 1))
    await turns()
    assert [len(frame.envelopes) for frame in frames.frames] == [1, 1]


async def test_cut_bus_is_counted_and_forgotten() -> None:
    """While the bus is cut frames are dropped and counted; afterwards the outbox works again."""
    outbox, frames, bus = await _outbox()
    bus.cut()
    outbox.send("n2", envelope(reply_id=1))
    outbox.reply("n2", Reply(2, True, _BODY))
    await turns()
    assert outbox.statistics().failed == 2
    bus.mend()
    outbox.send("n2", envelope(reply_id=3))
    await turns()
    assert (frames.envelope_ids, frames.reply_ids) == ([3], [])
    assert outbox.statistics().frames == 1
