"""Messages about the wallet: binding, cap, top-up, debts, leaving."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, RequestId
from schemas.money import MAX_AMOUNT_MINOR

from .fields import TOP_UP_MINOR_MAX, GuardianId, StudentId

__all__ = (
    "BindWallet",
    "CapSet",
    "DebtsSettled",
    "LeaveSchool",
    "SetCap",
    "SettleDebts",
    "StudentLeft",
    "TopUp",
    "ToppedUp",
    "WalletBound",
)

_TopUpMinor = Annotated[int, Meta(ge=1, le=TOP_UP_MINOR_MAX, description="Minor units (fen).")]
_CapMinor = Annotated[int, Meta(ge=0, le=TOP_UP_MINOR_MAX, description="Minor units (fen).")]
_BalanceMinor = Annotated[
    int, Meta(ge=0, le=MAX_AMOUNT_MINOR, description="Minor units (fen), as `account.get` says.")
]


class BindWallet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name the account that is the student's wallet, once and for all.

    It is meant to be a class III account (Ⅲ类户): at most ¥2,000 in it, ¥2,000 a day and ¥50,000 a
    year through it. The ledger holds to that; what would pass it is refused with its own code.
    """

    request_id: RequestId
    student_id: StudentId
    account_id: AccountId


class WalletBound(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet that stands."""

    student_id: str
    account_id: str
    status: Literal["bound", "unchanged"]


class SetCap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cap what a student buys in a day, whoever's money it is; null takes the cap away.

    A sale online is refused beyond it. One made offline is charged, for the food is eaten, and an
    event tells the parents.
    """

    request_id: RequestId
    student_id: StudentId
    guardian_id: GuardianId
    day_cap_minor: _CapMinor | None


class CapSet(msgspec.Struct, frozen=True, kw_only=True):
    """The cap that stands."""

    student_id: str
    guardian_id: str
    day_cap_minor: int | None
    status: Literal["set", "unchanged"]


class TopUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move money from a guardian's account into the wallet, and collect debts with it."""

    request_id: RequestId
    student_id: StudentId
    guardian_id: GuardianId
    amount_minor: _TopUpMinor


class ToppedUp(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up, what was collected of debts with it, and what is owed still; minor units."""

    student_id: str
    payer: str
    amount_minor: int
    collected_minor: int
    debts_minor: int
    status: Literal["topped_up"] = "topped_up"


class SettleDebts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Collect as many debts as the wallet covers, the oldest first.

    It is for money that came into the wallet by other ways than a top-up.
    """

    request_id: RequestId
    student_id: StudentId


class DebtsSettled(msgspec.Struct, frozen=True, kw_only=True):
    """What was collected and what is owed still, minor units."""

    student_id: str
    collected_minor: int
    debts_minor: int
    status: Literal["settled", "partly_settled"]


class LeaveSchool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a student leave: debts are settled, subsidies go back, the rest is paid to a guardian.

    ``balance_minor`` is what is in the wallet, read just before. When more came in meanwhile, it is
    still there, and a second request pays it out; less is ``insufficient_funds``, and nothing
    happens. Afterwards the account can be closed.
    """

    request_id: RequestId
    student_id: StudentId
    guardian_id: GuardianId
    balance_minor: _BalanceMinor


class StudentLeft(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the money, in minor units; it adds up to the balance, but for subsidies."""

    student_id: str
    payee: str
    debts_paid_minor: int
    paid_out_minor: int
    subsidies_returned_minor: int
    status: Literal["left", "rest_paid"]
