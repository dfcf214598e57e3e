"""Frames: what leaves for one node in one turn of the event loop travels as one message."""

import asyncio
import logging

import msgspec

from kernel.bus import Bus
from schemas.envelope import FRAME_VERSION, Envelope, Frame, Reply, encode_frame
from schemas.errors import ZhihuiError
from schemas.subjects import node_subject

__all__ = ("ENVELOPES_MAX", "FRAME_BYTES_MAX", "Outbox", "OutboxStatistics")

_log = logging.getLogger(__name__)

# Beyond a few hundred a frame gains nothing and delays the first of its messages.
ENVELOPES_MAX = 512
# Well under the 1 MiB that a NATS server takes by default.
FRAME_BYTES_MAX = 768 * 1024


class OutboxStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start."""

    frames: int
    envelopes: int
    replies: int
    failed: int


class Outbox:
    """Collect envelopes and replies by node and flush them once per turn of the loop.

    Alone, a message leaves at the end of the turn that made it; under load hundreds share a frame.
    """

    def __init__(self, node: str, bus: Bus) -> None:
        self._node = node
        self._bus = bus
        self._waiting: dict[str, tuple[list[Envelope], list[Reply]]] = {}
        self._frames = 0
        self._envelopes = 0
        self._replies = 0
        self._failed = 0

    def send(self, node: str, envelope: Envelope) -> None:
        """Queue an envelope for ``node``."""
        self._envelopes += 1
        self._lane(node)[0].append(envelope)

    def reply(self, node: str, reply: Reply) -> None:
        """Queue a reply for ``node``."""
        self._replies += 1
        self._lane(node)[1].append(reply)

    def _lane(self, node: str) -> tuple[list[Envelope], list[Reply]]:
        lane = self._waiting.get(node)
        if lane is None:
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self.flush)
            lane = self._waiting[node] = ([], [])
        return lane

    def flush(self) -> None:
        """Send all that is queued."""
        waiting, self._waiting = self._waiting, {}
        for node, (envelopes, replies) in waiting.items():
            subject = node_subject(node)
            for start in range(0, max(len(envelopes), len(replies)), ENVELOPES_MAX):
                end = start + ENVELOPES_MAX
                self._publish(subject, envelopes[start:end], replies[start:end])

    def _publish(self, subject: str, envelopes: list[Envelope], replies: list[Reply]) -> None:
        data = encode_frame(Frame(FRAME_VERSION, self._node, envelopes, replies))
        if len(data) > FRAME_BYTES_MAX and len(envelopes) + len(replies) > 1:
            # Both kinds apart first: halves of one and one would be the same frame again.
            if envelopes and replies:
                self._publish(subject, envelopes, [])
                self._publish(subject, [], replies)
            else:
                half, other = len(envelopes) // 2, len(replies) // 2
                self._publish(subject, envelopes[:half], replies[:other])
                self._publish(subject, envelopes[half:], replies[other:])
            return
        try:
            self._bus.publish(subject, data)
            self._frames += 1
        except (ZhihuiError, ValueError) as error:
            # Whoever asked is told by the node's disconnect listener or by its own deadline. A name
            # that is no subject came with a frame; those of the other nodes have to leave all the
            # same.
            self._failed += len(envelopes) + len(replies)
            _log.warning("a frame was not sent: %s", error)

    def statistics(self) -> OutboxStatistics:
        """Return the counts so far."""
        return OutboxStatistics(
            frames=self._frames,
            envelopes=self._envelopes,
            replies=self._replies,
            failed=self._failed,
        )
