"""Messages about buyers and their credit: limits, debts, repayment, the list of arrears."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId
from schemas.money import AmountMinor

__all__ = (
    "LIMIT_MINOR_MAX",
    "ArrearView",
    "ArrearsBooked",
    "ArrearsList",
    "BookArrears",
    "BuyerRegistered",
    "BuyerView",
    "CreditSet",
    "DebtView",
    "DebtsCollected",
    "DebtsOverdue",
    "GetBuyer",
    "ListArrears",
    "RegisterBuyer",
    "Repaid",
    "RepayDebts",
    "SetCredit",
)

# A hundred million yuan: no buyer of a market owes that.
LIMIT_MINOR_MAX = 10_000_000_000


class RegisterBuyer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Enter a buyer of a market, or another account of one. A buyer stays in its market."""

    request_id: RequestId
    buyer_id: Identifier
    market_id: Identifier
    account_id: AccountId


class BuyerRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """The buyer as entered."""

    buyer_id: str
    market_id: str
    account_id: str
    status: Literal["registered", "updated", "unchanged"]


class SetCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a buyer credit, change it, or with 0 take it away. Debts that stand keep their terms.

    What is bought by the ``day`` falls due at its close, by the ``week`` at the close of Sunday.
    """

    request_id: RequestId
    buyer_id: Identifier
    limit_minor: Annotated[int, Meta(ge=0, le=LIMIT_MINOR_MAX)]
    terms: Literal["day", "week"] = "day"


class CreditSet(msgspec.Struct, frozen=True, kw_only=True):
    """The credit as it stands; ``left_minor`` may be bought now."""

    buyer_id: str
    limit_minor: int
    terms: str
    used_minor: int
    left_minor: int
    status: Literal["set"] = "set"


class RepayDebts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay back from the buyer's account: all that is owed, or ``amount_minor`` of it."""

    request_id: RequestId
    buyer_id: Identifier
    amount_minor: AmountMinor | None = None


class Repaid(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid back now. ``unused_minor`` of the amount was not needed, or paid no whole debt.

    ``owed_minor`` is left, with today's interest.
    """

    buyer_id: str
    paid_minor: int
    interest_minor: int
    unused_minor: int
    owed_minor: int
    blocked: bool
    status: Literal["repaid"] = "repaid"


class DebtsCollected(msgspec.Struct, frozen=True, kw_only=True):
    """What a close of the day has taken from the buyer's account."""

    buyer_id: str
    paid_minor: int
    interest_minor: int
    owed_minor: int
    status: Literal["collected"] = "collected"


class DebtsOverdue(msgspec.Struct, frozen=True, kw_only=True):
    """What a close of the day could not collect: the buyer has no more credit."""

    buyer_id: str
    overdue_minor: int
    deal_ids: tuple[str, ...]
    status: Literal["overdue"] = "overdue"


class GetBuyer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a buyer's credit and debts."""

    buyer_id: Identifier


class DebtView(msgspec.Struct, frozen=True, kw_only=True):
    """One debt with its interest up to today; ``source`` is whom it is owed to."""

    deal_id: str
    principal_minor: int
    interest_minor: int
    source: Literal["advance", "sellers"]
    due_at: datetime
    overdue: bool


class BuyerView(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer as last committed. ``status`` is ``blocked`` while something is overdue."""

    buyer_id: str
    market_id: str
    account_id: str
    limit_minor: int
    used_minor: int
    left_minor: int
    owed_minor: int
    overdue_minor: int
    open_deals: int
    debts: tuple[DebtView, ...]
    status: Literal["good", "blocked"]


class BookArrears(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell a market what a buyer owes beyond the due time; ``number`` counts what it was told."""

    request_id: RequestId
    market_id: Identifier
    buyer_id: Identifier
    overdue_minor: Annotated[int, Meta(ge=0)]
    debts: Annotated[int, Meta(ge=0)]
    since: datetime | None
    number: Annotated[int, Meta(ge=1)]


class ArrearsBooked(msgspec.Struct, frozen=True, kw_only=True):
    """The list has it, or had a newer one."""

    market_id: str
    buyer_id: str
    status: Literal["booked", "stale", "unlisted"]


class ListArrears(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the buyers of a market that are overdue (欠款清单)."""

    market_id: Identifier


class ArrearView(msgspec.Struct, frozen=True, kw_only=True):
    """One buyer that is overdue, without interest; ``since`` is the oldest due time."""

    buyer_id: str
    overdue_minor: int
    debts: int
    since: datetime | None


class ArrearsList(msgspec.Struct, frozen=True, kw_only=True):
    """All that are overdue, the largest first. ``unlisted`` found no room on the list."""

    market_id: str
    overdue_minor: int
    buyers: tuple[ArrearView, ...]
    unlisted: int
    status: Literal["listed"] = "listed"
