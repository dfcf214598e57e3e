"""A database that notes what it should have refused."""

from kernel.memory_database import MemoryDatabase
from kernel.store import Commit

__all__ = ("WatchedDatabase",)


class WatchedDatabase(MemoryDatabase):
    """See :class:`kernel.memory_database.MemoryDatabase`.

    It looks at the epochs of each commit itself, so that a store that does not is found out.
    """

    stale: list[str]

    def commit(self, commit: Commit) -> None:
        """Write all of it or nothing."""
        partitions = self.rows("partition")
        over = {
            partition: epoch
            for partition, epoch in commit.epochs.items()
            if partitions[partition,]["epoch"] != epoch
        }
        super().commit(commit)
        if over:
            self.stale.append(f"a commit stands under epochs that were over: {over}")
