"""Archives in NATS's object store (ADR-20), so that each node gets them from the broker it has.

An object's name is the digest of its bytes, so what is kept is never replaced by something else,
and putting it twice is putting it once. The broker is trusted to carry, not to be right: the
digest is checked after every fetch.
"""

import logging
from collections.abc import Callable

import anyio
import nats.errors
from nats.js import JetStreamContext
from nats.js.api import StorageType
from nats.js.errors import APIError, BucketNotFoundError, NotFoundError
from nats.js.object_store import ObjectStore

from kernel.plugins.archive import ARCHIVE_BYTES_MAX, digest_of
from kernel.plugins.archive_store import ArchiveStoreStatistics, kept_under
from schemas.errors import NotReady

__all__ = ("BUCKET", "BUCKET_BYTES_MAX", "TIMEOUT_S", "ObjectArchiveStore")

_log = logging.getLogger(__name__)

BUCKET = "ZHIHUI_PLUGINS"
# Hundreds of versions of a dozen plugins; the broker sets as much aside.
BUCKET_BYTES_MAX = 256 * 1024 * 1024
# A large archive takes a tenth of a second; beyond this the broker is not usable.
TIMEOUT_S = 10.0
# More than there can be of an archive in chunks of 128 KiB; what says otherwise is not ours.
_CHUNKS_MAX = 1_000


class ObjectArchiveStore:
    """See :class:`kernel.plugins.archive_store.ArchiveStore`.

    ``jetstream`` returns the context of a live connection; it is asked each time, for connections
    are replaced.
    """

    def __init__(
        self,
        jetstream: Callable[[], JetStreamContext],
        *,
        timeout_s: float = TIMEOUT_S,
        bucket: str = BUCKET,
    ) -> None:
        self._jetstream = jetstream
        self._timeout_s = timeout_s
        self._bucket = bucket
        self._stream = f"OBJ_{bucket}"
        self._stored = 0
        self._fetched = 0
        self._spoiled = 0

    async def put(self, data: bytes) -> str:
        """Keep an archive, unless it is there already; return its digest."""
        digest = digest_of(data)
        try:
            with anyio.fail_after(self._timeout_s):
                store = await self._open()
                if await self._is_kept(store, digest):
                    return digest
                await store.put(digest, data)
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise _out_of_reach("keep", digest, error) from error
        self._stored += 1
        return digest

    async def get(self, sha256: str) -> bytes:
        """Return an archive whose digest was checked; raise :class:`NotFound` when there is none.

        One that does not have its digest is not handed out, and :class:`NotReady` is raised: it may
        have been replaced while it was read, and an operator can put it again.
        """
        try:
            with anyio.fail_after(self._timeout_s):
                data = await self._read(sha256)
        except NotFoundError:
            raise kept_under(sha256) from None
        except (OSError, TimeoutError, ValueError, nats.errors.Error) as error:
            raise _out_of_reach("fetch", sha256, error) from error
        if digest_of(data) != sha256:
            self._spoiled += 1
            raise NotReady(f"what is kept as {sha256} has another digest; put the archive again")
        self._fetched += 1
        return data

    async def _read(self, sha256: str) -> bytes:
        """Read chunk by chunk.

        nats-py's own ``get`` reads with an ordered consumer, and waits without end for a chunk
        that is not there.
        """
        jetstream = self._jetstream()
        try:
            store = await jetstream.object_store(self._bucket)
        except BucketNotFoundError:
            raise NotFoundError from None
        info = await store.get_info(sha256)
        if (info.size or 0) > 2 * ARCHIVE_BYTES_MAX or not 0 < (info.chunks or 0) <= _CHUNKS_MAX:
            raise ValueError(f"{info.size} bytes in {info.chunks} chunks are no archive")
        subject = f"$O.{self._bucket}.C.{info.nuid}"
        chunks: list[bytes] = []
        after = 0
        for _ in range(info.chunks or 0):
            try:
                message = await jetstream.get_msg(
                    self._stream, seq=after + 1, subject=subject, direct=True, next=True
                )
            except NotFoundError:
                raise ValueError(f"only {len(chunks)} of {info.chunks} chunks are there") from None
            after = int(message.seq or 0)
            chunks.append(message.data or b"")
        return b"".join(chunks)

    async def delete(self, sha256: str) -> bool:
        """Forget an archive; tell whether it was there."""
        try:
            with anyio.fail_after(self._timeout_s):
                store = await self._open()
                await store.delete(sha256)
        except NotFoundError:
            return False
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise _out_of_reach("delete", sha256, error) from error
        return True

    async def _open(self) -> ObjectStore:
        jetstream = self._jetstream()
        try:
            return await jetstream.object_store(self._bucket)
        except BucketNotFoundError:
            _log.info("the bucket %s is made", self._bucket)
        try:
            return await jetstream.create_object_store(
                self._bucket,
                description="Archives of plugins, by their digests.",
                max_bytes=BUCKET_BYTES_MAX,
                storage=StorageType.FILE,
            )
        except APIError:
            # Another node was quicker; if it was not, this raises what is wrong.
            return await jetstream.object_store(self._bucket)

    async def _is_kept(self, store: ObjectStore, digest: str) -> bool:
        try:
            await store.get_info(digest)
        except NotFoundError:
            return False
        # What is listed may be spoiled, and putting it again is how to mend it.
        try:
            return digest_of(await self._read(digest)) == digest
        except (NotFoundError, ValueError):
            return False

    def statistics(self) -> ArchiveStoreStatistics:
        """Return the counts so far."""
        return ArchiveStoreStatistics(
            stored=self._stored, fetched=self._fetched, spoiled=self._spoiled
        )


def _out_of_reach(what: str, sha256: str, error: BaseException) -> NotReady:
    return NotReady(
        f"cannot {what} the archive {sha256}: {type(error).__name__} {error}".rstrip(),
        retry_after_s=1.0,
    )
