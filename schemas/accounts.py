"""Messages of the account service."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import CNY, AmountMinor

__all__ = (
    "STATEMENT_LIMIT_MAX",
    "Account",
    "AccountClosed",
    "AccountFrozen",
    "AccountOpened",
    "AccountUnfrozen",
    "CloseAccount",
    "Deposit",
    "DepositFunds",
    "FreezeAccount",
    "GetAccount",
    "GetStatement",
    "OpenAccount",
    "Statement",
    "StatementEntry",
    "UnfreezeAccount",
)

# A page that fits well under a NATS message of 1 MiB at about 120 bytes an entry.
STATEMENT_LIMIT_MAX = 500


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open an account. Identity checks are not part of this operation."""

    request_id: RequestId
    holder: Annotated[ShortText, Meta(min_length=1)]
    type: Literal["customer", "merchant"] = "customer"
    currency: str = CNY


class AccountOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The new account, with a balance of zero."""

    account_id: str
    holder: str
    type: str
    currency: str
    status: str
    opened_at: Timestamp


class GetAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read an account and its balance as last committed."""

    account_id: AccountId


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account; amounts in minor units.

    Available is posted less what is held. ``status`` is ``open``, ``frozen`` (credits only) or
    ``closed``.
    """

    account_id: str
    holder: str
    type: str
    currency: str
    status: str
    posted_minor: int
    available_minor: int
    opened_at: Timestamp
    held_minor: int = 0


class DepositFunds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit an account from a named external source, such as ``external:unionpay``."""

    request_id: RequestId
    account_id: AccountId
    amount_minor: AmountMinor
    source: Identifier
    currency: str = CNY


class Deposit(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit that stands."""

    deposit_id: str
    account_id: str
    source: str
    amount_minor: int
    currency: str
    created_at: Timestamp


class GetStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read entries in order, those numbered above ``after``, at most ``limit``."""

    account_id: AccountId
    # Far more entries than any account gets, and exact in every language's numbers.
    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=STATEMENT_LIMIT_MAX)] = 100


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: ``amount_minor`` is positive for a credit, negative for a debit."""

    number: int
    amount_minor: int
    balance_after_minor: int
    operation: str
    request_id: str
    at: Timestamp


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A page of entries; ``next_after`` is null on the last page."""

    account_id: str
    currency: str
    entries: list[StatementEntry]
    next_after: int | None


class FreezeAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Freeze an account (冻结), or only ``amount_minor`` of what is available in it.

    A frozen account takes credits (只收不付): it is neither debited nor held against, and captures
    of the holds it has wait until it is unfrozen. A frozen amount is a hold that nobody can
    capture; the answer names it, and the rest of the account works on.
    """

    request_id: RequestId
    account_id: AccountId
    reason: Annotated[ShortText, Meta(min_length=1)]
    amount_minor: AmountMinor | None = None


class AccountFrozen(msgspec.Struct, frozen=True, kw_only=True):
    """A freeze that stands; ``hold_id`` and ``amount_minor`` are null for the whole account."""

    account_id: str
    status: str
    hold_id: str | None
    amount_minor: int | None
    reason: str
    frozen_at: Timestamp


class UnfreezeAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End the freeze of an account, or that of an amount by its ``hold_id``: give one of the two.

    They are independent: an account may be unfrozen while amounts in it stay frozen.
    """

    request_id: RequestId
    account_id: AccountId | None = None
    hold_id: Identifier | None = None


class AccountUnfrozen(msgspec.Struct, frozen=True, kw_only=True):
    """A freeze that has ended; ``amount_minor`` was frozen, null for the whole account."""

    account_id: str
    hold_id: str | None
    amount_minor: int | None
    unfrozen_at: Timestamp


class CloseAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Close an open account for good (销户).

    It must be empty and nothing of it held. With ``transfer_to`` its balance goes to that account
    first, both at once or neither.
    """

    request_id: RequestId
    account_id: AccountId
    transfer_to: AccountId | None = None


class AccountClosed(msgspec.Struct, frozen=True, kw_only=True):
    """An account that is closed; ``transferred_minor`` went to ``transfer_to``, in minor units."""

    account_id: str
    status: str
    transfer_to: str | None
    transferred_minor: int
    closed_at: Timestamp
