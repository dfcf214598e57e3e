"""What a change asks of the ledger: accounts to open, postings to make, steps to take."""

from datetime import datetime
from typing import Literal

import msgspec

__all__ = (
    "BALANCE_MAX_MINOR",
    "FREEZE",
    "HOLD",
    "AccountLimits",
    "AccountStatus",
    "BoundsStep",
    "CaptureStep",
    "LimitsStep",
    "Moves",
    "NewAccount",
    "PlaceStep",
    "Posting",
    "ReleaseStep",
    "StatusStep",
    "Step",
    "TallyStep",
    "TransferStep",
    "encode_moves",
)

# No balance may leave the range in which the largest amount can still be added to a bigint.
BALANCE_MAX_MINOR = 2**62

# What a hold is for. Who resolves it must name the purpose, so that the holder of a freeze cannot
# void it like an authorisation of his own.
HOLD = "hold"
FREEZE = "freeze"

AccountStatus = Literal["open", "frozen", "closed"]

_encoder = msgspec.msgpack.Encoder()


class AccountLimits(msgspec.Struct, array_like=True, frozen=True):
    """What may leave and enter an account in a day and in a year, minor units; None is no limit.

    Days and years are those of Asia/Shanghai. Moves to and from ``exempt``, the owner's own bound
    account, count against none of them.
    """

    day_out_max: int | None = None
    day_in_max: int | None = None
    year_out_max: int | None = None
    year_in_max: int | None = None
    exempt: str = ""


class NewAccount(msgspec.Struct, array_like=True, frozen=True):
    """An account to open, with a balance of zero.

    ``floor_minor`` and ``ceiling_minor`` bound its balance (minor units); None is no bound.
    """

    account_id: str
    app: str
    asset: str
    floor_minor: int | None
    ceiling_minor: int | None
    limits: AccountLimits | None = None


class Posting(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Move ``amount_minor`` (minor units, positive) from the debited to the credited account.

    ``owner`` is the app that must own the debited account; empty when the platform itself debits.
    An app's posting never reaches an account of the platform. ``credit_owner`` is the app that must
    own the credited account; empty when anybody may. ``fields`` are what the request calls the two
    accounts, for errors. An ``exempt`` posting counts against no limit of a day or a year: its
    sender has made sure that it is to or from the owner's own bound account. With a ``purpose`` the
    ledger keeps a row that explains the two entries; without, a payment or a deposit of the same
    change explains them.
    """

    debit: str
    credit: str
    amount_minor: int
    asset: str
    owner: str = ""
    credit_owner: str = ""
    fields: tuple[str, str] = ("payer", "payee")
    exempt: bool = False
    purpose: str = ""


class PlaceStep(msgspec.Struct, array_like=True, frozen=True, tag="place"):
    """Hold ``amount_minor`` of an account: it stays posted and is available no longer.

    ``hold_id`` is new. ``payee`` is the one account that captures may credit; when it is empty each
    capture names its own. ``expires_at`` is what the callers are told; a timer of the same change
    has to see to it. ``owner`` and ``fields`` are as with a posting.
    """

    hold_id: str
    account_id: str
    amount_minor: int
    asset: str
    placed_at: datetime
    owner: str = ""
    payee: str = ""
    purpose: str = HOLD
    capturable: bool = True
    reference: str = ""
    expires_at: datetime | None = None
    fields: tuple[str, str] = ("account_id", "payee")


class CaptureStep(msgspec.Struct, array_like=True, frozen=True, tag="capture"):
    """Move held money to ``payee``; None as the amount means all that is left.

    ``final`` releases what is left after it. ``resolves`` makes it pass only if the hold is
    resolved by it (True), or only if it stays open (False). ``purpose`` is what the hold must be
    for; empty when it may be for anything. The decision finds ``<name>.captured`` (by this step),
    ``<name>.released`` (by this step) and ``<name>.remaining``, in minor units.
    """

    hold_id: str
    amount_minor: int | None = None
    payee: str = ""
    final: bool = False
    resolves: bool | None = None
    owner: str = ""
    purpose: str = HOLD
    name: str = "capture"
    fields: tuple[str, str] = ("hold_id", "payee")


class ReleaseStep(msgspec.Struct, array_like=True, frozen=True, tag="release"):
    """Give back all that is left of a hold, which ends as ``status``.

    ``purpose`` is as with a capture. The decision finds ``<name>.captured`` (in all before) and
    ``<name>.released`` (in all), in minor units.
    """

    hold_id: str
    status: Literal["voided", "expired"]
    owner: str = ""
    purpose: str = HOLD
    name: str = "release"
    field: str = "hold_id"


class TransferStep(msgspec.Struct, array_like=True, frozen=True, tag="transfer"):
    """Move what is available, at most ``amount_minor`` and at least ``at_least_minor``.

    Available is what stands above the holds and the floor, and above ``keep_minor`` if that is
    given. Less than ``at_least_minor`` is an ``insufficient_funds``. When nothing is available and
    nothing is demanded, the step makes no entries. The decision finds ``<name>.amount``. Whatever
    moved is a row of the table ``transfer``, written by the ledger itself; without a ``purpose`` a
    payment of the same change explains it. ``owner``, ``credit_owner`` and ``fields`` are as with a
    posting.
    """

    debit: str
    credit: str
    amount_minor: int
    asset: str
    at_least_minor: int = 0
    keep_minor: int | None = None
    owner: str = ""
    credit_owner: str = ""
    name: str = "transfer"
    fields: tuple[str, str] = ("payer", "payee")
    exempt: bool = False
    purpose: str = "transfer"


class StatusStep(msgspec.Struct, array_like=True, frozen=True, tag="status"):
    """Freeze an open account, open a frozen one, or close an open one that holds nothing.

    Frozen (只收不付): it may be credited, and neither debited nor held against; captures of holds
    that are there already wait. Closed is final.
    """

    account_id: str
    status: AccountStatus
    owner: str = ""
    field: str = "account_id"


class TallyStep(msgspec.Struct, array_like=True, frozen=True, tag="tally"):
    """Count ``count`` and ``amount_minor`` in the tally ``tally_id``, which begins at zero.

    It passes only if count and amount, after adding, and with those of the tallies in ``window``
    added to them, are at most ``count_max`` and ``amount_max`` (None is no limit). Negative
    numbers give back what was counted; a tally is never below zero. A closed tally takes nothing
    more, except what is given back: ``closes`` closes it and ``opens`` opens it again. A refusal
    has the error code ``code``, ``message`` and ``field``. Periods are part of the id. The decision
    finds ``<name>.count`` and ``<name>.amount``; an empty ``name`` finds nothing, which costs less.
    """

    tally_id: str
    count: int = 1
    amount_minor: int = 0
    count_max: int | None = None
    amount_max: int | None = None
    window: tuple[str, ...] = ()
    closes: bool = False
    opens: bool = False
    code: str = "limit_exceeded"
    message: str = ""
    field: str = ""
    name: str = "tally"


class BoundsStep(msgspec.Struct, array_like=True, frozen=True, tag="bounds"):
    """Give an account another floor and ceiling, minor units; None is no bound.

    A balance that is beyond the new bound stays; it only may not move further away.
    """

    account_id: str
    floor_minor: int | None
    ceiling_minor: int | None
    owner: str = ""
    field: str = "account_id"


class LimitsStep(msgspec.Struct, array_like=True, frozen=True, tag="limits"):
    """Give an account other limits of days and years; what was used of the old ones stays used."""

    account_id: str
    limits: AccountLimits
    owner: str = ""
    field: str = "account_id"


Step = (
    PlaceStep
    | CaptureStep
    | ReleaseStep
    | TransferStep
    | StatusStep
    | TallyStep
    | BoundsStep
    | LimitsStep
)


class Moves(msgspec.Struct, array_like=True, frozen=True):
    """All that one alternative of a change asks of the ledger; all or nothing.

    Accounts are opened first, then the postings are made, then the steps are taken, each in the
    light of those before it.
    """

    open: tuple[NewAccount, ...] = ()
    postings: tuple[Posting, ...] = ()
    steps: tuple[Step, ...] = ()


def encode_moves(moves: Moves) -> msgspec.Raw:
    """Return the moves in the form that a change carries."""
    return msgspec.Raw(_encoder.encode(moves))
