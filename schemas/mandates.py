"""Messages of mandates (授权) and payment codes (收付款码)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import AmountMinor

__all__ = (
    "MANDATE_DAYS_MAX",
    "QR_S",
    "QR_S_MAX",
    "CreateMandate",
    "CreateQrCode",
    "GetMandate",
    "GetQrCode",
    "Mandate",
    "MandateId",
    "MandateToken",
    "QrCode",
    "RevokeMandate",
)

# A mandate is given again at the latest after five years, as card-on-file agreements are.
MANDATE_DAYS_MAX = 5 * 366
# A code that the payer shows or the till makes lives for a minute, as at the large wallets; a bill
# that is sent as a code may wait for a week.
QR_S = 60
QR_S_MAX = 7 * 86_400

# As free as a text, since a plate begins with a Chinese character, and as short as an identifier.
_TokenValue = Annotated[
    str, Meta(min_length=1, max_length=64, pattern="^[^\\x00-\\x1f\\x7f]*(?!\n)$")
]

MandateId = Annotated[
    Identifier, Meta(description="Identifier of a mandate, as `mandate.create` returned it.")
]


class MandateToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the payer is recognised by: a number plate, or the reference of an enrolled face."""

    type: Literal["plate", "face"]
    value: _TokenValue


class CreateMandate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the app pay from a customer's account without asking the customer each time.

    Payments by it go to ``payee``, or to anybody when that is null. Limits hold for all payments by
    it, whatever came of them later: ``per_payment_minor`` for each, ``per_day_minor`` and
    ``per_day_count`` for a day of Asia/Shanghai, ``total_minor`` for all. With ``token`` a payment
    may name the token instead of the mandate; an app has one mandate for a token.
    """

    request_id: RequestId
    account_id: AccountId
    per_payment_minor: AmountMinor
    payee: AccountId | None = None
    per_day_minor: AmountMinor | None = None
    per_day_count: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    total_minor: AmountMinor | None = None
    expires_in_days: Annotated[int, Meta(ge=1, le=MANDATE_DAYS_MAX)] | None = None
    token: MandateToken | None = None
    description: ShortText = ""


class RevokeMandate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a mandate: no payment that is decided after it passes."""

    request_id: RequestId
    mandate_id: MandateId
    reason: ShortText = ""


class GetMandate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a mandate and what of it was used."""

    mandate_id: MandateId


class Mandate(msgspec.Struct, frozen=True, kw_only=True):
    """A mandate: ``active`` until it is ``revoked`` or has ``expired``.

    ``used_minor`` and ``used_count`` are of all payments by it, ``used_today_minor`` and
    ``used_today_count`` of those of today.
    """

    mandate_id: str
    status: Literal["active", "revoked", "expired"]
    account_id: str
    payee: str | None
    per_payment_minor: int
    per_day_minor: int | None
    per_day_count: int | None
    total_minor: int | None
    token: MandateToken | None
    description: str
    created_at: Timestamp
    expires_at: Timestamp | None
    ended_at: Timestamp | None
    used_minor: int = 0
    used_count: int = 0
    used_today_minor: int = 0
    used_today_count: int = 0


class CreateQrCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a payment code.

    A ``static`` code (静态码) names an account that is paid, by anybody and as often as wanted. A
    ``dynamic`` code (动态码) is for one payment of ``amount_minor`` to it. A ``customer`` code
    (付款码) is shown by the owner of the account, who pays once by it, at most ``amount_minor`` if
    that is given. The last two expire after ``expires_in_s``.
    """

    request_id: RequestId
    type: Literal["static", "dynamic", "customer"]
    account_id: AccountId
    amount_minor: AmountMinor | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=QR_S_MAX)] | None = None
    description: ShortText = ""


class GetQrCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a payment code, of whichever app: who scanned it has to know what it asks for."""

    code_id: Identifier


class QrCode(msgspec.Struct, frozen=True, kw_only=True):
    """A payment code; ``content`` is what stands in the picture.

    ``account_id`` is null for a customer's code of another app. ``used`` tells that a code for one
    payment has had it.
    """

    code_id: str
    content: str
    type: Literal["static", "dynamic", "customer"]
    account_id: str | None
    amount_minor: int | None
    description: str
    created_at: Timestamp
    expires_at: Timestamp | None
    used: bool = False
