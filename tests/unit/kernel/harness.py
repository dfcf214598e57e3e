"""What the tests of the kernel share: deliveries that are recorded, and fakes of its ports."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec

from kernel.actor import BatchActor, Delivery
from kernel.clock import Clock, ManualClock
from kernel.dead_letter import DeadLetter, DeadLetters
from kernel.host import BatchHost, Host, HostLimits
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.ownership import Cluster, Ownership
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
    "Row",
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


class Row(msgspec.Struct):
    """A partition's row as it stands."""

    owner: str
    epoch: int


class FakeOwnershipStore(MemoryStore):
    """A store in memory with its leases on the clock given, and faults at will.

    ``away`` makes every call refuse; ``unheard`` names methods whose next call takes effect and
    loses its answer; ``at`` maps a method to what is awaited before its next call takes effect.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(MemoryDatabase(clock))
        self.away = False
        self.unheard: list[str] = []
        self.at: dict[str, Callable[[], Awaitable[None]]] = {}
        self.calls: list[str] = []

    @property
    def rows(self) -> dict[int, Row]:
        """The partitions."""
        rows = self.database.rows("partition")
        return {p: Row(row["owner"], row["epoch"]) for (p,), row in rows.items()}

    @property
    def instances(self) -> dict[str, str]:
        """The nodes that are known, with the process that goes by each name."""
        return {name: row["instance"] for (name,), row in self.database.rows("node").items()}

    async def join_cluster(self, node: str, instance: str, lease_s: float) -> None:
        """Let this process go by the name of the node."""
        await self._called("join_cluster")
        await super().join_cluster(node, instance, lease_s)
        self._lose_answer("join_cluster")

    async def heartbeat(
        self, node: str, instance: str, lease_s: float, *, leaving: bool = False
    ) -> Cluster:
        """Let the node live on."""
        await self._called("heartbeat")
        cluster = await super().heartbeat(node, instance, lease_s, leaving=leaving)
        self._lose_answer("heartbeat")
        return cluster

    async def claim_partitions(
        self, node: str, instance: str, epochs: dict[int, int], limit: int, lease_s: float
    ) -> Cluster:
        """Take what a former process left, and up to ``limit`` of what nobody holds."""
        await self._called("claim_partitions")
        cluster = await super().claim_partitions(node, instance, epochs, limit, lease_s)
        self._lose_answer("claim_partitions")
        return cluster

    async def release_partitions(self, node: str, epochs: dict[int, int]) -> None:
        """Let go."""
        await self._called("release_partitions")
        await super().release_partitions(node, epochs)
        self._lose_answer("release_partitions")

    async def leave_cluster(self, node: str, instance: str) -> None:
        """Forget the node, unless another process goes by its name."""
        await self._called("leave_cluster")
        await super().leave_cluster(node, instance)
        self._lose_answer("leave_cluster")

    async def _called(self, method: str) -> None:
        self.calls.append(method)
        if self.away:
            raise NotReady("the store is away")
        first = self.at.pop(method, None)
        if first is not None:
            await first()

    def _lose_answer(self, method: str) -> None:
        if method in self.unheard:
            self.unheard.remove(method)
            raise NotReady("the answer was lost")


class PlacedOwnership(Ownership):
    """An ownership that knows of other nodes: ``place`` says where a partition is."""

    def __init__(self, node: str, place: Callable[[int], str | None]) -> None:
        clock = ManualClock(START)
        super().__init__(node, f"{node}-1", FakeOwnershipStore(clock), clock)
        self._place = place

    def node_of(self, partition: int) -> str | None:
        """Return the node that owns ``partition``."""
        return self._place(partition)

    def epoch(self, partition: int) -> int | None:
        """Return 1 for what is here."""
        return 1 if self._place(partition) == self._node else None

    def accepts(self, partition: int) -> bool:
        """Tell whether it is here."""
        return self.epoch(partition) is not None
