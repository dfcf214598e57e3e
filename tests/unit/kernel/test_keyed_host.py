"""The host of keyed actors: turns, concurrency, sleep, poison and limits."""

import logging
from collections import defaultdict

import anyio
import msgspec
import pytest

from kernel.actor import Actor, ActorContext, Delivery, receive
from kernel.clock import Clock, ManualClock
from kernel.host import HostLimits, KeyedHost
from kernel.partition import partition_of
from kernel.randomness import IdFactory, SeededRandomness
from kernel.supervision import RestartPolicy
from schemas.envelope import Reply
from schemas.errors import InvalidState, NotReady
from tests.eventually import turns
from tests.unit.kernel.harness import (
    START,
    KeptLetters,
    RecordingSender,
    Text,
    dead_letters,
    delivery,
    error_of,
    running,
    text_of,
)

pytestmark = pytest.mark.anyio

_START_MS = int(START.timestamp() * 1000)


class _Context:
    """What the actors of these tests get: they ask nobody."""

    partition = 0

    def __init__(self, clock: Clock, key: str, world: "_World") -> None:
        self._world = world
        self.epoch = world.epoch
        self.clock = clock
        self.ids = IdFactory(clock, SeededRandomness(1))
        self.log = logging.getLogger("test")
        self.key = key

    def is_current(self) -> bool:
        return self.epoch == self._world.epoch != -1

    async def ask(
        self, kind: str, key: str, type_: str, message: msgspec.Struct, *, app: str,
        deadline_ms: int,
    ) -> Reply:  # fmt: skip
        raise AssertionError("nobody is asked here")

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
        raise AssertionError("nobody is told here")


class _World:
    """What all actors of one test share: gates, faults, a diary, and the epoch of all keys.

    An epoch of −1 is that of another node.
    """

    def __init__(self) -> None:
        self.epoch = 1
        self.gates: dict[str, anyio.Event] = {}
        self.faults: dict[str, int] = {}
        self.diary: list[str] = []
        self.made: dict[str, int] = defaultdict(int)
        self.busy: set[str] = set()
        self.start_fault: Exception | None = None


class _Talker(Actor):
    kind = "echo"

    def __init__(self, context: ActorContext, world: _World) -> None:
        super().__init__(context)
        self._world = world
        world.made[context.key] += 1

    async def start(self) -> None:
        if self._world.start_fault is not None:
            raise self._world.start_fault

    @receive("say", Text)
    async def say(self, message: Text, delivery: Delivery) -> Text:
        world, key = self._world, self.context.key
        assert key not in world.busy, f"two turns at a time for {key}"
        world.busy.add(key)
        try:
            world.diary.append(f"{key}:{message.text}")
            if message.text in world.gates:
                await world.gates[message.text].wait()
            if world.faults.get(message.text, 0):
                world.faults[message.text] -= 1
                raise RuntimeError(f"cannot bear {message.text!r}")
            if message.text == "reject":
                raise InvalidState("not now")
            if message.text == "hand on":
                delivery.forward("other", "o", "say", message)
            return Text(message.text)
        finally:
            world.busy.discard(key)


class _Lab:
    def __init__(
        self, *, limits: HostLimits | None = None, policy: RestartPolicy | None = None
    ) -> None:
        self.world = _World()
        self.clock = ManualClock(START)
        self.kept = KeptLetters()
        self.letters = dead_letters(self.kept, self.clock)
        self.sender = RecordingSender()
        self.host = KeyedHost(
            lambda context: _Talker(context, self.world),
            self._context,
            kind="echo",
            clock=self.clock,
            dead_letters=self.letters,
            limits=limits,
            policy=policy,
        )
        self._number = 0

    def _context(self, kind: str, key: str) -> ActorContext:
        return _Context(self.clock, key, self.world)

    def deliver(self, key: str, *texts: str, **how: int) -> None:
        for text in texts:
            self._number += 1
            self.host.deliver(delivery(self.sender, text, key=key, reply_id=self._number, **how))

    def answers(self) -> list[str]:
        """Return text or code of each answer, in the order of the questions."""
        return [
            text_of(reply) if reply.ok else error_of(reply).code
            for _, reply in sorted(self.sender.by_id().items())
        ]


async def test_one_turn_at_a_time_and_in_order() -> None:
    """A key's messages are handled one after the other, in their order, even while one waits."""
    lab = _Lab()
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "slow", "two", "three")
        await turns()
        assert lab.world.diary == ["a:slow"]
        assert lab.host.waiting() == 3
        lab.world.gates["slow"].set()
        await turns()
    assert lab.world.diary == ["a:slow", "a:two", "a:three"]
    assert lab.answers() == ["slow", "two", "three"]
    assert (lab.world.made["a"], lab.host.waiting()) == (1, 0)


async def test_different_keys_go_on_side_by_side() -> None:
    """A key that waits holds up no other."""
    lab = _Lab()
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "slow")
        lab.deliver("b", "quick")
        await turns()
        assert lab.world.diary == ["a:slow", "b:quick"]
        assert [text_of(reply) for _, reply in lab.sender.replies] == ["quick"]


async def test_poison_in_the_handler_ends_as_one_dead_letter() -> None:
    """A message that crashes a fresh instance too is kept with its bytes; its neighbours pass."""
    lab = _Lab()
    lab.world.faults["poison"] = -1
    async with running(lab.host):
        lab.deliver("a", "one", "poison", "two")
        await turns(20)
    assert lab.answers() == ["one", "internal", "two"]
    assert lab.world.made["a"] == 3
    await lab.letters.flush()
    (letter,) = lab.kept.letters
    assert "RuntimeError: cannot bear 'poison'" in letter.reason
    assert msgspec.msgpack.decode(letter.body, type=Text) == Text("poison")
    assert (letter.key, letter.attempts) == ("a", 2)


@pytest.mark.parametrize(
    ("type_", "body", "reason"),
    [
        ("say", b"\xc1", "DecodeError"),
        ("say", msgspec.msgpack.encode({"text": 5}), "ValidationError"),
        ("sing", msgspec.msgpack.encode(Text("la")), "no handler for 'sing'"),
    ],
)
async def test_poison_at_decode_ends_as_one_dead_letter(
    type_: str, body: bytes, reason: str
) -> None:
    """What cannot be read, or has no handler, is kept as it came."""
    lab = _Lab()
    poison = delivery(lab.sender, key="a", type_=type_, reply_id=99)
    envelope = msgspec.structs.replace(poison.envelope, body=msgspec.Raw(body))
    async with running(lab.host):
        lab.host.deliver(Delivery(envelope, lab.sender))
        lab.deliver("a", "fine")
        await turns(20)
    assert lab.answers() == ["fine", "internal"]
    await lab.letters.flush()
    (letter,) = lab.kept.letters
    assert (letter.body, letter.type) == (body, type_)
    assert reason in letter.reason


async def test_transient_fault_is_retried_once_and_succeeds() -> None:
    """A fault of the state is mended by a fresh instance, and the asker never knows."""
    lab = _Lab()
    lab.world.faults["once"] = 1
    async with running(lab.host):
        lab.deliver("a", "once")
        await turns()
    assert (lab.answers(), lab.world.made["a"]) == (["once"], 2)
    assert lab.host.statistics().restarts == 1
    assert lab.letters.statistics().recorded == 0


async def test_rejection_is_an_answer_and_no_crash() -> None:
    """An error of the protocol keeps the instance and buries nothing."""
    lab = _Lab()
    async with running(lab.host):
        lab.deliver("a", "reject", "fine")
        await turns()
    assert (lab.answers(), lab.world.made["a"]) == (["invalid_state", "fine"], 1)
    assert lab.host.statistics().restarts == 0


async def test_forwarded_message_is_not_answered_here() -> None:
    """What a handler hands on is answered by the one who gets it."""
    lab = _Lab()
    async with running(lab.host):
        lab.deliver("a", "hand on")
        await turns()
    assert lab.answers() == []
    (sent,) = lab.sender.sent
    assert (sent.kind, sent.key, sent.reply_to, sent.reply_id) == ("other", "o", "asker", 1)


async def test_failing_key_is_paused_and_others_are_not() -> None:
    """A key beyond the restart intensity answers not_ready for a while; its neighbours serve."""
    lab = _Lab(policy=RestartPolicy(restarts_max=3, within_s=10, pause_s=5))
    lab.world.faults["poison"] = -1
    async with running(lab.host):
        lab.deliver("a", "poison", "poison", "early")
        lab.deliver("b", "fine")
        await turns(20)
        assert lab.answers() == ["internal", "internal", "not_ready", "fine"]
        assert error_of(lab.sender.by_id()[3]).retry_after_s == 5.0
        lab.clock.advance(5.0)
        lab.deliver("a", "later")
        await turns()
        assert lab.answers()[-1] == "later"


async def test_start_that_is_not_ready_is_answered() -> None:
    """While an identity cannot load its state its callers are told to come back."""
    lab = _Lab()
    lab.world.start_fault = NotReady("the store is away")
    async with running(lab.host):
        lab.deliver("a", "early")
        await turns()
        lab.world.start_fault = None
        lab.deliver("a", "later")
        await turns()
    assert lab.answers() == ["not_ready", "later"]
    assert lab.letters.statistics().recorded == 0


async def test_one_key_cannot_fill_the_kind() -> None:
    """A key with a full queue answers busy while other keys are served."""
    lab = _Lab(limits=HostLimits(identity_queue_max=2))
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "slow")
        await turns()
        lab.deliver("a", "two", "three", "four", "five")
        lab.deliver("b", "fine")
        await turns()
        assert sorted(lab.answers()) == ["busy", "busy", "fine"]
        lab.world.gates["slow"].set()
        await turns()
    assert lab.answers() == ["slow", "two", "three", "busy", "busy", "fine"]


async def test_kind_with_too_much_work_answers_busy() -> None:
    """What waits in all queues of a kind together is bounded, and the refused are told when."""
    lab = _Lab(limits=HostLimits(mailbox_capacity=4))
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        for number in range(10):
            lab.deliver(str(number), "slow")
            await turns(2)
        assert lab.sender.errors() == ["busy"] * 6
        lab.world.gates["slow"].set()
        await turns()
        lab.deliver("x", "fine")
        await turns()
    assert lab.answers()[-1] == "fine"


async def test_expired_message_is_dropped_when_its_turn_comes() -> None:
    """A message that waited too long in its key's queue is not begun."""
    lab = _Lab()
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "slow")
        lab.deliver("a", "late", deadline_ms=_START_MS + 1_000)
        await turns()
        lab.clock.advance(2.0)
        lab.world.gates["slow"].set()
        await turns()
    assert lab.world.diary == ["a:slow"]
    assert (lab.answers(), lab.host.statistics().expired) == (["slow"], 1)


async def test_identities_idle_longest_are_put_to_sleep() -> None:
    """Beyond the limit the one idle longest leaves the memory, and wakes as a new instance."""
    lab = _Lab(limits=HostLimits(identities_max=2))
    async with running(lab.host):
        for key in ("a", "b", "a", "c"):
            lab.deliver(key, "hello")
            await turns()
        assert lab.host.statistics().identities == 2
        for key in ("a", "b"):
            lab.deliver(key, "again")
            await turns()
    # b was idle longest when c came, so it had to be made anew; a had not.
    assert dict(lab.world.made) == {"a": 1, "b": 2, "c": 1}
    assert len(lab.answers()) == 6


async def test_identity_at_work_is_not_put_to_sleep() -> None:
    """An identity in the middle of a turn stays, however many others come."""
    lab = _Lab(limits=HostLimits(identities_max=1))
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "slow", "after")
        await turns()
        for key in "bcd":
            lab.deliver(key, "hello")
            await turns()
        lab.world.gates["slow"].set()
        await turns()
    assert lab.world.made["a"] == 1
    assert sorted(lab.answers()) == ["after", "hello", "hello", "hello", "slow"]


async def test_cancellation_is_not_swallowed() -> None:
    """A cancelled host ends in the middle of a turn; nothing is answered or buried."""
    lab = _Lab()
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "slow", "two")
        await turns()
    assert (lab.answers(), lab.letters.statistics().recorded) == ([], 0)
    assert lab.host.statistics().restarts == 0


async def test_identity_that_was_elsewhere_meanwhile_is_loaded_again() -> None:
    """An actor of an epoch that is over may remember what is not true any more: a new one is made.

    What waited behind the turn that saw the change is served by the new instance.
    """
    lab = _Lab()
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "one")
        await turns()
        lab.deliver("a", "slow", "two")
        await turns()
        lab.world.epoch = 3  # given away and regained in the middle of a turn
        lab.world.gates["slow"].set()
        await turns()
        assert lab.world.made["a"] == 2
        lab.deliver("a", "three")
        await turns()
    assert lab.answers() == ["one", "slow", "two", "three"]
    assert lab.world.made["a"] == 2
    assert lab.host.statistics().restarts == 0


async def test_identity_that_moved_away_is_refused_as_stale() -> None:
    """What was taken in before the partition went is refused, not done, and is no crash."""
    lab = _Lab()
    lab.world.gates["slow"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "slow", "two")
        lab.deliver("b", "three")
        await turns()
        lab.world.epoch = -1
        lab.deliver("b", "four")
        lab.deliver("c", "five")
        lab.world.gates["slow"].set()
        await turns()
    assert lab.answers() == ["slow", "stale_owner", "three", "stale_owner", "stale_owner"]
    assert lab.world.diary == ["a:slow", "b:three"]
    statistics = lab.host.statistics()
    assert (statistics.restarts, statistics.failed) == (0, 0)
    assert lab.host.waiting() == 0


async def test_crashed_identity_that_moved_away_is_not_started_again() -> None:
    """The second try of a crashed message does not begin on a partition that is gone by then."""
    lab = _Lab()
    lab.world.faults["bad"] = 1
    lab.world.gates["bad"] = anyio.Event()
    async with running(lab.host):
        lab.deliver("a", "bad")
        await turns()
        lab.world.epoch = -1
        lab.world.gates["bad"].set()
        await turns()
    assert lab.answers() == ["stale_owner"]
    assert (lab.world.made["a"], lab.letters.statistics().recorded) == (1, 0)


async def test_partition_at_work_is_told_from_an_idle_one() -> None:
    """What waits in the mailbox, in a key's queue or is in a turn counts for its own partition."""
    lab = _Lab()
    lab.world.gates["slow"] = anyio.Event()
    of = {key: partition_of("echo", key) for key in ("a", "b", "c")}
    assert len(set(of.values())) == 3
    async with running(lab.host):
        lab.deliver("b", "done")
        await turns()
        lab.deliver("a", "slow", "two")
        await turns()
        assert lab.host.waiting_in({of["a"], 99})
        assert not lab.host.waiting_in({of["b"], of["c"]})
        lab.deliver("c", "in the mailbox")
        assert lab.host.waiting_in({of["c"]})
        await turns()
        assert not lab.host.waiting_in({of["c"]})
        assert not lab.host.waiting_in(set())
        lab.world.gates["slow"].set()
        await turns()
        assert not lab.host.waiting_in(set(range(64)))
