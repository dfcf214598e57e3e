"""What is kept of customers, cases and bound cards, and the tables that it is kept in."""

from datetime import datetime

import msgspec

from actors.entity import RecordTable
from kernel.journal import FactTable
from kernel.memory_tables import Table, table
from schemas.customers import AccountCase, BoundCard, CaseStatus, Customer, Evidence

__all__ = (
    "AUDIT_TRAIL_TABLE",
    "BOUND_CARD_TABLE",
    "CARD_WITHDRAWAL_TABLE",
    "CASE_TABLE",
    "CUSTOMER_TABLE",
    "FACT_TABLES",
    "PERSONAL_DATA_TABLE",
    "TABLES",
    "BoundCardState",
    "CaseState",
    "CustomerState",
    "KeptEvidence",
    "public_bound",
    "public_case",
    "public_customer",
)


class CustomerState(msgspec.Struct, frozen=True, kw_only=True):
    """A customer of one app; ``party_id`` is the same for the same person or company in all apps.

    Names and numbers are masked, but for the credit code of a company. What they mask is sealed in
    `personal_data` under ``sealed_owner``; the lookups are keyed hashes of it.
    """

    kind: str
    party_id: str
    name: str
    id_number: str
    phone: str
    sealed_owner: str
    name_lookup: str
    phone_lookup: str
    phone_version: int
    registered_at: datetime


class KeptEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Recordings as they were handed in: for which attempt, and when."""

    attempt: int
    submitted_at: datetime
    evidence: tuple[Evidence, ...]


class CaseState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An opening or a binding on its way, masked.

    ``holder`` is whose account it becomes; ``phone`` is the legal representative's of a company.
    ``step`` counts the changes of the case: a timer belongs to one step, a late one does nothing.
    ``tries`` counts questions in a row that nobody answered, ``outage`` is why. ``attempt`` is the
    number of the verification session. ``mismatched`` is for the bank's staff: told to an app, it
    would help to guess a person's data one by one.
    """

    kind: str
    status: CaseStatus
    customer_id: str
    party_id: str
    attempts_left: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    waiting_on: str = ""
    account_class: str = ""
    account_id: str = ""
    holder: str = ""
    card: str = ""
    card_lookup: str = ""
    card_kind: str = ""
    bank: str = ""
    credit_code: str = ""
    phone: str = ""
    phone_lookup: str = ""
    reasons: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    step: int = 1
    tries: int = 0
    outage: str = ""
    attempt: int = 0
    session_id: str = ""
    evidence: tuple[KeptEvidence, ...] = ()
    decided_by: str = ""


class BoundCardState(msgspec.Struct, frozen=True, kw_only=True):
    """The card that an account is bound to; its number is sealed under ``case_id``."""

    case_id: str
    customer_id: str
    source: str
    card: str
    card_lookup: str
    card_kind: str
    bank: str
    bound_at: datetime


CUSTOMER_TABLE = RecordTable(
    name="customer",
    key="customer_id",
    state=CustomerState,
    columns=("party_id text",),
    values=lambda state: (state.party_id,),
)

CASE_TABLE = RecordTable(
    name="account_case",
    key="case_id",
    state=CaseState,
    columns=("customer_id text", "status text"),
    values=lambda state: (state.customer_id, state.status),
)

BOUND_CARD_TABLE = RecordTable(
    name="bound_card",
    key="account_id",
    state=BoundCardState,
    columns=("customer_id text", "card_lookup text"),
    values=lambda state: (state.customer_id, state.card_lookup),
)

PERSONAL_DATA_TABLE = FactTable(
    "personal_data",
    ("owner_id", "field", "version", "key_id", "lookup", "sealed"),
    ("text", "text", "bigint", "text", "text", "text"),
    versioned=True,
    key=("owner_id", "field"),
)

AUDIT_TRAIL_TABLE = FactTable(
    "audit_trail",
    ("entry_id", "app", "actor", "action", "subject", "detail", "reason", "at"),
    ("text", "text", "text", "text", "text", "text", "text", "timestamptz"),
)

CARD_WITHDRAWAL_TABLE = FactTable(
    "card_withdrawal",
    ("withdrawal_id", "app", "account_id", "target", "amount_minor", "currency", "created_at"),
    ("text", "text", "text", "text", "bigint", "text", "timestamptz"),
)

FACT_TABLES: tuple[FactTable, ...] = (
    CUSTOMER_TABLE.fact_table,
    CASE_TABLE.fact_table,
    BOUND_CARD_TABLE.fact_table,
    PERSONAL_DATA_TABLE,
    AUDIT_TRAIL_TABLE,
    CARD_WITHDRAWAL_TABLE,
)

TABLES: tuple[Table, ...] = (
    CUSTOMER_TABLE.memory_table,
    CASE_TABLE.memory_table,
    BOUND_CARD_TABLE.memory_table,
    table(
        "personal_data",
        ("owner_id text", "field text", "version bigint", "change_seq bigint", "key_id text",
         "lookup text", "sealed text"),
        ("owner_id", "field"),
        key_means="version",
    ),
    table(
        "audit_trail",
        ("entry_id text", "change_seq bigint", "app text", "actor text", "action text",
         "subject text", "detail text", "reason text", "at timestamptz"),
        ("entry_id",),
        immutable=True,
    ),
    table(
        "card_withdrawal",
        ("withdrawal_id text", "change_seq bigint", "app text", "account_id text", "target text",
         "amount_minor bigint", "currency text", "created_at timestamptz"),
        ("withdrawal_id",),
        checks=(("amount_minor", ">", 0),),
    ),
)  # fmt: skip


def public_customer(customer_id: str, state: CustomerState) -> Customer:
    """Return a customer as it may be shown."""
    return Customer(
        customer_id=customer_id,
        kind=state.kind,
        name=state.name,
        id_number=state.id_number,
        phone=state.phone,
        registered_at=state.registered_at,
    )


def public_bound(state: BoundCardState) -> BoundCard:
    """Return a bound card as it may be shown."""
    return BoundCard(
        source=state.source,
        card=state.card,
        card_kind=state.card_kind,
        bank=state.bank,
        bound_at=state.bound_at,
    )


def public_case(case_id: str, state: CaseState, *, for_staff: bool = False) -> AccountCase:
    """Return a case as its app may see it, or with what only the bank's staff may."""
    verifies = state.kind == "personal"
    return AccountCase(
        case_id=case_id,
        kind=state.kind,
        status=state.status,
        waiting_on=state.waiting_on or None,
        customer_id=state.customer_id,
        account_class=state.account_class,
        account_id=state.account_id or None,
        card=state.card or None,
        reasons=list(state.reasons),
        mismatched=list(state.mismatched) if for_staff else [],
        outage=state.outage or None,
        attempts_left=state.attempts_left if verifies else None,
        session_id=state.session_id if state.status == "verifying" else None,
        evidence=sum(len(one.evidence) for one in state.evidence),
        decided_by=state.decided_by or None,
        created_at=state.created_at,
        updated_at=state.updated_at,
        expires_at=state.expires_at,
    )
