"""Messages about customers (客户), the opening of their accounts (开户) and their cards (绑卡).

What a person types of himself comes in and never goes out again: every answer and every event holds
masked values alone. Only the answer of `customer.reveal`, which is never stored, shows the rest.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import CNY, AmountMinor

__all__ = (
    "CASES_LIMIT_MAX",
    "EVIDENCE_MAX",
    "AccountBound",
    "AccountCase",
    "BindCard",
    "BoundCard",
    "CardNumber",
    "CardWithdrawal",
    "CaseList",
    "CaseStatus",
    "CreditCode",
    "Customer",
    "CustomerAccount",
    "CustomerDetails",
    "DecideCase",
    "Evidence",
    "EvidenceKind",
    "EvidenceRef",
    "GetCase",
    "GetCustomer",
    "IdentityNumber",
    "LegalRepresentative",
    "ListCases",
    "OpenCorporateAccount",
    "OpenPersonalAccount",
    "Personal",
    "PersonalField",
    "PhoneNumber",
    "RegisterCustomer",
    "RevealCustomer",
    "RevealedCustomer",
    "SubmitEvidence",
    "TrustedText",
    "WithdrawToCard",
)

# A face video, a voice recording, both sides of a document, and a second take of each.
EVIDENCE_MAX = 8
# A page that fits well under a NATS message of 1 MiB at about 1 KiB a case.
CASES_LIMIT_MAX = 200

# `[0-9]` and not `\d`, which also means the digits of all other scripts.
IdentityNumber = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{17}[0-9Xx](?!\n)$",
        description="Resident identity number (居民身份证号码) of 18 characters, GB 11643.",
    ),
]
PhoneNumber = Annotated[
    str,
    Meta(
        pattern=r"^(\+86)?1[3-9][0-9]{9}(?!\n)$",
        description="Mobile number of the Chinese mainland, with or without +86.",
    ),
]
CardNumber = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{12,19}(?!\n)$",
        description="Number of a bank card or account, whose last digit is Luhn's check digit.",
    ),
]
CreditCode = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Z]{18}(?!\n)$",
        description="Unified social credit code (统一社会信用代码), GB 32100.",
    ),
]
_PersonName = Annotated[
    str, Meta(min_length=1, max_length=60, pattern="^[^\\x00-\\x1f\\x7f]*(?!\n)$")
]
# A pointer into the store of recordings: no blanks and no words, so that nothing about a person
# is likely to stand in it.
EvidenceRef = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*(?!\n)$",
        description="Where the recording is kept: a pointer, never the recording itself.",
    ),
]
TrustedText = Annotated[ShortText, Meta(min_length=1)]

EvidenceKind = Literal["face_video", "voice", "video", "document"]
PersonalField = Literal["name", "id_number", "phone"]
CaseStatus = Literal[
    "submitted",
    "elements_checked",
    "verifying",
    "examining",
    "pending_review",
    "opened",
    "bound",
    "rejected",
    "expired",
]


class Personal(msgspec.Struct, frozen=True, kw_only=True):
    """A struct with data of a person: how it prints says its class and nothing of what it holds.

    So neither a log line, nor the message of an exception, nor a debugger's list of variables tells
    more by accident.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, not shown>"

    def __rich_repr__(self) -> Any:
        return iter(())


class RegisterCustomer(Personal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a person known as a customer of the app.

    The same identity number in the same app is the same customer, whatever the request's id; a new
    phone number takes the place of the old one, another name is refused.
    """

    request_id: RequestId
    name: _PersonName
    id_number: IdentityNumber
    phone: PhoneNumber


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer of an app, masked; of a company ``phone`` is its legal representative's.

    ``id_number`` is the identity number of a person, and the unified social credit code of a
    company, which is public and not masked.
    """

    customer_id: str
    kind: str
    name: str
    id_number: str
    phone: str
    registered_at: Timestamp


class GetCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a customer with the accounts that were opened for it."""

    customer_id: Identifier


class BoundCard(msgspec.Struct, frozen=True, kw_only=True):
    """The own card or account that an account is bound to; ``source`` names it for deposits.

    What comes from there counts against none of the limits of the account's class.
    """

    source: str
    card: str
    card_kind: str
    bank: str
    bound_at: Timestamp


class CustomerAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account of a customer; ``account_class`` is II, III, or empty for a company's."""

    account_id: str
    account_class: str
    status: str
    opened_at: Timestamp
    bound: BoundCard | None = None


class CustomerDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A customer, masked, with its accounts in the order of their opening."""

    customer_id: str
    kind: str
    name: str
    id_number: str
    phone: str
    registered_at: Timestamp
    accounts: list[CustomerAccount]


class OpenPersonalAccount(Personal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for an account of class II or III (Ⅱ/Ⅲ类户), bound to a card of the customer's own.

    Class II needs five elements to be right: name, identity number, phone, card, and that the card
    is of class I or a credit card. Class III needs the first four.
    """

    request_id: RequestId
    customer_id: Identifier
    account_class: Literal["II", "III"]
    card_number: CardNumber


class LegalRepresentative(Personal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The person who acts for a company (法定代表人)."""

    name: _PersonName
    id_number: IdentityNumber
    phone: PhoneNumber


class OpenCorporateAccount(Personal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for the account of a company (企业在线开户), checked against the company registry."""

    request_id: RequestId
    credit_code: CreditCode
    company_name: TrustedText
    legal_representative: LegalRepresentative


class BindCard(Personal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bind an account to another card of its owner (绑定账户), in the place of the one before."""

    request_id: RequestId
    account_id: AccountId
    card_number: CardNumber


class AccountCase(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an opening or a binding.

    ``kind`` is personal, corporate or binding. ``waiting_on`` tells what comes next:
    identity_source, verification_provider, evidence (send `case.submit_evidence`), operator; null
    when nothing does. ``outage`` says why it takes so long: timeout or down, null when nothing is
    wrong. ``reasons`` are codes, the newest last; ``mismatched`` is for the back office and empty
    for everybody else. ``session_id`` is for the app's recording software while the status is
    `verifying`. A case whose ``expires_at`` passes ends as `expired`.
    """

    case_id: str
    kind: str
    status: CaseStatus
    waiting_on: str | None
    customer_id: str
    account_class: str
    account_id: str | None
    card: str | None
    reasons: list[str]
    mismatched: list[str]
    outage: str | None
    attempts_left: int | None
    session_id: str | None
    evidence: int
    decided_by: str | None
    created_at: Timestamp
    updated_at: Timestamp
    expires_at: Timestamp | None


class GetCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a case; the back office reads those of every app."""

    case_id: Identifier


class ListCases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read cases of all apps with one status, those after ``after``, at most ``limit``."""

    status: CaseStatus = "pending_review"
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=CASES_LIMIT_MAX)] = 50


class CaseList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of cases in the order of their ids; ``next_after`` is null on the last page."""

    cases: list[AccountCase]
    next_after: str | None


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recording that proves who opens: what it is, where it is kept, and its SHA-256."""

    kind: EvidenceKind
    reference: EvidenceRef
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]


class SubmitEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hand in the recordings of one attempt at face match and liveness; one is a `face_video`."""

    request_id: RequestId
    case_id: Identifier
    evidence: Annotated[list[Evidence], Meta(min_length=1, max_length=EVIDENCE_MAX)]


class DecideCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decide a case that is under review; ``decided_by`` is the member of the bank's staff."""

    request_id: RequestId
    case_id: Identifier
    decision: Literal["approve", "reject"]
    reason: TrustedText
    decided_by: Identifier


class AccountBound(msgspec.Struct, frozen=True, kw_only=True):
    """An account that is bound to a card from now on; see :class:`BoundCard` for ``source``."""

    account_id: str
    customer_id: str
    source: str
    card: str
    card_kind: str
    bank: str
    bound_at: Timestamp


class WithdrawToCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move money of an account to the card that it is bound to; it counts against no limit."""

    request_id: RequestId
    account_id: AccountId
    amount_minor: AmountMinor
    currency: str = CNY


class CardWithdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal that stands; ``target`` is the mirror of the bound card, ``card`` is masked."""

    withdrawal_id: str
    account_id: str
    target: str
    card: str
    amount_minor: int
    currency: str
    created_at: Timestamp


class RevealCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Show what is masked elsewhere, for a stated purpose, to a named member of the bank's staff.

    Of a company it is its legal representative's. Each request is a line of the audit trail and is
    answered once: to look again is to ask again, with a new id.
    """

    request_id: RequestId
    customer_id: Identifier
    fields: Annotated[list[PersonalField], Meta(min_length=1, max_length=3)]
    purpose: TrustedText
    revealed_to: Identifier


class RevealedCustomer(Personal, frozen=True, kw_only=True):
    """What was asked for; fields that were not are null. It is not stored anywhere."""

    customer_id: str
    name: str | None = None
    id_number: str | None = None
    phone: str | None = None
