"""Messages about how full a lot is."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import Identifier, RequestId

from .messages import Instant

__all__ = ("CountCar", "CountLot", "GetLot", "LotCounted", "LotFilled", "LotView")


class CountLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Report what was counted on the ground (盘点), in place of what the gates have added up."""

    request_id: RequestId
    lot_id: Identifier
    casual: Annotated[int, Meta(ge=0, le=100_000)]
    passes: Annotated[int, Meta(ge=0, le=100_000)] = 0
    counted_at: Instant


class CountCar(msgspec.Struct, frozen=True, kw_only=True):
    """Tell a lot that a car came (1) or went (-1)."""

    request_id: RequestId
    lot_id: str
    capacity: int
    kind: Literal["casual", "pass"]
    change: int
    at: datetime


class LotCounted(msgspec.Struct, frozen=True, kw_only=True):
    """What the lot counts now; ``drift`` is what it was off before it was counted."""

    lot_id: str
    casual: int
    passes: int
    drift: int
    status: Literal["counted"] = "counted"


class GetLot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read how full a lot is (余位)."""

    lot_id: Identifier


class LotView(msgspec.Struct, frozen=True, kw_only=True):
    """Cars inside, and the places left for casual cars; None where they are not limited."""

    lot_id: str
    casual: int
    passes: int
    free: int | None
    status: Literal["open", "full"]


class LotFilled(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the sign at the gate shows full."""

    lot_id: str
    casual: int
    capacity: int
    is_full: bool
