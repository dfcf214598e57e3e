"""The bus in memory behaves as NATS does, where it matters."""

from contextvars import ContextVar, copy_context

import pytest

from kernel.memory_bus import MemoryBroker, MemoryBus
from schemas.errors import NotReady
from tests.eventually import eventually, turns

pytestmark = pytest.mark.anyio


class _Inbox:
    def __init__(self) -> None:
        self.messages: list[tuple[str, str, bytes, bytes]] = []

    def __call__(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        self.messages.append((subject, reply, data, headers))

    @property
    def subjects(self) -> list[str]:
        return [message[0] for message in self.messages]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "a.c", "A.b"]),
        ("a.*", ["a.b", "a.*"], ["a", "a.b.c", "b.b"]),
        ("*.b.*", ["a.b.c"], ["a.b", "a.c.c", "a.b.c.d"]),
        ("a.>", ["a.b", "a.b.c"], ["a", "b.a"]),
        (">", ["a", "a.b.c"], []),
        ("*", ["a"], ["a.b"]),
    ],
)
async def test_wildcards(pattern: str, matching: list[str], other: list[str]) -> None:
    """`*` stands for one token, `>` for one or more at the end."""
    bus, inbox = MemoryBus(), _Inbox()
    await bus.subscribe(pattern, inbox)
    for subject in matching + other:
        bus.publish(subject, b"")
    await turns()
    assert inbox.subjects == matching


async def test_delivery_is_in_order_and_never_inside_the_publisher() -> None:
    """Nothing arrives in the turn that sent it; then everything does, in order, as it was sent."""
    bus, inbox = MemoryBus(), _Inbox()
    await bus.subscribe("a.>", inbox)
    bus.publish("a.1", b"x", reply="r", headers=b"h")
    bus.publish("a.2", b"y")
    assert inbox.messages == []
    await turns(1)
    assert inbox.messages == [("a.1", "r", b"x", b"h"), ("a.2", "", b"y", b"")]


async def test_a_receiver_runs_in_the_context_that_it_was_subscribed_in() -> None:
    """Whoever sends, what the receiver starts is its own; also when the message is late."""
    place: ContextVar[str] = ContextVar("place", default="")
    delays_s = [0.0, 0.001]
    bus = MemoryBus(MemoryBroker(fate=lambda _: delays_s))
    heard: list[str] = []
    place.set("receiver")
    await bus.subscribe("a", lambda *_: heard.append(place.get()))
    sender = copy_context()
    sender.run(place.set, "sender")
    sender.run(bus.publish, "a", b"")
    await eventually(lambda: heard == ["receiver", "receiver"], "both arrive")


async def test_queue_group_takes_turns() -> None:
    """One member of a group gets each message; plain subscriptions get all of them."""
    bus = MemoryBus()
    first, second, plain = _Inbox(), _Inbox(), _Inbox()
    await bus.subscribe("a", first, queue="g")
    number = await bus.subscribe("a", second, queue="g")
    await bus.subscribe("a", plain)
    for _ in range(4):
        bus.publish("a", b"")
    await turns()
    assert (len(first.messages), len(second.messages), len(plain.messages)) == (2, 2, 4)
    await bus.unsubscribe(number)
    bus.publish("a", b"")
    await turns()
    assert (len(first.messages), len(second.messages)) == (3, 2)


async def test_cut_loses_what_is_under_way_and_says_so() -> None:
    """A cut loses messages, tells its listeners and refuses; after mending all is as before."""
    bus, inbox = MemoryBus(), _Inbox()
    calls = []
    bus.on_disconnect(lambda: calls.append("cut"))
    await bus.subscribe("a", inbox)
    bus.publish("a", b"lost")
    bus.cut()
    with pytest.raises(NotReady):
        bus.publish("a", b"refused")
    with pytest.raises(NotReady):
        await bus.round_trip_s(1.0)
    await turns()
    assert (inbox.messages, calls) == ([], ["cut"])
    assert not bus.statistics().connected
    bus.mend()
    bus.publish("a", b"kept")
    await bus.flush(1.0)
    assert [message[2] for message in inbox.messages] == [b"kept"]
    statistics = bus.statistics()
    assert (statistics.messages_out, statistics.messages_in, statistics.reconnects) == (2, 1, 1)


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB x 0", "a\n"])
async def test_bad_subject_is_refused(subject: str) -> None:
    """A subject that NATS would misread is an error of the caller."""
    with pytest.raises(ValueError, match="not a subject"):
        MemoryBus().publish(subject, b"")


async def test_connections_share_a_broker() -> None:
    """What one connection sends the others get; a queue group takes turns across connections."""
    broker = MemoryBroker()
    buses = [MemoryBus(broker) for _ in range(3)]
    inboxes = [_Inbox() for _ in buses]
    for bus, inbox in zip(buses, inboxes, strict=True):
        await bus.subscribe("plain", inbox)
        await bus.subscribe("shared", inbox, queue="g")
    buses[0].publish("plain", b"x")
    for _ in range(6):
        buses[1].publish("shared", b"y")
    await turns()
    assert [one.subjects for one in inboxes] == [["plain", "shared", "shared"]] * 3
    assert [bus.statistics().messages_out for bus in buses] == [1, 6, 0]
    assert [bus.statistics().messages_in for bus in buses] == [3, 3, 3]


async def test_cut_connection_is_passed_over() -> None:
    """One connection is cut and the others go on; a queue group does without it; then it is back.

    What is under way from it and to it is lost.
    """
    broker = MemoryBroker()
    cut, other = MemoryBus(broker), MemoryBus(broker)
    inboxes = {cut: _Inbox(), other: _Inbox()}
    for bus, inbox in inboxes.items():
        await bus.subscribe("a", inbox, queue="g")
        await bus.subscribe("b", inbox)
    other.publish("b", b"to")
    cut.publish("b", b"from")
    cut.cut()
    for _ in range(3):
        other.publish("a", b"group")
    await turns()
    assert inboxes[cut].messages == []
    assert [one[2] for one in inboxes[other].messages] == [b"to", b"group", b"group", b"group"]
    cut.mend()
    cut.publish("b", b"again")
    await turns()
    assert [one[2] for one in inboxes[cut].messages] == [b"again"]


async def test_closed_connection_is_gone() -> None:
    """A process that dies says nothing, hears nothing, and leaves no subscription behind."""
    broker = MemoryBroker()
    dead, other = MemoryBus(broker), MemoryBus(broker)
    inbox = _Inbox()
    calls: list[str] = []
    dead.on_disconnect(lambda: calls.append("cut"))
    await dead.subscribe("a", inbox)
    other.publish("a", b"")
    dead.close()
    dead.mend()
    other.publish("a", b"")
    await turns()
    assert (inbox.messages, calls) == ([], [])


async def test_messages_meet_their_fate() -> None:
    """A broker can lose messages, double them and bring them late."""
    fates = {"lost": (), "twice": (0.0, 0.0), "late": (0.01,), "soon": (0.0,)}
    broker = MemoryBroker(fate=lambda subject: fates[subject])
    bus, inbox = MemoryBus(broker), _Inbox()
    await bus.subscribe(">", inbox)
    for subject in ("lost", "late", "twice", "soon"):
        bus.publish(subject, b"")
    await eventually(lambda: len(inbox.messages) == 4, "all that is not lost")
    assert inbox.subjects == ["twice", "twice", "soon", "late"]
