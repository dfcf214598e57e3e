"""The actor of archives: it takes the parts of one and checks the whole."""

from typing import ClassVar

from msgspec.structs import replace

from actors.entity import Case, EntityActor, Plan, RecordChange, decides
from actors.plugins.archives import (
    ARCHIVE_TABLE,
    PART_TABLE,
    StoredArchive,
    StoredPart,
    inflated,
    progress_of,
    read_parts,
    said_by,
    stored_under,
)
from kernel.plugins.archive import read_archive
from schemas.errors import InvalidField
from schemas.plugins import UploadPart

__all__ = ("ARCHIVE_KIND", "UPLOAD_TYPE", "ArchiveActor")

ARCHIVE_KIND = "plugin_archive"
UPLOAD_TYPE = "plugin.upload"


class ArchiveActor(EntityActor):
    """One archive, under its digest. Once it is complete it never changes."""

    kind = ARCHIVE_KIND
    table: ClassVar = ARCHIVE_TABLE

    @decides(UPLOAD_TYPE, UploadPart)
    async def upload(self, request: UploadPart, case: Case) -> Plan:
        """Keep a part; with the last one that was missing, check the archive."""
        state = case.state_or_none(StoredArchive)
        if request.index >= request.total:
            raise InvalidField(
                f"part {request.index} of {request.total}: the first one is part 0", field="index"
            )
        part = inflated(request.data, is_last=request.index == request.total - 1)
        if state is not None and state.about is not None:
            return Plan(answer=progress_of(case.key, state))
        if state is None or state.total != request.total:
            # Parts of an upload in other pieces are written over as these come.
            state = StoredArchive(total=request.total)
        received = tuple(sorted({*state.received, request.index}))
        state = replace(state, received=received)
        if len(received) == state.total:
            # A sender whose archive is refused here sends all of it again: what was damaged may be
            # any part, and each is written over.
            parts = await read_parts(case.store, case.key, state.total)
            parts[request.index] = part
            data = b"".join(parts[index] for index in received)
            state = replace(state, about=said_by(read_archive(data, sha256=case.key)))
        key = stored_under(case.key, request.index)
        before = await PART_TABLE.load(case.store, key)
        version = 0 if before is None else before.version
        return Plan(
            answer=progress_of(case.key, state),
            state=state,
            also=(RecordChange(PART_TABLE, key, version, case.owner, StoredPart(request.data)),),
        )
