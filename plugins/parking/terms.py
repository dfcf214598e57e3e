"""What is agreed about a lot and about a binding: shares, rules, passes on sale, a mandate."""

from datetime import datetime, time
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier
from schemas.money import AmountMinor

from .tariff import RATE_MINOR_MAX

__all__ = (
    "PLATES_MAX",
    "PPM",
    "SHARES_MAX",
    "LotRules",
    "LotShare",
    "Mandate",
    "PassPlan",
)

PPM = 1_000_000

# Landlord, platform, equipment supplier, district: four are the usual most. Each payment of an
# exit carries them, and an exit may have twenty payments.
SHARES_MAX = 4

# Plates on one pass: a family or a small office. It bounds the messages of one purchase.
PLATES_MAX = 16

_Minor = Annotated[int, Meta(ge=0, le=RATE_MINOR_MAX)]
_WallTime = Annotated[time, Meta(tz=False)]


class LotShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of all that a lot earns, passed on by its operator at once (分润)."""

    payee: AccountId
    ppm: Annotated[int, Meta(ge=1, le=PPM)]


class PassPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pass on sale (月卡): ``months`` for a price; of its plates ``places`` park at a time."""

    plan_id: Identifier
    months: Annotated[int, Meta(ge=1, le=12)] = 1
    price_minor: AmountMinor
    places: Annotated[int, Meta(ge=1, le=PLATES_MAX)] = 1
    plates_max: Annotated[int, Meta(ge=1, le=PLATES_MAX)] = 1


class LotRules(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How a lot is run. Each rule is off unless it is set; prices are minor units.

    ``opens_at`` and ``closes_at``, by the lot's wall clock, bound entries; one may always leave.
    ``capacity`` counts casual cars; places of passes are apart. ``leave_minutes`` is what one has
    after paying inside. ``wait_entry_minutes`` is how long an exit waits for an entry that is late,
    ``lost_ticket_minor`` what an exit without any costs. ``reentry_hours`` after an entry a second
    one means that the exit was missed. ``max_stay_hours`` closes a stay whose exit never came.
    ``gate_skew_s`` is how far the clock of the exit may be behind that of the entry.
    ``dispute_days`` is how long after leaving a charge is doubted, ``dispute_hours`` how long the
    operator has for an answer.
    """

    opens_at: _WallTime | None = None
    closes_at: _WallTime | None = None
    pass_only: bool = False
    capacity: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    leave_minutes: Annotated[int, Meta(ge=0, le=120)] = 15
    wait_entry_minutes: Annotated[int, Meta(ge=0, le=1440)] = 0
    lost_ticket_minor: _Minor | None = None
    reentry_hours: Annotated[int, Meta(ge=1, le=720)] | None = None
    max_stay_hours: Annotated[int, Meta(ge=1, le=8784)] | None = None
    refuse_debt_above_minor: Annotated[int, Meta(ge=0)] | None = None
    gate_skew_s: Annotated[int, Meta(ge=0, le=600)] = 0
    stamp_minutes_max: Annotated[int, Meta(ge=0, le=1440)] = 0
    dispute_days: Annotated[int, Meta(ge=0, le=366)] = 0
    dispute_hours: Annotated[int, Meta(ge=1, le=720)] = 72


class Mandate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What may be deducted from the bound account without asking (免密代扣); no cap if None.

    ``session_cap_minor`` is for what one exit deducts, ``day_cap_minor`` for all of a day by the
    lot's zone. ``lots`` are those that may deduct, all of them if empty; ``until`` ends it.
    """

    session_cap_minor: _Minor | None = None
    day_cap_minor: _Minor | None = None
    lots: Annotated[tuple[Identifier, ...], Meta(max_length=16)] = ()
    until: Annotated[datetime, Meta(tz=True)] | None = None
