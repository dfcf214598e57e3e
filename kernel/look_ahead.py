"""What the next batch needs, read while the last one is being written.

The journal decides one batch after the other, and each on what stands. But most of what it has to
read can be read before: what is not in memory is nothing that the batch under way has moved. So
reading begins only while a commit is on its way, and the journal waits for it to end before it
decides, takes back or forgets anything.
"""

import asyncio
import logging

import msgspec

from kernel.actor import Delivery
from kernel.book import Book
from kernel.journal_item import ItemReader, JournalItem, missing_of
from schemas.errors import InvalidField

__all__ = ("LookAhead",)

_log = logging.getLogger(__name__)


class LookAhead:
    """Reads of one book, at most one at a time; a context while a commit is on its way."""

    def __init__(self, book: Book, reader: ItemReader) -> None:
        self._book = book
        self._reader = reader
        self._waiting: list[JournalItem] = []
        self._committing = False
        self._scheduled = False
        self._reading: asyncio.Task[None] | None = None

    def foresee(self, delivery: Delivery) -> None:
        """Decode what waits, and read what it needs, now or when the next commit is on its way."""
        try:
            item = self._reader.read(delivery)
        except (InvalidField, msgspec.MsgspecError):
            # It is said when its turn comes.
            return
        delivery.prepared = item
        self._waiting.append(item)
        self._schedule()

    def __enter__(self) -> None:
        """A commit is on its way."""
        self._committing = True
        self._schedule()

    def __exit__(self, *exc: object) -> None:
        """The commit has ended; what is being read is read to its end, and nothing else."""
        self._committing = False
        # The rest is of the next batch, which reads for itself.
        self._waiting.clear()

    async def settled(self) -> None:
        """Wait until nothing is being read."""
        while self._reading is not None:
            await asyncio.wait([self._reading])

    def cancel(self) -> None:
        """Read no more."""
        self._committing = False
        if self._reading is not None:
            self._reading.cancel()

    def _schedule(self) -> None:
        if self._committing and self._waiting and not self._scheduled and self._reading is None:
            # At the end of this turn of the loop: what arrives in one frame is read at once.
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        if not self._committing or self._reading is not None:
            return
        items, self._waiting = self._waiting, []
        missing = missing_of(self._book, items)
        if missing:
            self._reading = asyncio.create_task(self._read(missing))

    async def _read(self, missing: set[str]) -> None:
        try:
            await self._book.load(missing)
        except Exception as error:  # noqa: BLE001 - the batch itself reads again, and says so
            _log.debug("nothing was read ahead: %s", error)
        finally:
            self._reading = None
            self._schedule()
