"""Frames between nodes: whatever comes over that subject, the node lives and serves on.

Only nodes may send there, so a frame that makes no sense is a fault of ours, or a newer version's.
It must not take the node with it, whose other work is sound.
"""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

import msgspec
import orjson

from kernel.journal import JOURNAL_KEY, JOURNAL_KIND
from kernel.memory_bus import MemoryBus
from schemas.catalogue import BANK_OPERATIONS
from schemas.envelope import FRAME_VERSION, Frame, decode_frame
from schemas.errors import ERRORS, ErrorBody
from schemas.subjects import inbox_prefix, node_subject, request_subject
from tests.conformance.samples import REQUESTS
from tests.fuzz.mutation import INTEGERS, Mutator
from tests.fuzz.one_node import OneNode
from tests.fuzz.targets import Finding, Tally, read_corpus
from zhihui.node import RunningNode
from zhihui.simulation.world import World

__all__ = ("FrameTarget",)

_BATCH = 32
_PROBE_S_MAX = 20.0
_LOOK_EVERY_S = 0.002
_OPERATIONS = tuple(one for one in BANK_OPERATIONS if one.name in REQUESTS)
_KINDS = (JOURNAL_KIND, "payment", "account", "hold", "timer", "nobody", "")
# Far enough for the node's virtual clock, which begins in 2026.
_DEADLINE_MS = 1_900_000_000_000
_ME = "fuzz"
_error_decoder = msgspec.msgpack.Decoder(ErrorBody)


class FrameTarget(OneNode):
    """See the module."""

    name = "frame"

    def inputs(self, random: Random, count: int) -> Iterator[bytes]:
        """Return frames: of requests as the edge sends them, and answers that nobody asked for."""
        mutator = Mutator(random)
        kept = [data for _, data in read_corpus(self.name)]
        for number in range(count):
            if kept and random.random() < 0.1:
                yield mutator.flipped(random.choice(kept), kept)
                continue
            frame: list[Any] = [
                FRAME_VERSION,
                random.choice((_ME, "n1", "")),
                [self._envelope(mutator, number) for _ in range(random.choice((1, 1, 2)))],
                [self._reply(mutator, number)] if random.random() < 0.4 else [],
            ]
            sound = _packed(frame, b"\x94\x01\xa4fuzz\x90\x90")
            data = _packed(mutator.tree(frame, random.choice((0, 0, 1, 2))), sound)
            yield mutator.flipped(data, kept) if random.random() < 0.3 else data

    def _envelope(self, mutator: Mutator, number: int) -> list[Any]:
        random = mutator.random
        operation = random.choice(_OPERATIONS)
        body = mutator.tree(
            orjson.loads(orjson.dumps(REQUESTS[operation.name])), random.choice((0, 1))
        )
        kind = operation.kind if random.random() < 0.8 else random.choice(_KINDS)
        key = JOURNAL_KEY if kind == JOURNAL_KIND else f"key-{number % 50}"
        type_ = (
            operation.name if random.random() < 0.8 else random.choice(("journal.commit", "x", ""))
        )
        return [kind, key, type_, "shop", _DEADLINE_MS, _ME, number, body]

    def _reply(self, mutator: Mutator, number: int) -> list[Any]:
        random = mutator.random
        reply_id = random.choice((number, (_DEADLINE_MS << 10) + number, random.choice(INTEGERS)))
        body: Any = random.choice(({"code": "busy", "message": "x"}, [], "x", 1, {"code": 1}))
        return [reply_id, random.random() < 0.5, body, random.choice((0, -1, 5))]

    def try_all(self, inputs: Iterator[bytes]) -> Tally:
        """Send all to one node, with a request from outside after each batch."""
        return self.tally(inputs)

    async def play(self, world: World, node: RunningNode, inputs: Iterator[bytes]) -> int:
        """Send all, and ask for something after each batch."""
        bus = MemoryBus(world.broker)
        answered: set[str] = set()
        await bus.subscribe(node_subject(_ME), self._on_frame)

        def on_answer(subject: str, _reply: str, _data: bytes, _headers: bytes) -> None:
            answered.add(subject)

        await bus.subscribe(f"{inbox_prefix('shop')}.*", on_answer)
        count = 0
        while batch := list(islice(inputs, _BATCH)):
            world.trace.clear()
            for data in batch:
                bus.publish(node_subject("n1"), data)
            count += len(batch)
            # The node's own question is under way while the answers come that nobody asked for.
            reply = f"{inbox_prefix('shop')}.{count}"
            body = b'{"account_id":"acct_nobody"}'
            bus.publish(request_subject("shop", "account", "get"), body, reply=reply)
            give_up_s = world.clock.monotonic_s() + _PROBE_S_MAX
            while reply not in answered and world.clock.monotonic_s() < give_up_s:
                await world.clock.sleep(_LOOK_EVERY_S)
            silent = () if reply in answered else ("the node does not serve any more",)
            self.check_batch(batch, silent)
        self._refused = node.statistics().node.frames_malformed
        return count

    def _on_frame(self, _subject: str, _reply: str, data: bytes, _headers: bytes) -> None:
        frame: Frame = decode_frame(data)
        for reply in frame.replies:
            if reply.ok:
                continue
            error = _error_decoder.decode(reply.body)
            if error.code not in ERRORS:
                self._findings.append(
                    Finding(self.name, bytes(data), f"the code {error.code!r} is not in the table")
                )


def _packed(value: Any, instead: bytes) -> bytes:
    """Return msgpack of a value, or ``instead`` when the form has no room for it."""
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError, RecursionError):
        return instead
