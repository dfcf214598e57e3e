"""Messages of the account service."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import CNY, AmountMinor

__all__ = (
    "STATEMENT_LIMIT_MAX",
    "Account",
    "AccountOpened",
    "Deposit",
    "DepositFunds",
    "GetAccount",
    "GetStatement",
    "OpenAccount",
    "Statement",
    "StatementEntry",
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
    """An account; both balances in minor units. Available is posted less what is held."""

    account_id: str
    holder: str
    type: str
    currency: str
    status: str
    posted_minor: int
    available_minor: int
    opened_at: Timestamp


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
