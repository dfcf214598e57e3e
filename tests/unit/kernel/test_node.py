"""Nodes: asking, telling and forwarding over a bus, deadlines and losses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest

from kernel.actor import Delivery
from kernel.clock import ManualClock
from kernel.host import HostStatistics
from kernel.mailbox import MailboxStatistics
from kernel.memory_bus import MemoryBus
from kernel.node import Node, NodeContext
from kernel.partition import partition_of
from kernel.randomness import IdFactory, SeededRandomness
from schemas.envelope import FRAME_VERSION, Envelope, Frame, Reply, encode_frame
from schemas.errors import DeadlineExceeded, NotFound, NotReady, StaleOwner
from schemas.subjects import node_subject
from tests.eventually import turns
from tests.unit.kernel.harness import START, PlacedOwnership, Text, envelope, error_of, text_of

pytestmark = pytest.mark.anyio

_START_MS = int(START.timestamp() * 1000)


class _Host:
    """A host that keeps what it gets and lets the test answer."""

    def __init__(self, kind: str = "echo") -> None:
        self.kind = kind
        self.deliveries: list[Delivery] = []
        self.busy: set[int] = set()

    async def run(self) -> None:
        """Serve nothing by itself."""

    def deliver(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    def waiting(self) -> int:
        return len(self.deliveries)

    def waiting_in(self, partitions: set[int]) -> bool:
        return bool(self.busy & partitions)

    def statistics(self) -> HostStatistics:
        mailbox = MailboxStatistics(
            depth=0, depth_max=0, capacity=1, accepted=0, refused=0, batches=0
        )
        return HostStatistics(
            kind=self.kind, mailbox=mailbox, processed=0, expired=0, failed=0, restarts=0,
            identities=0, suspended=False,
        )  # fmt: skip


class _Lab:
    """Two nodes on one bus: what hashes to an even partition is on n1, the rest on n2."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.clock = ManualClock(START)
        self.owners = {0: "n1", 1: "n2"}
        self.nodes = {name: self.node(name) for name in ("n1", "n2")}
        self.hosts = {name: _Host() for name in self.nodes}
        for name, node in self.nodes.items():
            node.add_host(self.hosts[name])

    def node(self, name: str) -> Node:
        ownership = PlacedOwnership(name, lambda partition: self.owners.get(partition % 2))
        return Node(name, self.bus, ownership, self.clock)

    def key_on(self, name: str) -> str:
        wanted = 0 if name == "n1" else 1
        return next(k for k in map(str, range(99)) if partition_of("echo", k) % 2 == wanted)


@asynccontextmanager
async def _lab() -> AsyncIterator[_Lab]:
    lab = _Lab()
    for node in lab.nodes.values():
        await node.open()
    yield lab


async def _ask(lab: _Lab, key: str, text: str, *, deadline_ms: int = _START_MS + 60_000) -> Reply:
    return await lab.nodes["n1"].ask(
        "echo", key, "say", Text(text), app="shop", deadline_ms=deadline_ms
    )


@pytest.mark.parametrize("where", ["n1", "n2"])
async def test_ask_reaches_the_owner_and_brings_the_answer(where: str) -> None:
    """A question goes to the node that owns the key, here or elsewhere, and only there."""
    async with _lab() as lab, anyio.create_task_group() as tasks:
        replies: list[Reply] = []

        async def ask() -> None:
            replies.append(await _ask(lab, lab.key_on(where), "hello"))

        tasks.start_soon(ask)
        await turns()
        (delivery,) = lab.hosts[where].deliveries
        assert not lab.hosts["n2" if where == "n1" else "n1"].deliveries
        sent = delivery.envelope
        assert (sent.app, sent.type, sent.reply_to) == ("shop", "say", "n1")
        assert sent.deadline_ms == _START_MS + 60_000
        delivery.reply(Text("world"), note=3)
        await turns()
        assert (text_of(replies[0]), replies[0].note) == ("world", 3)
        assert lab.nodes["n1"].waiting() == 0


async def test_ask_raises_the_error_that_was_answered() -> None:
    """The asker gets the same class, message, field and retry time as the actor gave."""
    async with _lab() as lab, anyio.create_task_group() as tasks:
        errors: list[NotFound] = []

        async def ask() -> None:
            with pytest.raises(NotFound) as caught:
                await _ask(lab, lab.key_on("n2"), "?")
            errors.append(caught.value)

        tasks.start_soon(ask)
        await turns()
        lab.hosts["n2"].deliveries[0].fail(NotFound("no such key", field="key"))
        await turns()
        assert errors[0].body() == NotFound("no such key", field="key").body()


async def test_tell_arrives_and_nobody_answers() -> None:
    """A tell reaches the owner; an answer to it goes nowhere."""
    async with _lab() as lab:
        lab.nodes["n1"].tell(
            "echo", lab.key_on("n2"), "say", Text("news"), app="shop", deadline_ms=_START_MS + 1
        )
        await turns()
        (delivery,) = lab.hosts["n2"].deliveries
        out = lab.bus.statistics().messages_out
        delivery.reply(Text("ignored"))
        await turns()
        assert lab.bus.statistics().messages_out == out


async def test_forwarded_question_is_answered_to_the_first_asker() -> None:
    """Whoever gets a forwarded question answers the one who asked first, within its deadline."""
    async with _lab() as lab, anyio.create_task_group() as tasks:
        replies: list[Reply] = []

        async def ask() -> None:
            replies.append(await _ask(lab, lab.key_on("n2"), "to n2"))

        tasks.start_soon(ask)
        await turns()
        lab.hosts["n2"].deliveries[0].forward("echo", lab.key_on("n1"), "say", Text("to n1"))
        await turns()
        (forwarded,) = lab.hosts["n1"].deliveries
        assert forwarded.envelope.deadline_ms == _START_MS + 60_000
        forwarded.reply(Text("from n1"))
        await turns()
        assert text_of(replies[0]) == "from n1"


async def test_sweep_fails_only_what_is_late() -> None:
    """A question past its deadline gets one answer; a later one goes on waiting."""
    async with _lab() as lab, anyio.create_task_group() as tasks:
        node = lab.nodes["n1"]
        answers: dict[str, list[Reply]] = {"late": [], "early": []}
        for name, seconds in (("late", 1), ("early", 1_000)):
            node.ask_nowait(
                "echo", lab.key_on("n2"), "say", "shop", _START_MS + seconds * 1000,
                msgspec.msgpack.encode(Text(name)), answers[name].append,
            )  # fmt: skip
        tasks.start_soon(node.sweep)
        # Each look of the sweep moves the clock by its own pause.
        while lab.clock.monotonic_s() < 2:
            await turns(1)
        tasks.cancel_scope.cancel()
    assert [error_of(one).code for one in answers["late"]] == [DeadlineExceeded.code]
    assert answers["early"] == []
    assert (node.waiting(), node.statistics().timed_out) == (1, 1)


async def test_late_reply_is_counted_and_dropped() -> None:
    """An answer that comes after the question was given up changes nothing."""
    async with _lab() as lab:
        node, answers = lab.nodes["n1"], list[Reply]()
        node.ask_nowait(
            "echo", lab.key_on("n2"), "say", "shop", _START_MS + 1000,
            msgspec.msgpack.encode(Text("x")), answers.append,
        )  # fmt: skip
        await turns()
        lab.bus.cut()
        lab.bus.mend()
        assert len(answers) == 1
        lab.hosts["n2"].deliveries[0].reply(Text("too late"))
        await turns()
        assert len(answers) == 1
        assert node.statistics().late_replies == 1


async def test_cut_bus_fails_waiting_asks_at_once() -> None:
    """When the bus is cut nobody waits for the deadline: the outcome is unknown, and said so."""
    async with _lab() as lab, anyio.create_task_group() as tasks:
        errors: list[DeadlineExceeded] = []

        async def ask() -> None:
            with pytest.raises(DeadlineExceeded) as caught:
                await _ask(lab, lab.key_on("n2"), "x")
            errors.append(caught.value)

        for _ in range(3):
            tasks.start_soon(ask)
        await turns()
        lab.bus.cut()
        await turns()
        assert len(errors) == 3
        assert errors[0].retry_after_s == 0.1
        assert lab.nodes["n1"].statistics().cut_off == 3


async def test_closing_answers_those_who_wait() -> None:
    """A node that closes leaves nobody waiting and takes no more frames."""
    async with _lab() as lab:
        node, answers = lab.nodes["n1"], list[Reply]()
        node.ask_nowait(
            "echo", lab.key_on("n2"), "say", "shop", _START_MS + 1000,
            msgspec.msgpack.encode(Text("x")), answers.append,
        )  # fmt: skip
        await node.close()
        assert [error_of(reply).code for reply in answers] == ["deadline_exceeded"]
        lab.bus.publish(node_subject("n1"), encode_frame(Frame(FRAME_VERSION, "x", [], [])))
        await turns()
        assert node.statistics().frames_in == 0


_DEEP = b"\x94\x01\xa1a\x91\x98\xa1k\xa1k\xa1t\xa1a\x01\xa1r\x01" + b"\x91" * 100_000 + b"\x01\x90"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xff", id="not msgpack"),
        pytest.param(b'{"version":1}', id="json"),
        pytest.param(msgspec.msgpack.encode({"version": 1}), id="a map"),
        pytest.param(msgspec.msgpack.encode([1, "n", [["echo"]], []]), id="short envelope"),
        pytest.param(msgspec.msgpack.encode([1, 5, [], []]), id="wrong type"),
        pytest.param(b"\x94\x01\xa1\xff\x90\x90", id="not UTF-8"),
        pytest.param(_DEEP, id="deep nesting"),
        pytest.param(encode_frame(Frame(2, "n9", [envelope()], [])), id="unknown version"),
    ],
)
async def test_malformed_frame_is_counted_and_harms_nobody(data: bytes) -> None:
    """A frame that cannot be read is dropped whole; the next one is served."""
    async with _lab() as lab:
        key = lab.key_on("n1")
        lab.bus.publish(node_subject("n1"), data)
        good = encode_frame(Frame(FRAME_VERSION, "n9", [envelope(key=key)], []))
        lab.bus.publish(node_subject("n1"), good)
        await turns()
        assert len(lab.hosts["n1"].deliveries) == 1
        assert lab.nodes["n1"].statistics().frames_malformed == 1


async def test_unknown_kind_is_answered() -> None:
    """A message for a kind that this node does not know is answered at once: a newer one may."""
    async with _lab() as lab, anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(NotReady, match="nothing"):
                await lab.nodes["n1"].ask(
                    "nothing", "k", "say", Text(""), app="shop", deadline_ms=_START_MS + 1000
                )

        tasks.start_soon(ask)


async def test_partition_that_moved_is_answered_stale() -> None:
    """A node refuses what it does not own any more, even when the sender thinks it does."""
    async with _lab() as lab, anyio.create_task_group() as tasks:
        key = lab.key_on("n2")

        async def ask() -> None:
            with pytest.raises(StaleOwner):
                await _ask(lab, key, "x")

        tasks.start_soon(ask)
        await turns(1)
        lab.owners[1] = "n1"  # while the frame is on its way
        await turns()
        assert not lab.hosts["n2"].deliveries


async def test_partition_without_an_owner_is_answered_stale() -> None:
    """When nobody is known to own the key the asker is told at once, and that it may ask again."""
    async with _lab() as lab:
        key = lab.key_on("n2")
        del lab.owners[1]
        with pytest.raises(StaleOwner, match="has no owner") as caught:
            await _ask(lab, key, "x")
        assert caught.value.retry_after_s == 0.1
        assert lab.nodes["n1"].waiting() == 0


async def test_tell_without_an_owner_goes_nowhere() -> None:
    """Nobody waits for a tell, so nobody is answered when there is nobody to tell."""
    async with _lab() as lab:
        del lab.owners[1]
        lab.nodes["n1"].tell(
            "echo", lab.key_on("n2"), "say", Text("x"), app="shop", deadline_ms=_START_MS + 1
        )
        await turns()
        assert lab.bus.statistics().messages_out == 0


class _Leaving(PlacedOwnership):
    """An ownership that owns everything and takes nothing more."""

    def accepts(self, partition: int) -> bool:
        """Refuse."""
        return False


async def test_partition_on_its_way_takes_nothing_more() -> None:
    """What is being handed over is still owned, but a message for it is refused and asked again."""
    lab = _Lab()
    ownership = _Leaving("n1", lambda _: "n1")
    node = Node("n1", lab.bus, ownership, lab.clock)
    host = _Host()
    node.add_host(host)
    await node.open()
    with pytest.raises(StaleOwner):
        await node.ask("echo", "k", "say", Text("x"), app="shop", deadline_ms=_START_MS + 60_000)
    assert ownership.epoch(0) == 1
    assert not host.deliveries


async def test_gone_node_fails_those_who_wait() -> None:
    """Any question may have been on its way through a node that died: all are answered, once."""
    async with _lab() as lab:
        node, answers = lab.nodes["n1"], list[Reply]()
        for _ in range(3):
            node.ask_nowait(
                "echo", lab.key_on("n2"), "say", "shop", _START_MS + 1000,
                msgspec.msgpack.encode(Text("x")), answers.append,
            )  # fmt: skip
        await turns()
        for listener in node._ownership._on_gone:
            listener({"n3", "n2"})
        assert [error_of(one).code for one in answers] == [DeadlineExceeded.code] * 3
        assert "n2, n3 is gone" in error_of(answers[0]).message
        assert error_of(answers[0]).retry_after_s == 0.1
        assert (node.waiting(), node.statistics().cut_off) == (0, 3)
        # What the dead node still says is too late.
        lab.hosts["n2"].deliveries[0].reply(Text("a ghost"))
        await turns()
        assert (len(answers), node.statistics().late_replies) == (3, 1)


async def test_one_who_asks_again_from_the_answer_waits_anew() -> None:
    """A callback may ask again at once; its new question is not failed with the old ones."""
    async with _lab() as lab:
        node, answers = lab.nodes["n1"], list[Reply]()
        body = msgspec.msgpack.encode(Text("x"))

        def again(reply: Reply) -> None:
            answers.append(reply)
            node.ask_nowait(
                "echo", lab.key_on("n2"), "say", "shop", _START_MS + 1000, body, answers.append
            )

        node.ask_nowait("echo", lab.key_on("n2"), "say", "shop", _START_MS + 1000, body, again)
        await turns()
        node._on_gone({"n2"})
        assert (len(answers), node.waiting()) == (1, 1)


async def test_drain_waits_for_the_partitions_named_and_no_others() -> None:
    """A drain is over when nothing of its partitions is in work, whatever else is."""
    async with _lab() as lab, anyio.create_task_group() as tasks:
        host = lab.hosts["n1"]
        host.busy = {3, 4}
        drained: list[int] = []

        async def drain(partition: int) -> None:
            await lab.nodes["n1"].drain({partition, 60})
            drained.append(partition)

        for partition in (3, 5):
            tasks.start_soon(drain, partition)
        await turns()
        assert drained == [5]
        host.busy = {4}
        await turns()
        assert drained == [5, 3]


async def test_former_self_cannot_answer_for_its_successor() -> None:
    """A node under the name of another that still lingers takes none of its answers as its own."""
    async with _lab() as lab:
        lab.owners = {0: "n2", 1: "n2"}
        answers: dict[str, list[Reply]] = {"old": [], "new": []}

        def ask(node: Node, name: str) -> None:
            node.ask_nowait(
                "echo", "k", "say", "shop", _START_MS + 60_000,
                msgspec.msgpack.encode(Text(name)), answers[name].append,
            )  # fmt: skip

        ask(lab.nodes["n1"], "old")
        await turns()
        lab.clock.advance(0.5)
        successor = lab.node("n1")
        await successor.open()
        ask(successor, "new")
        await turns()
        old, new = lab.hosts["n2"].deliveries
        old.reply(Text("for old"))
        await turns()
        assert answers["new"] == []
        new.reply(Text("for new"))
        await turns()
        assert [text_of(one) for one in answers["new"]] == ["for new"]


async def test_context_knows_its_place_and_asks() -> None:
    """What an identity gets from the kernel: its partition, the epoch, and the way to others."""
    async with _lab() as lab, anyio.create_task_group() as tasks:
        node = lab.nodes["n1"]
        ids = IdFactory(lab.clock, SeededRandomness(1))
        here, there = (
            NodeContext(node, node._ownership, ids, "echo", lab.key_on(name))
            for name in ("n1", "n2")
        )
        assert (here.partition, here.epoch) == (partition_of("echo", here.key), 1)
        assert there.epoch == -1
        assert (here.is_current(), there.is_current()) == (True, False)
        replies: list[Reply] = []

        async def ask() -> None:
            reply = await here.ask(
                "echo", there.key, "say", Text("a"), app="shop", deadline_ms=_START_MS + 1
            )
            replies.append(reply)

        tasks.start_soon(ask)
        await turns()
        lab.hosts["n2"].deliveries[0].reply(Text("b"))
        await turns()
        assert text_of(replies[0]) == "b"
        here.tell("echo", there.key, "say", Text("c"), app="shop", deadline_ms=_START_MS + 1)
        await turns()
        assert lab.hosts["n2"].deliveries[1].envelope.reply_to == ""


async def test_frame_with_many_is_dispatched_in_order() -> None:
    """The messages of one frame reach their hosts in the order in which they were sent."""
    async with _lab() as lab:
        key = lab.key_on("n1")
        envelopes: list[Envelope] = [envelope(str(n), key=key, reply_id=n) for n in range(50)]
        lab.bus.publish(node_subject("n1"), encode_frame(Frame(FRAME_VERSION, "n9", envelopes, [])))
        await turns()
        assert [one.envelope.reply_id for one in lab.hosts["n1"].deliveries] == list(range(50))
