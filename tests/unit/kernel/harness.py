"""What the tests of the kernel share: deliveries that are recorded, and fakes of its ports."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec

from kernel.actor import BatchActor, Delivery
from kernel.clock import Clock, ManualClock
from kernel.dead_letter import DeadLetter, DeadLetters
from kernel.host import BatchHost, Host, HostLimits
from kernel.ownership import Claim, Ownership
from kernel.partition import PARTITIONS
from kernel.randomness import IdFactory, SeededRandomness
from kernel.supervision import RestartPolicy
from schemas.envelope import Envelope, Reply
from schemas.errors import ErrorBody, NotReady

__all__ = (
    "START",
    "EchoActor",
    "FakeOwnershipStore",
    "KeptLetters",
    "PlacedOwnership",
    "RecordingSender",
    "Text",
    "batch_host",
    "dead_letters",
    "delivery",
    "envelope",
    "error_of",
    "running",
    "text_of",
)

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
_FAR_MS = int(START.timestamp() * 1000) + 3_600_000

_encode = msgspec.msgpack.encode


class Text(msgspec.Struct, frozen=True):
    """The message that the tests' actors exchange."""

    text: str


class RecordingSender:
    """Keep what a delivery sends instead of sending it."""

    def __init__(self) -> None:
        self.replies: list[tuple[str, Reply]] = []
        self.sent: list[Envelope] = []

    def send_reply(self, node: str, reply: Reply) -> None:
        """Keep the answer."""
        self.replies.append((node, reply))

    def send(self, envelope: Envelope) -> None:
        """Keep the message."""
        self.sent.append(envelope)

    def errors(self) -> list[str]:
        """Return the codes of the answers that are errors, in order."""
        return [error_of(reply).code for _, reply in self.replies if not reply.ok]

    def by_id(self) -> dict[int, Reply]:
        """Return the answers by the id of their question; each question may have one."""
        found: dict[int, Reply] = {}
        for _, reply in self.replies:
            assert reply.reply_id not in found, f"question {reply.reply_id} was answered twice"
            found[reply.reply_id] = reply
        return found


def envelope(
    text: str = "",
    *,
    kind: str = "echo",
    key: str = "k",
    type_: str = "say",
    reply_to: str = "asker",
    reply_id: int = 1,
    deadline_ms: int = _FAR_MS,
    attempt: int = 1,
) -> Envelope:
    """Return a message to the echo actor."""
    body = msgspec.Raw(_encode(Text(text)))
    return Envelope(kind, key, type_, "shop", deadline_ms, reply_to, reply_id, body, attempt)


def delivery(sender: RecordingSender, text: str = "", **how: Any) -> Delivery:
    """Return a delivery of such a message."""
    return Delivery(envelope(text, **how), sender)


def error_of(reply: Reply) -> ErrorBody:
    """Return the error that a reply carries."""
    assert not reply.ok, reply
    return msgspec.msgpack.decode(reply.body, type=ErrorBody)


def text_of(reply: Reply) -> str:
    """Return the text that a reply carries."""
    assert reply.ok, error_of(reply)
    return msgspec.msgpack.decode(reply.body, type=Text).text


class KeptLetters:
    """A store of dead letters in memory; ``away`` makes it refuse."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.away = False
        self.calls = 0

    async def keep_dead_letters(self, letters: list[DeadLetter]) -> None:
        """Keep the letters, or refuse."""
        self.calls += 1
        if self.away:
            raise NotReady("the store is away")
        self.letters += letters


class EchoActor(BatchActor):
    """Answer with the same text; fail as told.

    ``faults`` maps a text to how often it crashes the actor; −1 is always.
    """

    kind = "echo"
    accepts = {"say": Text}  # noqa: RUF012 - a constant of the class

    def __init__(self) -> None:
        self.faults: dict[str, int] = {}
        self.batches: list[list[str]] = []
        self.starts = 0
        self.stops = 0

    async def start(self) -> None:
        """Count."""
        self.starts += 1

    async def stop(self) -> None:
        """Count."""
        self.stops += 1

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Echo, in order, up to the first fault."""
        texts = [msgspec.msgpack.decode(one.envelope.body, type=Text).text for one in deliveries]
        self.batches.append(texts)
        for text, one in zip(texts, deliveries, strict=True):
            if self.faults.get(text, 0):
                self.faults[text] -= 1
                raise RuntimeError(f"cannot bear {text!r}")
            one.reply(Text(text))


def batch_host(
    actor: BatchActor,
    letters: DeadLetters,
    clock: Clock,
    *,
    limits: HostLimits | None = None,
    policy: RestartPolicy | None = None,
) -> BatchHost:
    """Return a host that has the one actor made already."""
    return BatchHost(lambda: actor, clock=clock, dead_letters=letters, limits=limits, policy=policy)


def dead_letters(store: KeptLetters, clock: Clock) -> DeadLetters:
    """Return dead letters with reproducible ids."""
    return DeadLetters("n1", store, clock, IdFactory(clock, SeededRandomness(7)))


@asynccontextmanager
async def running(*hosts: Host) -> AsyncIterator[None]:
    """Run hosts for the time of the block."""
    async with anyio.create_task_group() as tasks:
        for host in hosts:
            tasks.start_soon(host.run)
        yield
        tasks.cancel_scope.cancel()


class _Row:
    def __init__(self) -> None:
        self.owner = ""
        self.epoch = 0
        self.until_s = float("-inf")


class FakeOwnershipStore:
    """The rows of all partitions in memory, with their leases on the clock given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rows = {partition: _Row() for partition in range(PARTITIONS)}
        self.away = False

    async def claim_partitions(self, owner: str, lease_s: float) -> list[Claim]:
        """Take all that is free, expired or already in this name."""
        now_s = self._clock.monotonic_s()
        for row in self.rows.values():
            if row.owner in (owner, "") or row.until_s < now_s:
                row.owner, row.epoch, row.until_s = owner, row.epoch + 1, now_s + lease_s
        return [Claim(p, row.owner, row.epoch, row.until_s - now_s) for p, row in self.rows.items()]

    async def renew_partitions(
        self, owner: str, epochs: dict[int, int], lease_s: float
    ) -> set[int]:
        """Extend the leases that are still held under these epochs."""
        if self.away:
            raise NotReady("the store is away")
        held = self._held(owner, epochs)
        for partition in held:
            self.rows[partition].until_s = self._clock.monotonic_s() + lease_s
        return held

    async def release_partitions(self, owner: str, epochs: dict[int, int]) -> None:
        """Let go."""
        for partition in self._held(owner, epochs):
            self.rows[partition].owner = ""

    def _held(self, owner: str, epochs: dict[int, int]) -> set[int]:
        rows = self.rows
        return {p for p, e in epochs.items() if rows[p].owner == owner and rows[p].epoch == e}


class PlacedOwnership(Ownership):
    """An ownership that knows of other nodes: ``place`` says where a partition is."""

    def __init__(self, node: str, place: Callable[[int], str | None]) -> None:
        super().__init__(node, FakeOwnershipStore(ManualClock(START)), ManualClock(START))
        self._place = place

    def node_of(self, partition: int) -> str | None:
        """Return the node that owns ``partition``."""
        return self._place(partition)

    def epoch(self, partition: int) -> int | None:
        """Return 1 for what is here."""
        return 1 if self._place(partition) == self._node else None
