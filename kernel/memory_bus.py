"""The bus in memory: for tests, and for a whole platform in one process.

What is published in one turn of the loop is delivered in the next, in order, so a receiver never
runs inside of a publisher. Nothing is kept beyond that turn, which bounds the memory by what one
turn can publish. Like NATS it delivers at most once, and like NATS it loses what was under way when
it is cut.

A :class:`MemoryBroker` knows all subscriptions. A :class:`MemoryBus` is one connection to it, which
can be cut while the others go on. A receiver runs in the context in which it was subscribed, as if
the connection was read there, and not in that of whoever sent.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial

import anyio
import anyio.lowlevel

from kernel.bus import BusStatistics, Receiver
from schemas.errors import NotReady

__all__ = ("Fate", "MemoryBroker", "MemoryBus")

# Called with a subject for each delivery; returns after how many seconds it is delivered. Once for
# each number: none loses the message, two double it. 0 is the next turn, in order.
Fate = Callable[[str], Sequence[float]]


class _Subscription:
    __slots__ = ("bus", "context", "queue", "receiver", "tokens")

    def __init__(self, bus: "MemoryBus", subject: str, receiver: Receiver, queue: str) -> None:
        self.bus = bus
        self.tokens = subject.split(".")
        self.receiver = receiver
        self.queue = queue
        self.context = copy_context()


class MemoryBroker:
    """What the connections share. ``fate`` may lose, double and delay what is delivered."""

    def __init__(self, *, fate: Fate | None = None) -> None:
        self.fate = fate
        self._subscriptions: dict[int, _Subscription] = {}
        self._next_subscription = 0
        # How often each queue group was served: its members take turns.
        self._turns: dict[str, int] = {}

    def add(self, bus: "MemoryBus", subject: str, receiver: Receiver, queue: str) -> int:
        """Note a subscription and return its number."""
        self._next_subscription += 1
        self._subscriptions[self._next_subscription] = _Subscription(bus, subject, receiver, queue)
        return self._next_subscription

    def remove(self, subscription: int) -> None:
        """Forget a subscription."""
        self._subscriptions.pop(subscription, None)

    def remove_all(self, bus: "MemoryBus") -> None:
        """Forget the subscriptions of one connection."""
        for number, known in list(self._subscriptions.items()):
            if known.bus is bus:
                del self._subscriptions[number]

    def deliver(self, subject: str, hand_over: Callable[["MemoryBus", Receiver], None]) -> None:
        """Call ``hand_over`` later with each connection and receiver that gets the message.

        It is lost with a connection that is cut meanwhile.
        """
        loop = asyncio.get_running_loop()
        for known in self._receivers(subject.split(".")):
            # Each in a turn of its own: one that raises, against the contract, is reported by the
            # loop and keeps the message from nobody else.
            one = partial(_hand_over, hand_over, known, known.bus.connection)
            for delay_s in (0.0,) if self.fate is None else self.fate(subject):
                if delay_s > 0:
                    loop.call_later(delay_s, one, context=known.context)
                else:
                    loop.call_soon(one, context=known.context)

    def _receivers(self, tokens: list[str]) -> list[_Subscription]:
        """Return who gets a message: every plain subscription, and one of each queue group.

        A connection that is cut gets nothing: to a real broker it would be gone.
        """
        receivers = []
        groups: dict[str, list[_Subscription]] = {}
        for known in self._subscriptions.values():
            if known.bus.connected and _matches(known.tokens, tokens):
                if known.queue:
                    groups.setdefault(known.queue, []).append(known)
                else:
                    receivers.append(known)
        for queue, members in groups.items():
            turn = self._turns.get(queue, 0)
            self._turns[queue] = turn + 1
            receivers.append(members[turn % len(members)])
        return receivers


class MemoryBus:
    """See :class:`kernel.bus.Bus`. One connection to a broker, which is its own unless given."""

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self._broker = broker or MemoryBroker()
        self._listeners: list[Callable[[], None]] = []
        self.connected = True
        # The number of the connection; a message of an earlier one is lost.
        self.connection = 0
        self._messages_in = 0
        self._messages_out = 0
        self._bytes_in = 0
        self._bytes_out = 0

    def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: bytes = b""
    ) -> None:
        """Send without waiting; raise :class:`NotReady` when cut off."""
        if not self.connected:
            raise NotReady("the bus is cut", retry_after_s=0.5)
        if not subject or any(sign in subject for sign in " \r\n"):
            raise ValueError(f"not a subject: {subject!r}")
        self._messages_out += 1
        self._bytes_out += len(payload)
        connection = self.connection

        def hand_over(bus: MemoryBus, receiver: Receiver) -> None:
            if connection == self.connection:
                bus.take(len(payload))
                receiver(subject, reply, payload, headers)

        self._broker.deliver(subject, hand_over)

    def take(self, size: int) -> None:
        """Count a message that is delivered here."""
        self._messages_in += 1
        self._bytes_in += size

    async def subscribe(self, subject: str, receiver: Receiver, *, queue: str = "") -> int:
        """Receive what is sent to ``subject`` and return the subscription's number."""
        return self._broker.add(self, subject, receiver, queue)

    async def unsubscribe(self, subscription: int) -> None:
        """Stop receiving."""
        self._broker.remove(subscription)

    async def round_trip_s(self, timeout_s: float) -> float:
        """Return 0 seconds; raise :class:`NotReady` when cut off."""
        if not self.connected:
            raise NotReady(f"the bus is cut and did not answer within {timeout_s} s")
        return 0.0

    async def watch(self, interval_s: float) -> None:
        """Wait until cancelled: :attr:`connected` is never wrong, and :meth:`mend` is by hand."""
        await anyio.sleep_forever()

    async def flush(self, timeout_s: float) -> None:
        """Wait until what was published has been delivered."""
        await self.round_trip_s(timeout_s)
        await anyio.lowlevel.checkpoint()

    def on_disconnect(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever the bus is cut."""
        self._listeners.append(listener)

    def cut(self) -> None:
        """Lose the connection and what is under way; subscriptions stay, as after a reconnect."""
        self.connected = False
        self.connection += 1
        for listener in self._listeners:
            listener()

    def mend(self) -> None:
        """Bring the connection back."""
        self.connected = True

    def close(self) -> None:
        """End the connection for good and without a word, as when its process dies."""
        self.connected = False
        self.connection += 1
        self._broker.remove_all(self)

    def statistics(self) -> BusStatistics:
        """Return the counts so far; every :meth:`mend` after a cut counts as a reconnect."""
        return BusStatistics(
            connected=self.connected,
            round_trip_s=0.0 if self.connected else None,
            round_trips_missed=0,
            messages_in=self._messages_in,
            messages_out=self._messages_out,
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            reconnects=self.connection if self.connected else self.connection - 1,
        )


def _hand_over(
    hand_over: Callable[[MemoryBus, Receiver], None], to: _Subscription, connection: int
) -> None:
    if to.bus.connection == connection:
        hand_over(to.bus, to.receiver)


def _matches(pattern: list[str], tokens: list[str]) -> bool:
    """Tell whether a subscription's tokens cover a subject's, after the rules of NATS."""
    for index, wanted in enumerate(pattern):
        if wanted == ">":
            return index < len(tokens)
        if index >= len(tokens) or wanted not in ("*", tokens[index]):
            return False
    return len(pattern) == len(tokens)
