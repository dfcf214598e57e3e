"""Messages of the payment service (快e付).

Every method is one operation, `payment.create`; what may follow it depends on the method. Amounts
are in minor units (fen).
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.errors import ErrorBody
from schemas.funding import FUNDING_MAX, FundingSource
from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.mandates import MandateToken
from schemas.merchants import SplitRule
from schemas.money import CNY, AmountMinor

__all__ = (
    "AUTHORIZATION_S",
    "AUTHORIZATION_S_MAX",
    "CONFIRM_DAYS",
    "CONFIRM_DAYS_MAX",
    "PAYMENTS_LIMIT_MAX",
    "CapturePayment",
    "ConfirmPayment",
    "CreatePayment",
    "Dispute",
    "DisputePayment",
    "Geo",
    "GetPayment",
    "ListPayments",
    "Payment",
    "PaymentId",
    "PaymentList",
    "PaymentMethod",
    "PaymentSource",
    "PaymentSplit",
    "PaymentStatus",
    "PaymentStep",
    "QrUse",
    "Refund",
    "RefundPayment",
    "RefundSource",
    "ResolveDispute",
    "RetryRefund",
    "ReversePayment",
    "ReviewPayment",
    "Verification",
    "VerificationFactor",
    "VoidPayment",
)

# Guaranteed pay is confirmed by itself after a week, as buyers of goods know it; nobody waits for
# longer than a quarter of a year.
CONFIRM_DAYS = 7
CONFIRM_DAYS_MAX = 90
# A card's pre-authorisation stands for 30 days (UnionPay's rules for 预授权), a deposit for a lease
# for a year.
AUTHORIZATION_S = 30 * 86_400
AUTHORIZATION_S_MAX = 366 * 86_400
# A page of payments without their details stays far below a NATS message of 1 MiB.
PAYMENTS_LIMIT_MAX = 200

PaymentMethod = Literal["quick", "qr_static", "qr_dynamic", "guaranteed", "authorized", "seamless"]

PaymentStatus = Literal[
    "in_review",
    "processing",
    "guaranteed",
    "authorized",
    "partially_captured",
    "succeeded",
    "partially_refunded",
    "refunded",
    "disputed",
    "voided",
    "expired",
    "failed",
    "reversed",
]

VerificationFactor = Literal["password", "sms", "biometric", "certificate"]

PaymentId = Annotated[
    Identifier, Meta(description="Identifier of a payment, as `payment.create` returned it.")
]
_Reason = Annotated[ShortText, Meta(min_length=1)]
_Udeg = Meta(description="Millionths of a degree (WGS 84).")


class Geo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the payer is; north and east are positive."""

    latitude_udeg: Annotated[int, Meta(ge=-90_000_000, le=90_000_000), _Udeg]
    longitude_udeg: Annotated[int, Meta(ge=-180_000_000, le=180_000_000), _Udeg]


class Verification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what the payer was verified for this payment. The app answers for it."""

    factors: Annotated[tuple[VerificationFactor, ...], Meta(max_length=4)] = ()


class QrUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that was scanned, as `qr.create` made it."""

    code_id: Identifier


class CreatePayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay, by whichever method and from whichever sources: all of it, or nothing.

    ``funding`` are the sources in order; a source without an amount gives what is left, and what it
    cannot give, the next one has to. ``payer`` is short for one account that gives all. Give one of
    the two, and neither when the payer presents a code.

    ``quick`` (快捷), ``qr_static`` and ``qr_dynamic`` (扫码) and ``seamless`` (无感) pay at once.
    ``guaranteed`` (担保) keeps the money until `payment.confirm`, which comes by itself after
    ``confirm_after_days``. ``authorized`` (预授权) holds it until `payment.capture`, for at most
    ``expires_in_s``. With a channel among the sources the answer is ``processing``, and events tell
    the outcome.

    ``mandate_id`` or ``mandate_token`` name the mandate (授权) by which the app may pay without the
    payer; a seamless payment needs one. ``split`` is the name of a rule of the payee's, or a rule.
    ``device_id``, ``geo``, ``merchant_category`` (ISO 18245) and ``verification`` are what the risk
    check looks at.
    """

    request_id: RequestId
    payer: AccountId | UnsetType = UNSET
    payee: AccountId
    amount_minor: AmountMinor
    currency: str = CNY
    reference: ShortText = ""
    method: PaymentMethod = "quick"
    funding: (
        Annotated[tuple[FundingSource, ...], Meta(min_length=1, max_length=FUNDING_MAX)] | UnsetType
    ) = UNSET
    description: ShortText | UnsetType = UNSET
    device_id: Identifier | UnsetType = UNSET
    geo: Geo | UnsetType = UNSET
    merchant_category: Annotated[str, Meta(pattern="^[0-9]{4}(?!\n)$")] | UnsetType = UNSET
    verification: Verification | UnsetType = UNSET
    mandate_id: Identifier | UnsetType = UNSET
    mandate_token: MandateToken | UnsetType = UNSET
    qr: QrUse | UnsetType = UNSET
    confirm_after_days: Annotated[int, Meta(ge=1, le=CONFIRM_DAYS_MAX)] | UnsetType = UNSET
    expires_in_s: Annotated[int, Meta(ge=1, le=AUTHORIZATION_S_MAX)] | UnsetType = UNSET
    split: SplitRule | Identifier | UnsetType = UNSET


class PaymentSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one source has to do with a payment.

    ``amount_minor`` was taken from it, ``held_minor`` is still held or awaited, ``refunded_minor``
    went back. ``charged_minor`` and ``returned_minor`` are in the source's own asset (points, fund
    units). ``unclaimed_minor`` of what went back found its account closed or full: the bank keeps
    it for its owner.
    """

    number: int
    type: str
    account_id: str
    amount_minor: int
    held_minor: int = 0
    refunded_minor: int = 0
    charged_minor: int = 0
    returned_minor: int = 0
    unclaimed_minor: int = 0


class PaymentSplit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one participant got of a payment, and gave back."""

    account_id: str
    amount_minor: int
    returned_minor: int = 0


class RefundSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one source got back by a refund; ``returned_minor`` is in the source's own asset."""

    number: int
    amount_minor: int
    returned_minor: int = 0


class Refund(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refund. It is ``processing`` until the channel that has a part in it has given it back.

    ``fee_returned_minor`` and ``splits`` are what the bank and the participants gave back of
    theirs. ``payment_status`` and ``refunded_minor`` are those of the payment after it.
    """

    refund_id: str
    payment_id: str
    request_id: str
    status: Literal["processing", "succeeded", "failed"]
    amount_minor: int
    currency: str
    payment_status: PaymentStatus
    refunded_minor: int
    created_at: Timestamp
    sources: tuple[RefundSource, ...] = ()
    fee_returned_minor: int = 0
    splits: tuple[PaymentSplit, ...] = ()
    reason: str = ""
    failure: ErrorBody | None = None


class Dispute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dispute about ``amount_minor`` of a payment, which is frozen until it is resolved."""

    dispute_id: str
    status: Literal["open", "refunded", "released"]
    amount_minor: int
    reason: str
    opened_at: Timestamp
    resolved_at: Timestamp | None = None
    resolution: str = ""


class PaymentStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step in the life of a payment: the event that told of it, and the status after it."""

    event: str
    status: PaymentStatus
    amount_minor: int
    at: Timestamp


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment as it stands.

    ``payer`` is the account of the first source, or ``channel:<name>``; just ``channel`` while none
    was named or chosen, which is so in review only. ``captured_minor`` has reached the payee, out
    of which the payee gave ``fee_minor`` and ``splits``; ``refunded_minor`` of it went back. Fields
    that say nothing are left out, as all of the last ones are for a plain payment from one account.
    """

    payment_id: str
    request_id: str
    method: str
    status: str
    payer: str
    payee: str
    amount_minor: int
    currency: str
    reference: str
    created_at: Timestamp
    description: str = ""
    captured_minor: int | None = None
    refunded_minor: int = 0
    fee_minor: int = 0
    sources: tuple[PaymentSource, ...] = ()
    splits: tuple[PaymentSplit, ...] = ()
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    history: tuple[PaymentStep, ...] = ()
    mandate_id: str = ""
    qr_code_id: str = ""
    qr_class: str = ""
    confirms_at: Timestamp | None = None
    expires_at: Timestamp | None = None
    review_until: Timestamp | None = None
    failure: ErrorBody | None = None


class ConfirmPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the payee have the money of a guaranteed payment."""

    request_id: RequestId
    payment_id: PaymentId


class CapturePayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take authorised money: all that is left, or a part of it.

    ``final`` gives back what is left after it.
    """

    request_id: RequestId
    payment_id: PaymentId
    amount_minor: AmountMinor | None = None
    final: bool = False


class VoidPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Call a payment off: what has not reached the payee goes back to where it came from.

    What was captured stays captured.
    """

    request_id: RequestId
    payment_id: PaymentId


class RefundPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give back what the payee got: all that is left of it, or ``amount_minor``.

    It goes back to the sources in the reverse order of the funding, each up to what it gave;
    ``source_order`` names them by their numbers in another order, and those left out get nothing.
    What the payee had passed on comes back in proportion.
    """

    request_id: RequestId
    payment_id: PaymentId
    amount_minor: AmountMinor | None = None
    reason: ShortText = ""
    source_order: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=FUNDING_MAX)], ...], Meta(max_length=FUNDING_MAX)
    ] = ()


class DisputePayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dispute a payment, or ``amount_minor`` of it, which is frozen until the bank resolves it.

    The money of a guaranteed payment stays where it is, and is not confirmed by itself.
    """

    request_id: RequestId
    payment_id: PaymentId
    reason: _Reason
    amount_minor: AmountMinor | None = None


class ResolveDispute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Resolve the open dispute of a payment: for the payer (refund) or the payee (release)."""

    request_id: RequestId
    payment_id: PaymentId
    decision: Literal["refund", "release"]
    reason: _Reason


class ReviewPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a payment in review go ahead, or give its money back."""

    request_id: RequestId
    payment_id: PaymentId
    decision: Literal["approve", "decline"]
    reason: _Reason


class ReversePayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Undo a payment that should not have been made: all that is left goes back (冲正)."""

    request_id: RequestId
    payment_id: PaymentId
    reason: _Reason


class RetryRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the channel try again to send its part of a refund, which it had refused for good.

    Nothing else of the refund changes: its money waits with the bank since it was asked for.
    """

    request_id: RequestId
    payment_id: PaymentId
    refund_id: Identifier


class GetPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a payment by its id, or find it by the id of the request that made it."""

    payment_id: Identifier | None = None
    request_id: Identifier | None = None


class ListPayments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the app's payments in the order in which they were made, without their details.

    All conditions must hold. ``payer`` and ``payee`` are accounts; give at most one of them. A page
    may be short though others follow: go on with ``next_after``.
    """

    payer: AccountId | None = None
    payee: AccountId | None = None
    status: PaymentStatus | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None
    after: Annotated[str, Meta(max_length=128, pattern="^[A-Za-z0-9._:-]*(?!\n)$")] = ""
    limit: Annotated[int, Meta(ge=1, le=PAYMENTS_LIMIT_MAX)] = 50

    @property
    def place(self) -> str:
        """The key of the actor that answers: any will do, so callers are spread by their place."""
        return self.payer or self.payee or self.after


class PaymentList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of payments; ``next_after`` is null on the last page."""

    payments: tuple[Payment, ...]
    next_after: str | None
