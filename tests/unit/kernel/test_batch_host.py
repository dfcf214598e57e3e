"""The host of a batch actor: poison, crashes, restarts, fullness and expiry."""

import anyio
import msgspec
import pytest

from kernel.actor import BatchActor, Delivery
from kernel.clock import ManualClock
from kernel.host import START_RETRY_S, HostLimits
from kernel.partition import partition_of
from kernel.supervision import RestartPolicy
from schemas.errors import NotReady
from tests.eventually import turns
from tests.unit.kernel.harness import (
    START,
    EchoActor,
    KeptLetters,
    RecordingSender,
    Text,
    batch_host,
    dead_letters,
    delivery,
    error_of,
    running,
    text_of,
)

pytestmark = pytest.mark.anyio

_START_MS = int(START.timestamp() * 1000)


class _Lab:
    def __init__(
        self,
        actor: BatchActor | None = None,
        limits: HostLimits | None = None,
        policy: RestartPolicy | None = None,
    ) -> None:
        self.clock = ManualClock(START)
        self.kept = KeptLetters()
        self.letters = dead_letters(self.kept, self.clock)
        self.echo = EchoActor()
        self.host = batch_host(
            actor or self.echo, self.letters, self.clock, limits=limits, policy=policy
        )
        self.sender = RecordingSender()

    def deliver(self, *texts: str) -> None:
        for number, text in enumerate(texts):
            self.host.deliver(delivery(self.sender, text, reply_id=number))

    def answers(self) -> dict[int, str]:
        """Return text or code of each answer, by the number of its question."""
        return {
            number: text_of(reply) if reply.ok else error_of(reply).code
            for number, reply in self.sender.by_id().items()
        }


async def test_what_waits_is_taken_as_one_batch() -> None:
    """All that gathered is handed over at once, in order, up to the limit of a batch."""
    lab = _Lab(limits=HostLimits(batch_max=3))
    lab.deliver(*"abcde")
    async with running(lab.host):
        await turns()
    assert lab.echo.batches == [["a", "b", "c"], ["d", "e"]]
    assert list(lab.answers().values()) == list("abcde")
    statistics = lab.host.statistics()
    assert (statistics.processed, statistics.failed, statistics.restarts) == (5, 0, 0)
    assert lab.host.waiting() == 0


async def test_poison_ends_as_one_dead_letter_and_neighbours_pass() -> None:
    """The poison gets one dead letter, with its bytes, and the answer internal; others pass."""
    lab = _Lab()
    lab.echo.faults = {"poison": -1}
    lab.deliver("a", "poison", "b")
    async with running(lab.host):
        await turns()
        assert lab.answers() == {0: "a", 1: "internal", 2: "b"}
    await lab.letters.flush()
    (letter,) = lab.kept.letters
    assert "RuntimeError: cannot bear 'poison'" in letter.reason
    assert msgspec.msgpack.decode(letter.body, type=Text) == Text("poison")
    assert (letter.kind, letter.key, letter.type, letter.app) == ("echo", "k", "say", "shop")
    assert (letter.attempts, letter.node, letter.at) == (2, "n1", START)
    # The one answered before the crash was not done again.
    assert lab.echo.batches == [["a", "poison", "b"], ["poison"], ["b"]]
    assert lab.host.statistics().failed == 1


async def test_poison_alone_is_not_tried_for_ever() -> None:
    """A batch of one that crashes the actor is tried once more and given up."""
    lab = _Lab()
    lab.echo.faults = {"poison": -1}
    lab.deliver("poison")
    async with running(lab.host):
        await turns()
        lab.deliver("fine")
        await turns()
    assert lab.echo.batches == [["poison"], ["poison"], ["fine"]]
    assert lab.sender.errors() == ["internal"]
    assert lab.letters.statistics().recorded == 1


async def test_message_that_spent_its_attempts_is_given_up_at_once() -> None:
    """A message on its last attempt is not tried again."""
    lab = _Lab()
    lab.echo.faults = {"poison": -1}
    lab.host.deliver(delivery(lab.sender, "poison", attempt=2))
    async with running(lab.host):
        await turns()
    assert lab.echo.batches == [["poison"]]
    await lab.letters.flush()
    assert lab.kept.letters[0].attempts == 3


@pytest.mark.parametrize("texts", [("once",), ("a", "once", "b")])
async def test_transient_fault_is_retried_once_and_succeeds(texts: tuple[str, ...]) -> None:
    """A fault that passes costs a restart and nothing else."""
    lab = _Lab()
    lab.echo.faults = {"once": 1}
    lab.deliver(*texts)
    async with running(lab.host):
        await turns()
        assert list(lab.answers().values()) == sorted(texts, key=texts.index)
    assert lab.host.statistics().restarts == 1
    assert lab.echo.starts == 2
    assert lab.letters.statistics().recorded == 0


async def test_restart_intensity_pauses_and_refuses() -> None:
    """An actor that keeps crashing is paused; meanwhile messages are answered not_ready."""
    lab = _Lab(policy=RestartPolicy(restarts_max=3, within_s=10, pause_s=5))

    # Advances by hand: a paused host must not end its own pause.
    class Still(ManualClock):
        async def sleep(self, seconds: float) -> None:
            until_s = self.monotonic_s() + seconds
            while self.monotonic_s() < until_s:
                await anyio.lowlevel.checkpoint()

    lab.clock = Still(START)
    lab.host = batch_host(
        lab.echo, lab.letters, lab.clock,
        policy=RestartPolicy(restarts_max=3, within_s=10, pause_s=5),
    )  # fmt: skip
    lab.echo.faults = {"poison": -1}
    async with running(lab.host):
        lab.deliver("poison")
        await turns(20)
        lab.deliver("poison")
        await turns(20)
        assert lab.host.statistics().restarts == 4
        assert lab.host.statistics().suspended
        lab.host.deliver(delivery(lab.sender, "early", reply_id=7))
        refused = lab.sender.replies[-1][1]
        assert error_of(refused).code == "not_ready"
        assert error_of(refused).retry_after_s == 5.0
        lab.clock.advance(5.0)
        await turns(20)
        assert not lab.host.statistics().suspended
        lab.host.deliver(delivery(lab.sender, "later", reply_id=8))
        await turns(20)
        assert text_of(lab.sender.replies[-1][1]) == "later"


async def test_full_mailbox_answers_busy() -> None:
    """Beyond the mailbox's capacity a sender is told at once when to come back."""
    lab = _Lab(limits=HostLimits(mailbox_capacity=2, busy_retry_after_s=0.3))
    lab.deliver("a", "b", "c")
    assert lab.answers() == {2: "busy"}
    assert error_of(lab.sender.replies[0][1]).retry_after_s == 0.3
    assert error_of(lab.sender.replies[0][1]).retryable
    async with running(lab.host):
        await turns()
    assert lab.answers() == {2: "busy", 0: "a", 1: "b"}
    assert lab.host.statistics().mailbox.refused == 1


async def test_expired_message_is_dropped_before_work() -> None:
    """Nobody works for one who has stopped waiting; it is counted and not answered."""
    lab = _Lab()
    lab.host.deliver(delivery(lab.sender, "late", reply_id=1, deadline_ms=_START_MS - 1))
    lab.host.deliver(delivery(lab.sender, "due", reply_id=2, deadline_ms=_START_MS))
    async with running(lab.host):
        await turns()
    assert lab.echo.batches == [["due"]]
    assert lab.answers() == {2: "due"}
    assert lab.host.statistics().expired == 1


async def test_message_that_expires_during_a_restart_is_dropped() -> None:
    """A pause of the actor may outlast the ones who wait: their messages are not begun after it."""
    lab = _Lab(policy=RestartPolicy(restarts_max=0, within_s=10, pause_s=5))
    lab.echo.faults = {"once": 1}
    deadline_ms = _START_MS + 1_000
    lab.host.deliver(delivery(lab.sender, "once", reply_id=1, deadline_ms=deadline_ms))
    lab.host.deliver(delivery(lab.sender, "next", reply_id=2, deadline_ms=deadline_ms))
    async with running(lab.host):
        await turns(20)
    assert lab.echo.batches == [["once", "next"]]
    assert lab.host.statistics().expired == 2


class _Unavailable(EchoActor):
    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        deliveries[0].reply(Text("first"))
        raise NotReady("the store is away", retry_after_s=2.0)


async def test_unavailable_is_answered_and_no_crash() -> None:
    """An actor that is cut off says so to all it did not answer: no restart, no dead letter."""
    lab = _Lab(_Unavailable())
    lab.deliver("a", "b", "c")
    async with running(lab.host):
        await turns()
    assert lab.answers() == {0: "first", 1: "not_ready", 2: "not_ready"}
    assert error_of(lab.sender.replies[-1][1]).retry_after_s == 2.0
    statistics = lab.host.statistics()
    assert (statistics.restarts, statistics.failed) == (0, 0)
    assert lab.letters.statistics().recorded == 0


class _FailingStart(EchoActor):
    async def start(self) -> None:
        await super().start()
        if self.starts < 4:
            raise NotReady("not yet", retry_after_s=0.5)


async def test_start_is_tried_until_it_succeeds() -> None:
    """An actor that cannot start is tried again after a pause, and what waited is served."""
    actor = _FailingStart()
    lab = _Lab(actor)
    lab.deliver("a")
    async with running(lab.host):
        await turns(20)
    assert (actor.starts, lab.answers()) == (4, {0: "a"})
    assert lab.clock.monotonic_s() == pytest.approx(3 * START_RETRY_S)
    assert lab.host.statistics().restarts == 0


class _BrokenStart(EchoActor):
    async def start(self) -> None:
        await super().start()
        if self.starts < 6:
            raise RuntimeError("a fault of our own")


async def test_broken_start_is_tried_at_growing_intervals() -> None:
    """An actor whose start is broken is tried again and again, more and more rarely."""
    actor = _BrokenStart()
    lab = _Lab(actor, policy=RestartPolicy(restarts_max=2, within_s=100, pause_s=1))
    lab.deliver("a")
    async with running(lab.host):
        await turns(20)
    assert (actor.starts, lab.answers()) == (6, {0: "a"})
    assert lab.clock.monotonic_s() == pytest.approx(2 * START_RETRY_S + 1 + 2 + 4)


class _Slow(EchoActor):
    def __init__(self) -> None:
        super().__init__()
        self.cancelled = False

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise


async def test_cancellation_is_not_swallowed() -> None:
    """A cancelled host ends in the middle of a batch, stops its actor and buries nothing."""
    actor = _Slow()
    lab = _Lab(actor)
    lab.deliver("a", "b")
    async with running(lab.host):
        await turns()
        assert lab.host.waiting() == 2
    assert (actor.cancelled, actor.stops) == (True, 1)
    assert lab.letters.statistics().recorded == 0
    assert lab.host.statistics().restarts == 0


async def test_messages_gather_while_a_batch_is_in_work() -> None:
    """While one batch is in work the next one gathers, and is taken whole."""
    gate = anyio.Event()

    class Gated(EchoActor):
        async def receive_batch(self, deliveries: list[Delivery]) -> None:
            await gate.wait()
            await super().receive_batch(deliveries)

    actor = Gated()
    lab = _Lab(actor)
    async with running(lab.host):
        lab.host.deliver(delivery(lab.sender, "a", reply_id=100))
        await turns()
        lab.deliver("b", "c")
        lab.host.deliver(delivery(lab.sender, "d", reply_id=101))
        await turns()
        gate.set()
        await turns()
    assert actor.batches == [["a"], ["b", "c", "d"]]


async def test_partition_at_work_is_told_from_an_idle_one() -> None:
    """A batch in work and what gathers behind it count for their partitions, and for no others."""
    gate = anyio.Event()

    class Gated(EchoActor):
        async def receive_batch(self, deliveries: list[Delivery]) -> None:
            await gate.wait()
            await super().receive_batch(deliveries)

    lab = _Lab(Gated())
    of = {key: partition_of("echo", key) for key in ("a", "b", "c")}
    assert len(set(of.values())) == 3
    async with running(lab.host):
        lab.host.deliver(delivery(lab.sender, "1", key="a", reply_id=1))
        await turns()
        lab.host.deliver(delivery(lab.sender, "2", key="b", reply_id=2))
        assert lab.host.waiting_in({of["a"]})
        assert lab.host.waiting_in({of["b"], 99})
        assert not lab.host.waiting_in({of["c"]})
        gate.set()
        await turns()
        assert not lab.host.waiting_in(set(range(64)))


@pytest.mark.parametrize("fault", [RuntimeError("crash"), NotReady("away")])
async def test_failed_batch_leaves_no_partition_at_work(fault: Exception) -> None:
    """After a crash or an outage nothing counts as in work: a hand-over does not wait for it."""

    class Failing(EchoActor):
        async def receive_batch(self, deliveries: list[Delivery]) -> None:
            raise fault

    lab = _Lab(Failing())
    lab.deliver("a", "b")
    async with running(lab.host):
        await turns(30)
        assert not lab.host.waiting_in(set(range(64)))
    assert len(lab.answers()) == 2


async def test_redone_messages_still_count_as_in_work() -> None:
    """While the messages of a crashed batch are redone one by one their partition is not idle."""
    gate = anyio.Event()

    class Crashing(EchoActor):
        async def receive_batch(self, deliveries: list[Delivery]) -> None:
            if len(deliveries) > 1:
                raise RuntimeError("too many")
            await gate.wait()
            await super().receive_batch(deliveries)

    lab = _Lab(Crashing())
    lab.deliver("a", "b")
    async with running(lab.host):
        await turns()
        assert lab.host.waiting_in({partition_of("echo", "k")})
        gate.set()
        await turns()
        assert not lab.host.waiting_in({partition_of("echo", "k")})
    assert lab.answers() == {0: "a", 1: "b"}
