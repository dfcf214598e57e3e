"""The store in memory as one journal sees it: a database of its own, under epochs given by hand."""

from typing import Any

from actors.tables import BANK_TABLES, first_rows
from kernel import memory_store
from kernel.clock import ManualClock
from kernel.memory_database import MemoryDatabase
from kernel.memory_tables import KERNEL_TABLES
from tests.unit.kernel.harness import START

__all__ = ("MemoryStore",)

_TABLES = tuple(table.name for table in (*KERNEL_TABLES, *BANK_TABLES))
_EXTERNAL = ("external:cash", "external:unionpay")


class MemoryStore(memory_store.MemoryStore):
    """A store whose partitions have these epochs, with two of the external accounts."""

    def __init__(self, epochs: dict[int, int]) -> None:
        rows = {
            table: [row for row in first if row["account_id"] in _EXTERNAL]
            for table, first in first_rows().items()
        }
        super().__init__(MemoryDatabase(ManualClock(START), BANK_TABLES, rows))
        for partition, epoch in epochs.items():
            self.database.put("partition", (partition,), {"epoch": epoch})

    @property
    def tables(self) -> dict[str, dict[tuple[Any, ...], dict[str, Any]]]:
        """The rows of all tables, by their keys."""
        return {name: self.database.rows(name) for name in _TABLES}

    def balances(self) -> dict[str, int]:
        """Return every account's balance."""
        return {key[0]: row["posted_minor"] for key, row in self.database.rows("balance").items()}
