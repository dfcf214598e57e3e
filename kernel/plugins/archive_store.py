"""Where archives are kept, by their digests; and such a place in memory."""

from typing import Protocol

import msgspec

from kernel.plugins.archive import digest_of
from schemas.errors import NotFound

__all__ = ("ArchiveStore", "ArchiveStoreStatistics", "MemoryArchiveStore", "kept_under")


class ArchiveStoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``spoiled`` archives did not have the digest they were kept under."""

    stored: int
    fetched: int
    spoiled: int


class ArchiveStore(Protocol):
    """Every method raises :class:`~schemas.errors.NotReady` when the place is out of reach."""

    async def put(self, data: bytes) -> str:
        """Keep an archive, unless it is there already; return its digest."""

    async def get(self, sha256: str) -> bytes:
        """Return an archive, its digest checked; raise :class:`NotFound` when there is none."""

    async def delete(self, sha256: str) -> bool:
        """Forget an archive; tell whether it was there."""

    def statistics(self) -> ArchiveStoreStatistics:
        """Return the counts so far."""


def kept_under(sha256: str) -> NotFound:
    """Return the error for an archive that is not there."""
    return NotFound(f"there is no archive with the digest {sha256}", field="sha256")


class MemoryArchiveStore:
    """See :class:`ArchiveStore`; for virtual time."""

    def __init__(self) -> None:
        self._archives: dict[str, bytes] = {}
        self._stored = 0
        self._fetched = 0

    async def put(self, data: bytes) -> str:
        """Keep an archive and return its digest."""
        digest = digest_of(data)
        self._stored += digest not in self._archives
        self._archives.setdefault(digest, data)
        return digest

    async def get(self, sha256: str) -> bytes:
        """Return an archive; raise :class:`NotFound`."""
        data = self._archives.get(sha256)
        if data is None:
            raise kept_under(sha256)
        self._fetched += 1
        return data

    async def delete(self, sha256: str) -> bool:
        """Forget an archive; tell whether it was there."""
        return self._archives.pop(sha256, None) is not None

    def statistics(self) -> ArchiveStoreStatistics:
        """Return the counts so far."""
        return ArchiveStoreStatistics(stored=self._stored, fetched=self._fetched, spoiled=0)
