"""A key on its way from one node to another: work in progress is done, the rest asked again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import msgspec
import pytest

from kernel import ownership as ownership_module
from kernel.actor import Actor, ActorContext, Delivery, receive
from kernel.clock import SystemClock
from kernel.host import KeyedHost
from kernel.memory_bus import MemoryBus
from kernel.node import Node, NodeContext
from kernel.ownership import Ownership
from kernel.partition import partition_of
from kernel.randomness import IdFactory, SeededRandomness
from schemas.envelope import Reply
from schemas.errors import NotReady
from tests.eventually import eventually, turns
from tests.unit.kernel.harness import (
    FakeOwnershipStore,
    KeptLetters,
    Text,
    dead_letters,
    error_of,
    running,
    text_of,
)

pytestmark = pytest.mark.anyio


class _Process:
    """A node with one kind of actor, which waits at a gate and says where it was made."""

    def __init__(self, name: str, bus: MemoryBus, store: FakeOwnershipStore) -> None:
        clock = SystemClock()
        ids = IdFactory(clock, SeededRandomness(1))
        self.name = name
        self.gate = anyio.Event()
        self.begun: list[str] = []
        self.made = 0
        self.ownership = Ownership(name, f"{name}-1", store, clock)
        self.node = Node(name, bus, self.ownership, clock)
        self.host = KeyedHost(
            self._actor,
            partial(NodeContext, self.node, self.ownership, ids),
            kind="echo",
            clock=clock,
            dead_letters=dead_letters(KeptLetters(), clock),
        )
        self.node.add_host(self.host)

    def _actor(self, context: ActorContext) -> Actor:
        self.made += 1
        return _Slow(context, self)

    def ask(self, key: str, text: str, replies: list[Reply]) -> None:
        """Ask the owner of a key."""
        deadline_ms = self.node.clock.now_ms() + 60_000
        body = msgspec.msgpack.encode(Text(text))
        self.node.ask_nowait("echo", key, "say", "shop", deadline_ms, body, replies.append)


class _Slow(Actor):
    kind = "echo"

    def __init__(self, context: ActorContext, process: _Process) -> None:
        super().__init__(context)
        self._process = process

    @receive("say", Text)
    async def say(self, message: Text, delivery: Delivery) -> Text:
        del delivery
        self._process.begun.append(message.text)
        if message.text == "slow":
            await self._process.gate.wait()
        return Text(f"{message.text} on {self._process.name}")


@asynccontextmanager
async def _two() -> AsyncIterator[tuple[_Process, _Process, str]]:
    """Yield n1, which owns everything, n2, which has just come, and a key that n1 will give up."""
    bus, store = MemoryBus(), FakeOwnershipStore(SystemClock())
    first, second = _Process("n1", bus, store), _Process("n2", bus, store)
    await first.node.open()
    await second.node.open()
    await first.ownership.join(5.0)
    key = next(key for key in map(str, range(999)) if partition_of("echo", key) == 63)
    async with running(first.host, second.host):
        with suppress(NotReady):
            await second.ownership.join(0.0)
        yield first, second, key


async def test_work_in_progress_is_done_before_its_key_moves() -> None:
    """The turn under way and what waits behind it are answered; what comes later is refused."""
    async with _two() as (first, second, key), anyio.create_task_group() as tasks:
        replies: list[Reply] = []
        first.ask(key, "slow", replies)
        first.ask(key, "behind", replies)
        await turns()
        assert first.begun == ["slow"]
        tasks.start_soon(first.ownership._tick)
        await turns()
        first.ask(key, "later", replies)
        await turns()
        assert [error_of(one).code for one in replies] == ["stale_owner"]
        assert second.ownership.epoch(63) is None
        first.gate.set()
        await eventually(lambda: first.ownership.epoch(63) is None, "the hand-over")
        assert [text_of(one) for one in replies[1:]] == ["slow on n1", "behind on n1"]
        await second.ownership._tick()
        await first.ownership._tick()
        first.ask(key, "later", replies)
        await eventually(lambda: len(replies) == 4, "an answer of the new owner")
        assert text_of(replies[3]) == "later on n2"
        assert (first.node.waiting(), first.host.waiting()) == (0, 0)


async def test_work_that_takes_too_long_does_not_hold_up_the_move(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After its time the key moves with the turn still under way; its commits fail by the epoch."""
    monkeypatch.setattr(ownership_module, "DRAIN_S_MAX", 0.05)
    async with _two() as (first, second, key):
        replies: list[Reply] = []
        first.ask(key, "slow", replies)
        first.ask(key, "behind", replies)
        await turns()
        with anyio.fail_after(10):
            await first.ownership._tick()
        await second.ownership._tick()
        await first.ownership._tick()
        assert first.ownership.node_of(63) == "n2"
        first.ask(key, "quick", replies)
        await eventually(lambda: len(replies) == 1, "an answer of the new owner")
        assert text_of(replies[0]) == "quick on n2"
        first.gate.set()
        await eventually(lambda: len(replies) == 3, "the rest")
        # What had not begun before the move does not begin after it.
        assert text_of(replies[1]) == "slow on n1"
        assert error_of(replies[2]).code == "stale_owner"
        assert first.begun == ["slow"]


async def test_key_that_comes_back_is_loaded_anew() -> None:
    """Given away and regained, it is not served by the instance that was there before."""
    async with _two() as (first, second, key):
        replies: list[Reply] = []
        first.ask(key, "one", replies)
        await eventually(lambda: len(replies) == 1, "the first answer")
        await first.ownership._tick()
        await second.ownership._tick()
        assert second.ownership.accepts(63)
        await second.ownership.hand_over_all()
        await first.ownership._tick()
        await first.ownership._tick()
        first.ask(key, "two", replies)
        await eventually(lambda: len(replies) == 2, "the second answer")
        assert text_of(replies[1]) == "two on n1"
        assert first.made == 2
        assert first.ownership.epoch(63) == 3
