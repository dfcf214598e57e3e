"""A node: the actors of one process, and the way to all others, which is always the bus."""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from kernel.actor import Delivery
from kernel.bus import Bus
from kernel.clock import Clock
from kernel.host import Host
from kernel.outbox import Outbox, OutboxStatistics
from kernel.ownership import Ownership
from kernel.partition import partition_of
from kernel.randomness import IdFactory
from schemas.envelope import FRAME_VERSION, Envelope, Reply, decode_frame
from schemas.errors import (
    DeadlineExceeded,
    ErrorBody,
    NotReady,
    StaleOwner,
    error_from_body,
)
from schemas.subjects import node_subject

__all__ = (
    "DRAIN_LOOK_S",
    "SWEEP_EVERY_S",
    "AnswerCallback",
    "Node",
    "NodeContext",
    "NodeStatistics",
)

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_error_decoder = msgspec.msgpack.Decoder(ErrorBody)

# How late a question may learn that its deadline has passed.
SWEEP_EVERY_S = 0.05
# How often a node looks whether a partition that it hands over is idle.
DRAIN_LOOK_S = 0.01

AnswerCallback = Callable[[Reply], None]


class NodeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start."""

    asked: int
    waiting: int
    timed_out: int
    cut_off: int
    late_replies: int
    frames_in: int
    frames_malformed: int
    envelopes_in: int
    outbox: OutboxStatistics


class Node:
    """Send, ask and dispatch. One for each process."""

    def __init__(self, name: str, bus: Bus, ownership: Ownership, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self._bus = bus
        self._ownership = ownership
        self._outbox = Outbox(name, bus)
        self._hosts: dict[str, Host] = {}
        self._waiting: dict[int, tuple[int, AnswerCallback]] = {}
        # A former process of this name may still linger: it hears the answers to our questions, and
        # we hear those to its own. So that the two can never be taken for each other, the ids of a
        # process begin where those of an earlier one, at less than a thousand a millisecond, end.
        self._first_id = self._next_id = clock.now_ms() << 10
        self._timed_out = 0
        self._cut_off = 0
        self._late = 0
        self._frames_in = 0
        self._malformed = 0
        self._envelopes_in = 0
        bus.on_disconnect(self._on_disconnect)
        ownership.on_gone(self._on_gone)
        ownership.drain_with(self.drain)

    def add_host(self, host: Host) -> None:
        """Serve a kind of actor on this node."""
        assert host.kind not in self._hosts, f"kind {host.kind} is served twice"
        self._hosts[host.kind] = host

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The kinds served here."""
        return tuple(self._hosts.values())

    async def open(self) -> None:
        """Begin to receive frames."""
        self._subscription = await self._bus.subscribe(node_subject(self.name), self._on_frame)

    async def close(self) -> None:
        """Stop receiving frames, and tell those who still wait."""
        await self._bus.unsubscribe(self._subscription)
        self._fail_waiting("the node has stopped; the outcome is not known")

    # Sending.

    def send(self, envelope: Envelope) -> None:
        """Send a message to the owner of its key."""
        partition = partition_of(envelope.kind, envelope.key)
        owner = self._ownership.node_of(partition)
        if owner is not None:
            self._outbox.send(owner, envelope)
        elif envelope.reply_to:
            error = StaleOwner(f"partition {partition} has no owner at present", retry_after_s=0.1)
            body = msgspec.Raw(_encode(error.body()))
            self.send_reply(envelope.reply_to, Reply(envelope.reply_id, False, body))

    def send_reply(self, node: str, reply: Reply) -> None:
        """Send an answer to the node that asked."""
        self._outbox.reply(node, reply)

    def ask_nowait(
        self, kind: str, key: str, type_: str, app: str, deadline_ms: int, body: bytes,
        callback: AnswerCallback,
    ) -> None:  # fmt: skip
        """Ask the actor ``(kind, key)``; ``callback`` gets exactly one reply by the deadline."""
        self._next_id = reply_id = self._next_id + 1
        self._waiting[reply_id] = (deadline_ms, callback)
        self.send(
            Envelope(kind, key, type_, app, deadline_ms, self.name, reply_id, msgspec.Raw(body))
        )

    async def ask(
        self,
        kind: str,
        key: str,
        type_: str,
        message: msgspec.Struct,
        *,
        app: str,
        deadline_ms: int,
    ) -> Reply:
        """Ask and wait; return the reply, or raise the error that it carries."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def answered(reply: Reply) -> None:
            if not future.done():
                future.set_result(reply)

        self.ask_nowait(kind, key, type_, app, deadline_ms, _encode(message), answered)
        reply = await future
        if not reply.ok:
            raise error_from_body(_error_decoder.decode(reply.body))
        return reply

    def tell(
        self, kind: str, key: str, type_: str, message: msgspec.Struct, *, app: str,
        deadline_ms: int,
    ) -> None:  # fmt: skip
        """Send without waiting for an answer."""
        body = msgspec.Raw(_encode(message))
        self.send(Envelope(kind, key, type_, app, deadline_ms, "", 0, body))

    # Receiving.

    def _on_frame(self, subject: str, reply_subject: str, data: bytes, headers: bytes) -> None:
        del subject, reply_subject, headers
        self._frames_in += 1
        try:
            frame = decode_frame(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._malformed += 1
            _log.error("a frame of %d bytes is malformed: %s", len(data), error)
            return
        if frame.version != FRAME_VERSION:
            self._malformed += 1
            _log.error("a frame of version %d from %s is not known", frame.version, frame.sender)
            return
        self._envelopes_in += len(frame.envelopes)
        for envelope in frame.envelopes:
            self._dispatch(Delivery(envelope, self))
        for reply in frame.replies:
            waiting = self._waiting.pop(reply.reply_id, None)
            if waiting is None:
                self._late += 1
            else:
                waiting[1](reply)

    def _dispatch(self, delivery: Delivery) -> None:
        envelope = delivery.envelope
        host = self._hosts.get(envelope.kind)
        if host is None:
            # Perhaps a newer node does, as during a rolling update.
            delivery.fail(NotReady(f"node {self.name} serves no actor kind {envelope.kind!r}"))
        elif not self._ownership.accepts(partition_of(envelope.kind, envelope.key)):
            delivery.fail(
                StaleOwner(f"node {self.name} does not own the partition", retry_after_s=0.1)
            )
        else:
            host.deliver(delivery)

    # Deadlines and losses.

    async def sweep(self) -> None:
        """Answer questions whose deadline has passed, until cancelled."""
        while True:
            await self.clock.sleep(SWEEP_EVERY_S)
            now_ms = self.clock.now_ms()
            late = [key for key, (deadline, _) in self._waiting.items() if deadline < now_ms]
            for reply_id in late:
                self._timed_out += 1
                self._give_up(
                    reply_id,
                    DeadlineExceeded("no answer by the deadline; the outcome is not known"),
                )

    def _on_disconnect(self) -> None:
        """The bus was cut: replies may be lost, so nobody is left to wait for one."""
        self._fail_waiting("the connection to the bus was lost; the outcome is not known")

    def _on_gone(self, nodes: set[str]) -> None:
        """Nodes died: any question may have been on its way through one of them."""
        self._fail_waiting(f"node {', '.join(sorted(nodes))} is gone; the outcome is not known")

    def _fail_waiting(self, reason: str) -> None:
        for reply_id in list(self._waiting):
            self._cut_off += 1
            self._give_up(reply_id, DeadlineExceeded(reason, retry_after_s=0.1))

    def _give_up(self, reply_id: int, error: DeadlineExceeded) -> None:
        _, callback = self._waiting.pop(reply_id)
        callback(Reply(reply_id, False, msgspec.Raw(_encode(error.body()))))

    async def drain(self, partitions: set[int]) -> None:
        """Return when nothing of these partitions is waiting or in work here."""
        while any(host.waiting_in(partitions) for host in self._hosts.values()):
            await self.clock.sleep(DRAIN_LOOK_S)

    def waiting(self) -> int:
        """Return how many questions wait for an answer."""
        return len(self._waiting)

    def statistics(self) -> NodeStatistics:
        """Return the counts so far."""
        return NodeStatistics(
            asked=self._next_id - self._first_id,
            waiting=len(self._waiting),
            timed_out=self._timed_out,
            cut_off=self._cut_off,
            late_replies=self._late,
            frames_in=self._frames_in,
            frames_malformed=self._malformed,
            envelopes_in=self._envelopes_in,
            outbox=self._outbox.statistics(),
        )


class NodeContext:
    """The :class:`~kernel.actor.ActorContext` of one identity on a node."""

    def __init__(
        self, node: Node, ownership: Ownership, ids: IdFactory, kind: str, key: str
    ) -> None:
        self.clock = node.clock
        self.ids = ids
        self.log = logging.getLogger(f"zhihui.{kind}")
        self.key = key
        self.partition = partition_of(kind, key)
        epoch = ownership.epoch(self.partition)
        self.epoch = -1 if epoch is None else epoch
        self._node = node
        self._ownership = ownership

    def is_current(self) -> bool:
        """Tell whether this node still owns the partition under :attr:`epoch`."""
        return self._ownership.epoch(self.partition) == self.epoch

    async def ask(
        self,
        kind: str,
        key: str,
        type_: str,
        message: msgspec.Struct,
        *,
        app: str,
        deadline_ms: int,
    ) -> Reply:
        """Ask another actor; return its reply, or raise the error that it answered."""
        return await self._node.ask(kind, key, type_, message, app=app, deadline_ms=deadline_ms)

    def tell(
        self,
        kind: str,
        key: str,
        type_: str,
        message: msgspec.Struct,
        *,
        app: str,
        deadline_ms: int,
    ) -> None:
        """Send without waiting for an answer."""
        self._node.tell(kind, key, type_, message, app=app, deadline_ms=deadline_ms)
