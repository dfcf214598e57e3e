"""A bounded queue that is drained in batches by one task."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

__all__ = ("Mailbox", "MailboxStatistics")

T = TypeVar("T")


class MailboxStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``depth`` is now, ``depth_max`` the most ever waiting."""

    depth: int
    depth_max: int
    capacity: int
    accepted: int
    refused: int
    batches: int


class Mailbox(Generic[T]):
    """A deque with a limit and one waiting reader.

    Putting costs a fifth of a microsecond and never waits: a full mailbox refuses, and the sender
    is told to come back.
    """

    def __init__(self, capacity: int) -> None:
        assert capacity > 0
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._reader: asyncio.Future[None] | None = None
        self._accepted = 0
        self._refused = 0
        self._batches = 0
        self._depth_max = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        """Look at what waits, oldest first."""
        return iter(self._items)

    def put_nowait(self, item: T) -> bool:
        """Append ``item`` and return True, or return False when the mailbox is full."""
        items = self._items
        if len(items) >= self._capacity:
            self._refused += 1
            return False
        items.append(item)
        self._accepted += 1
        reader = self._reader
        if reader is not None:
            self._reader = None
            if not reader.done():
                reader.set_result(None)
        return True

    async def wait_not_empty(self) -> None:
        """Wait until there is something to take. Only one task may wait."""
        assert self._reader is None, "a mailbox has one reader"
        if not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    def take(self, limit: int) -> list[T]:
        """Remove and return up to ``limit`` items, oldest first."""
        items = self._items
        depth = len(items)
        self._depth_max = max(self._depth_max, depth)
        if depth == 0:
            return []
        self._batches += 1
        if depth <= limit:
            batch = list(items)
            items.clear()
            return batch
        return [items.popleft() for _ in range(limit)]

    def statistics(self) -> MailboxStatistics:
        """Return the counts so far."""
        return MailboxStatistics(
            depth=len(self._items),
            depth_max=self._depth_max,
            capacity=self._capacity,
            accepted=self._accepted,
            refused=self._refused,
            batches=self._batches,
        )
