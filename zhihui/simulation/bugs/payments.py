"""A payment service that decides on what it read a moment ago."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from actors.entity import Record, RecordTable
from kernel.memory_store import MemoryStore
from kernel.store import Store
from zhihui.simulation.bugs.replacing import replaced

__all__ = ("refund_above_captured",)

# Two refunds race when the second is decided before this many seconds have passed.
_RACE_S = 0.05


@contextmanager
def refund_above_captured() -> Iterator[None]:
    """Let each of two refunds that race be decided on what stood before both.

    The state of a payment is not read again within a moment, while its version is, so the store has
    nothing against either of them.
    """
    load = RecordTable.load
    read: dict[tuple[int, str], tuple[float, Record[Any]]] = {}

    async def load_late(self: RecordTable[Any], store: Store, key: str) -> Record[Any] | None:
        found = await load(self, store, key)
        if self.name != "payment_order" or found is None:
            return found
        assert isinstance(store, MemoryStore)
        now_s = store.database.clock.monotonic_s()
        at_s, known = read.get((id(store), key), (now_s, found))
        if now_s - at_s > _RACE_S or now_s < at_s:
            at_s, known = now_s, found
        read[id(store), key] = (at_s, known)
        return msgspec.structs.replace(found, state=known.state)

    with replaced(RecordTable, "load", load_late):
        yield
