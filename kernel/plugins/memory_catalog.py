"""The keeper of the plan, in memory: for virtual time, and for a host with a single node."""

from collections.abc import Callable

from kernel.plugins.archive import digest_of
from kernel.plugins.archive_store import ArchiveStore, MemoryArchiveStore
from kernel.plugins.catalog import DesiredState, SignedArchive
from kernel.plugins.errors import TransitionRefused
from kernel.plugins.plans import plan_rollback
from kernel.plugins.signature import Signature

__all__ = ("MemoryCatalog",)


class MemoryCatalog:
    """See :class:`kernel.plugins.catalog.PluginCatalog`. ``change`` is how an operator acts."""

    def __init__(self, archives: ArchiveStore | None = None) -> None:
        self.plan = DesiredState(version=1)
        self._archives = archives or MemoryArchiveStore()
        self._signatures: dict[str, Signature] = {}

    async def put(self, data: bytes, signature: Signature | None = None) -> str:
        """Keep an archive and return its digest."""
        if signature is not None:
            self._signatures[digest_of(data)] = signature
        return await self._archives.put(data)

    def change(self, edit: Callable[[DesiredState], DesiredState]) -> None:
        """Replace the plan by what ``edit`` makes of it."""
        self.plan = edit(self.plan)

    async def read(self, seen: int) -> DesiredState | None:
        """Return the plan, or None when it is still at version ``seen``."""
        return None if self.plan.version == seen else self.plan

    async def fetch(self, sha256: str) -> SignedArchive:
        """Return an archive with its signature."""
        data = await self._archives.get(sha256)
        return SignedArchive(data=data, signature=self._signatures.get(sha256))

    async def ask_rollback(self, name: str, generation: int, reason: str) -> None:
        """Go back for all, if the plan still has that generation serve."""
        try:
            self.plan = plan_rollback(self.plan, name, reason, bad=generation)
        except TransitionRefused:
            # There is nothing to go back to; the node that asked serves on as well as it can.
            return
