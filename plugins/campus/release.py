"""The document of a release of supervised money."""

from datetime import datetime
from typing import Literal

import msgspec

from .release_messages import Purpose

__all__ = ("Release",)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Money that was asked for, and what became of it. What was asked never changes."""

    release_id: str
    school_id: str
    payee: str
    amount_minor: int
    purpose: Purpose
    reason: str
    requested_by: str
    lapses_at: datetime
    decided_by: str = ""
    decision: str = ""
    status: Literal["requested", "released", "refused", "lapsed"] = "requested"
