"""All documents of a pack: looked at before a version may serve, and brought into its form after.

A document is migrated when it is read, so nothing waits for this. It is done so that no version has
to be kept for the sake of old documents: back at once, since only a newer version can do that, and
forward when the version that serves has proven itself.
"""

import logging
from collections.abc import Callable, Iterable

from actors.parts import Parts
from actors.scenario.served_pack import Rewrite, served_by
from kernel.partition import partition_of
from kernel.plugins.generation import Generation
from kernel.plugins.migration import DocumentRow, StoredDocument
from kernel.plugins.slot import Slot
from kernel.store import Query, Store, Where
from schemas.errors import ZhihuiError

__all__ = ("IDLE_S", "PAGE", "ROUND_S", "PackDocuments", "Rewriter")

_log = logging.getLogger(__name__)

# Documents asked about at a time.
PAGE = 100
# A look at an index; nobody waits for it.
ROUND_S = 2.0
# When there was nothing to do for the version that serves. Something may come yet: another node may
# have served the version before for a moment longer.
IDLE_S = 60.0
_ANSWER_MS = 5_000


class PackDocuments:
    """See :class:`kernel.plugins.migration.DocumentPages`."""

    def __init__(self, pack: str, store: Store) -> None:
        self._pack = pack
        self._store = store

    async def page(self, collection: str, after: str, limit: int) -> list[DocumentRow]:
        """Return up to ``limit`` documents whose keys come after one, in the order of the keys."""
        rows = await self._store.fetch(
            Query(
                table="document",
                columns=("key", "version", "state_version", "body"),
                where=(
                    Where("pack", "=", self._pack),
                    Where("collection", "=", collection),
                    Where("key", ">", after),
                ),
                order_by=("key",),
                limit=limit,
            )
        )
        return [
            DocumentRow(key, version, StoredDocument(state_version, body.encode()))
            for key, version, state_version, body in rows
        ]


class Rewriter:
    """Ask identities to write their documents again. One for each node; one of them works."""

    def __init__(self, parts: Parts, slots: Callable[[], Iterable[Slot]]) -> None:
        self._parts = parts
        self._slots = slots
        # The version that was looked for, whether it had proven itself, and when to look again.
        self._rested: dict[str, tuple[tuple[int, bool], float]] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._parts.clock.sleep(ROUND_S)
            try:
                for slot in self._slots():
                    if self._is_ours(slot):
                        await self._look(slot)
            except ZhihuiError as error:
                _log.info("documents are rewritten later: %s", error.message)

    def _is_ours(self, slot: Slot) -> bool:
        ownership = self._parts.ownership
        return ownership.epoch(partition_of(f"pack.{slot.name}", "")) is not None

    async def _look(self, slot: Slot) -> None:
        generation = slot.promoted
        if generation is None or slot.canary is not None or slot.paused:
            return
        now_s = self._parts.clock.monotonic_s()
        state = (generation.number, not generation.guard.on_probation())
        known, rests_until_s = self._rested.get(slot.name, ((0, False), 0.0))
        if known == state and now_s < rests_until_s:
            return
        found = 0
        for collection in generation.manifest.collections:
            version = generation.manifest.state_version_of(collection.name)
            assert version is not None
            which = [Where("state_version", ">", version)]
            if state[1] and version > 1:
                which.append(Where("state_version", "<=", version - 1))
            for one in which:
                keys = await self._keys(slot, collection.name, one)
                await self._rewrite(slot, generation, keys, collection.name)
                found += len(keys)
        if not found:
            self._rested[slot.name] = (state, now_s + IDLE_S)

    async def _keys(self, slot: Slot, collection: str, which: Where) -> list[str]:
        rows = await self._parts.store.fetch(
            Query(
                table="document",
                columns=("key",),
                where=(
                    Where("pack", "=", slot.name),
                    Where("collection", "=", collection),
                    which,
                ),
                limit=PAGE,
            )
        )
        return [key for (key,) in rows]

    async def _rewrite(
        self, slot: Slot, generation: Generation, keys: list[str], collection: str
    ) -> None:
        kind = f"pack.{slot.name}"
        type_ = served_by(generation, slot, self._parts.store).rewrite_type
        for name in keys:
            app, _, key = name.partition("/")
            deadline_ms = self._parts.clock.now_ms() + _ANSWER_MS
            await self._parts.node.ask(
                kind, key, type_, Rewrite(app, collection), app=app, deadline_ms=deadline_ms
            )
