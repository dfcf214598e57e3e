"""The requests decided of late, by ``(app, request_id)``, with their answers."""

from collections import OrderedDict
from typing import Protocol

import msgspec

from kernel.store import Remembered
from schemas.envelope import REPLAYED

__all__ = ("COMMITTED", "REMEMBERED_MAX", "Decided", "RequestKey", "RequestMemory")

COMMITTED = "committed"

# Retries with the same id mostly come within seconds. At 10,000 a second this is ten seconds of
# traffic and about 60 MB; older ids are found in the store.
REMEMBERED_MAX = 100_000

RequestKey = tuple[str, str]


class Decided(msgspec.Struct, gc=False):
    """The outcome of one request: 'committed' or the code of its rejection, and the answer.

    A hundred thousand are remembered, and none is part of a cycle: the collector need not look.
    """

    digest: bytes
    outcome: str
    answer: str
    note: int


class _Finder(Protocol):
    async def find_requests(self, keys: list[RequestKey]) -> list[Remembered]: ...


class RequestMemory:
    """A bounded memory in front of the store's idempotency records."""

    def __init__(self, store: _Finder) -> None:
        self._store = store
        self._decided: OrderedDict[RequestKey, Decided] = OrderedDict()

    def get(self, key: RequestKey) -> Decided | None:
        """Return the outcome of a request decided of late, or None."""
        return self._decided.get(key)

    def remember(self, key: RequestKey, decided: Decided) -> None:
        """Keep an outcome; the oldest goes when there are too many."""
        self._decided[key] = decided
        if len(self._decided) > REMEMBERED_MAX:
            self._decided.popitem(last=False)

    async def recall(self, keys: list[RequestKey], *, anew: bool = False) -> None:
        """Bring the outcomes of ``keys`` from the store into memory, as far as they exist.

        With ``anew`` also those that are known, so that they are the last to be forgotten.
        """
        if anew:
            for key in keys:
                self._decided.pop(key, None)
        unknown = [key for key in keys if key not in self._decided]
        if unknown:
            for row in await self._store.find_requests(unknown):
                self.remember(
                    (row.app, row.request_id),
                    Decided(row.digest, row.outcome, row.answer, REPLAYED),
                )

    def clear(self) -> None:
        """Forget everything; the store remembers."""
        self._decided.clear()
