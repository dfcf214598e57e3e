"""The plan and the archives as a node sees them."""

import contextlib
import logging
from collections.abc import Iterable

import msgspec

from actors.plugins.archive_actor import ARCHIVE_KIND, UPLOAD_TYPE
from actors.plugins.archives import ARCHIVE_TABLE, StoredArchive, load_archive, parts_of
from actors.plugins.records import (
    ASK_ROLLBACK_TYPE,
    OFFER_TYPE,
    PLAN_KIND,
    PLAN_TABLE,
    AskRollback,
    OfferBundled,
    PluginPlan,
    is_news,
)
from actors.plugins.trust import WITH_THE_PROGRAM, PluginTrust
from kernel.clock import Clock
from kernel.node import Node
from kernel.plugins.archive import Archive
from kernel.plugins.archive_store import ArchiveStore, kept_under
from kernel.plugins.catalog import DesiredState, SignedArchive
from kernel.plugins.signature import Signature
from kernel.randomness import IdFactory
from kernel.store import Query, Store, Where
from schemas.errors import Rejected, ZhihuiError
from schemas.plugins import PLAN_KEY, UploadPart
from schemas.subjects import OPERATOR_APP

__all__ = ("ASK_S", "PlanCatalog", "PlanCatalogStatistics")

_log = logging.getLogger(__name__)

# A part is stored within milliseconds; after this the question is asked anew.
ASK_S = 5.0


class PlanCatalogStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Archives by where they were fetched from, and what was asked of the plan, since the start.

    Many ``from_database`` say that the broker loses what it keeps.
    """

    from_program: int
    from_objects: int
    from_database: int
    offered: int
    rollbacks_asked: int


class PlanCatalog:
    """See :class:`kernel.plugins.catalog.PluginCatalog`.

    ``objects`` is where archives are fetched from first, ``bundled`` are those that came with this
    program.
    """

    def __init__(
        self, store: Store, node: Node, clock: Clock, ids: IdFactory, objects: ArchiveStore, *,
        bundled: Iterable[Archive] = (), trust: PluginTrust | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._node = node
        self._clock = clock
        self._ids = ids
        self._objects = objects
        self._bundled = {one.sha256: one for one in bundled}
        self._trust = trust
        self._counts = dict.fromkeys(PlanCatalogStatistics.__struct_fields__, 0)

    async def read(self, seen: int) -> DesiredState | None:
        """Return the plan, or None when it is still at version ``seen``."""
        where = (Where(PLAN_TABLE.key, "=", PLAN_KEY),)
        # The plan itself is read only when there is another one: it is asked for every second.
        rows = await self._store.fetch(
            Query(table=PLAN_TABLE.name, columns=("version",), where=where)
        )
        if not rows:
            return None if seen == 0 else DesiredState(version=0)
        if rows[0][0] == seen:
            return None
        record = await PLAN_TABLE.load(self._store, PLAN_KEY)
        return None if record is None else record.state.plan

    async def fetch(self, sha256: str) -> SignedArchive:
        """Return an archive: from here, from the object store, or else from the database."""
        if sha256 in self._bundled:
            self._counts["from_program"] += 1
            return SignedArchive(data=self._bundled[sha256].data)
        record = await ARCHIVE_TABLE.load(self._store, sha256)
        if record is None:
            raise kept_under(sha256)
        signature = record.state.signature
        self._take_on_trust(sha256, record.state)
        try:
            data = await self._objects.get(sha256)
        except ZhihuiError as error:
            # The broker forgets when its disk is new, and is not there when it starts.
            _log.info("the archive %s comes from the database: %s", sha256, error.message)
        else:
            self._counts["from_objects"] += 1
            return SignedArchive(data=data, signature=signature)
        _, archive = await load_archive(self._store, sha256)
        self._counts["from_database"] += 1
        with contextlib.suppress(ZhihuiError):
            await self._objects.put(archive.data)
        return SignedArchive(data=archive.data, signature=signature)

    def _take_on_trust(self, sha256: str, state: StoredArchive) -> None:
        """Take what came with another version of the program on the word of the database.

        Only nodes can write it there. An operator's key is stricter: it signs such archives, and
        who can write to the database cannot bring code.
        """
        trust = self._trust
        if trust is None or trust.keys is None or trust.operator is not None:
            return
        if state.about is not None and state.about.vouched_by == WITH_THE_PROGRAM:
            trust.keys.trust_digest(sha256, WITH_THE_PROGRAM)

    async def ask_rollback(self, name: str, generation: int, reason: str) -> None:
        """Have the plan go back for all nodes, if it still wants that generation to serve."""
        request = AskRollback(
            request_id=self._new_id(), name=name, generation=generation, reason=reason,
            node=self._node.name,
        )  # fmt: skip
        self._counts["rollbacks_asked"] += 1
        try:
            await self._ask(PLAN_KIND, PLAN_KEY, ASK_ROLLBACK_TYPE, request)
        except Rejected as error:
            # There is nothing to go back to; this node serves on as well as it can.
            _log.warning("%s g%d stays in the plan: %s", name, generation, error.message)

    async def offer_bundled(self) -> None:
        """Have the plan take what came with this program, where it is news.

        Call it before the first round of the convergence, and again on
        :class:`~schemas.errors.Unavailable`.
        """
        for archive in self._bundled.values():
            record = await PLAN_TABLE.load(self._store, PLAN_KEY)
            state = PluginPlan() if record is None else record.state
            manifest = archive.manifest
            if not is_news(state, manifest.name, manifest.version):
                _warn_of_other(state, archive)
                continue
            try:
                await self._offer(archive)
            except Rejected as error:
                # The node serves what the plan has; an operator has to say what becomes of this.
                _log.error(
                    "%s %s, which came with the program, is not taken: %s",
                    manifest.name, manifest.version, error.message,
                )  # fmt: skip

    async def _offer(self, archive: Archive) -> None:
        await self._upload(archive)
        operator = None if self._trust is None else self._trust.operator
        signature: Signature | None = None if operator is None else operator.sign(archive)
        request = OfferBundled(
            request_id=self._new_id(),
            name=archive.manifest.name,
            version=archive.manifest.version,
            sha256=archive.sha256,
            node=self._node.name,
            signature=signature,
        )
        await self._ask(PLAN_KIND, PLAN_KEY, OFFER_TYPE, request)
        self._counts["offered"] += 1
        with contextlib.suppress(ZhihuiError):
            await self._objects.put(archive.data)

    async def _upload(self, archive: Archive) -> None:
        record = await ARCHIVE_TABLE.load(self._store, archive.sha256)
        if record is not None and record.state.about is not None:
            return
        parts = parts_of(archive.data)
        for index, part in enumerate(parts):
            request = UploadPart(
                request_id=self._new_id(), sha256=archive.sha256, index=index, total=len(parts),
                data=part,
            )  # fmt: skip
            await self._ask(ARCHIVE_KIND, archive.sha256, UPLOAD_TYPE, request)

    def statistics(self) -> PlanCatalogStatistics:
        """Return the counts so far."""
        return PlanCatalogStatistics(**self._counts)

    def _new_id(self) -> str:
        return self._ids.new("plugin")

    async def _ask(self, kind: str, key: str, type_: str, message: msgspec.Struct) -> None:
        # As the back office: what it asks for and what nodes ask for belongs to one owner, who
        # hears of all of it.
        deadline_ms = self._clock.now_ms() + int(ASK_S * 1000)
        await self._node.ask(kind, key, type_, message, app=OPERATOR_APP, deadline_ms=deadline_ms)


def _warn_of_other(state: PluginPlan, archive: Archive) -> None:
    """Say that what runs is not what came with the program, though it has the same version."""
    manifest = archive.manifest
    same = [
        one
        for one in state.plan.generations
        if one.name == manifest.name and one.version == manifest.version
    ]
    if same and all(one.sha256 != archive.sha256 for one in same):
        _log.warning(
            "%s %s of the plan is another archive than the one that came with the program, which "
            "is left alone; a change needs a higher version",
            manifest.name, manifest.version,
        )  # fmt: skip
