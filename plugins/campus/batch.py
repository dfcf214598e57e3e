"""The document of a batch of bills."""

from datetime import datetime

import msgspec

from .fields import BillKind

__all__ = ("Batch",)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What all bills of a batch have in common, and the counts of what became of them.

    ``sent`` is counted when a part is issued, everything else when the students say so.
    """

    batch_id: str
    school_id: str
    term_id: str
    kind: BillKind
    title: str
    due_at: datetime
    sent: int = 0
    issued: int = 0
    refused: int = 0
    settled: int = 0
    issued_minor: int = 0
    paid_minor: int = 0
    waived_minor: int = 0

    def header(self) -> tuple[str, str, BillKind, str, datetime]:
        """Return what the parts of a batch agree in."""
        return self.school_id, self.term_id, self.kind, self.title, self.due_at
