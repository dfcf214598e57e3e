"""The bus in memory: for tests, and for a whole platform in one process.

What is published in one turn of the loop is delivered in the next, in order, so a receiver never
runs inside of a publisher. Nothing is kept beyond that turn, which bounds the memory by what one
turn can publish. Like NATS it delivers at most once, and like NATS it loses what was under way when
it is cut.
"""

import asyncio
from collections.abc import Callable

import anyio.lowlevel

from kernel.bus import BusStatistics, Receiver
from schemas.errors import NotReady

__all__ = ("MemoryBus",)


class _Subscription:
    __slots__ = ("queue", "receiver", "tokens")

    def __init__(self, subject: str, receiver: Receiver, queue: str) -> None:
        self.tokens = subject.split(".")
        self.receiver = receiver
        self.queue = queue


class MemoryBus:
    """See :class:`kernel.bus.Bus`. All who share one object are on one bus."""

    def __init__(self) -> None:
        self._subscriptions: dict[int, _Subscription] = {}
        self._next_subscription = 0
        self._listeners: list[Callable[[], None]] = []
        # How often each queue group was served: its members take turns.
        self._turns: dict[str, int] = {}
        self._connected = True
        # A message of an earlier connection is lost.
        self._connection = 0
        self._messages_in = 0
        self._messages_out = 0
        self._bytes_in = 0
        self._bytes_out = 0

    def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: bytes = b""
    ) -> None:
        """Send without waiting; raise :class:`NotReady` when cut off."""
        if not self._connected:
            raise NotReady("the bus is cut", retry_after_s=0.5)
        if not subject or any(sign in subject for sign in " \r\n"):
            raise ValueError(f"not a subject: {subject!r}")
        self._messages_out += 1
        self._bytes_out += len(payload)
        loop = asyncio.get_running_loop()
        for receiver in self._receivers(subject.split(".")):
            # Each in a turn of its own: one that raises, against the contract, is reported by the
            # loop and keeps the message from nobody else.
            loop.call_soon(
                self._deliver, self._connection, receiver, subject, reply, payload, headers
            )

    def _receivers(self, tokens: list[str]) -> list[Receiver]:
        """Return who gets a message: every plain subscription, and one of each queue group."""
        receivers = []
        groups: dict[str, list[Receiver]] = {}
        for known in self._subscriptions.values():
            if _matches(known.tokens, tokens):
                if known.queue:
                    groups.setdefault(known.queue, []).append(known.receiver)
                else:
                    receivers.append(known.receiver)
        for queue, members in groups.items():
            turn = self._turns.get(queue, 0)
            self._turns[queue] = turn + 1
            receivers.append(members[turn % len(members)])
        return receivers

    def _deliver(
        self, connection: int, receiver: Receiver, subject: str, reply: str, payload: bytes,
        headers: bytes,
    ) -> None:  # fmt: skip
        if connection == self._connection:
            self._messages_in += 1
            self._bytes_in += len(payload)
            receiver(subject, reply, payload, headers)

    async def subscribe(self, subject: str, receiver: Receiver, *, queue: str = "") -> int:
        """Receive what is sent to ``subject`` and return the subscription's number."""
        self._next_subscription += 1
        self._subscriptions[self._next_subscription] = _Subscription(subject, receiver, queue)
        return self._next_subscription

    async def unsubscribe(self, subscription: int) -> None:
        """Stop receiving."""
        self._subscriptions.pop(subscription, None)

    async def round_trip_s(self, timeout_s: float) -> float:
        """Return 0 seconds; raise :class:`NotReady` when cut off."""
        if not self._connected:
            raise NotReady(f"the bus is cut and did not answer within {timeout_s} s")
        return 0.0

    async def flush(self, timeout_s: float) -> None:
        """Wait until what was published has been delivered."""
        await self.round_trip_s(timeout_s)
        await anyio.lowlevel.checkpoint()

    def on_disconnect(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever the bus is cut."""
        self._listeners.append(listener)

    def cut(self) -> None:
        """Lose the connection and what is under way; subscriptions stay, as after a reconnect."""
        self._connected = False
        self._connection += 1
        for listener in self._listeners:
            listener()

    def mend(self) -> None:
        """Bring the connection back."""
        self._connected = True

    def statistics(self) -> BusStatistics:
        """Return the counts so far; every :meth:`mend` after a cut counts as a reconnect."""
        return BusStatistics(
            connected=self._connected,
            round_trip_s=0.0 if self._connected else None,
            round_trips_missed=0,
            messages_in=self._messages_in,
            messages_out=self._messages_out,
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            reconnects=self._connection if self._connected else self._connection - 1,
        )


def _matches(pattern: list[str], tokens: list[str]) -> bool:
    """Tell whether a subscription's tokens cover a subject's, after the rules of NATS."""
    for index, wanted in enumerate(pattern):
        if wanted == ">":
            return index < len(tokens)
        if index >= len(tokens) or wanted not in ("*", tokens[index]):
            return False
    return len(pattern) == len(tokens)
