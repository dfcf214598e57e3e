"""Messages of the hold service: authorisations that are captured, voided or expire."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import CNY, AmountMinor

__all__ = (
    "HOLD_S_MAX",
    "CaptureHold",
    "GetHold",
    "Hold",
    "HoldCapture",
    "HoldId",
    "PlaceHold",
    "VoidHold",
)

# A card's authorisation lasts a month, a deposit for a lease a year or two.
HOLD_S_MAX = 3 * 366 * 86_400

HoldId = Annotated[
    Identifier, Meta(description="Identifier of a hold, as `hold.place` returned it.")
]


class PlaceHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold an amount of an account (预授权): it stays posted and is available no longer.

    With ``payee``, captures may go to that account only; without, each capture names its own. After
    ``expires_in_s`` what was not captured is given back; without, the hold stays until it is
    resolved. A frozen account takes no holds.
    """

    request_id: RequestId
    account_id: AccountId
    amount_minor: AmountMinor
    currency: str = CNY
    payee: AccountId | None = None
    expires_in_s: (
        Annotated[int, Meta(ge=1, le=HOLD_S_MAX, description="Seconds from now.")] | None
    ) = None
    reference: ShortText = ""


class CaptureHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move held money to the payee: all that is left, or ``amount_minor`` of it.

    There may be several captures. ``final`` gives back what is left after this one. ``payee`` is
    needed when the hold was placed without one, and may not differ from it otherwise. Nothing can
    be captured from a frozen account until it is unfrozen.
    """

    request_id: RequestId
    hold_id: HoldId
    amount_minor: AmountMinor | None = None
    payee: AccountId | None = None
    final: bool = False


class VoidHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give back all that is left of a hold. A freeze ends with `account.unfreeze` instead."""

    request_id: RequestId
    hold_id: HoldId


class GetHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a hold as last committed."""

    hold_id: HoldId


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold; amounts in minor units.

    ``status`` is ``open`` until the hold is resolved, once: ``captured`` (all of it, or a final
    part), ``voided`` or ``expired``. What was captured before it ended stays captured.
    ``captured_minor``, ``released_minor`` and ``remaining_minor`` add up to ``amount_minor``.
    ``purpose`` is ``hold``, or ``freeze`` for what `account.freeze` keeps.
    """

    hold_id: str
    account_id: str
    payee: str | None
    status: str
    purpose: str
    amount_minor: int
    captured_minor: int
    released_minor: int
    remaining_minor: int
    currency: str
    reference: str
    created_at: Timestamp
    expires_at: Timestamp | None


class HoldCapture(msgspec.Struct, frozen=True, kw_only=True):
    """One capture that stands; amounts in minor units.

    ``captured_minor`` and ``released_minor`` are by this capture, ``remaining_minor`` is still held
    after it and ``status`` is that of the hold then.
    """

    hold_id: str
    account_id: str
    payee: str
    status: str
    captured_minor: int
    released_minor: int
    remaining_minor: int
    currency: str
    captured_at: Timestamp
