"""The documents of the pack: lots and how full they are, plates, passes, merchants."""

from datetime import date, datetime
from typing import Literal

import msgspec

from .messages import Exited
from .tariff import Tariff
from .terms import LotRules, LotShare, Mandate, PassPlan

__all__ = (
    "ARREARS_MAX",
    "DISPUTES_MAX",
    "PASSES_MAX",
    "RECEIPTS_MAX",
    "STAMPS_MAX",
    "Arrear",
    "Cover",
    "Dispute",
    "Lot",
    "Merchant",
    "Occupancy",
    "PassRef",
    "Place",
    "Receipt",
    "SeasonPass",
    "Session",
    "Spent",
    "Stamp",
    "Vehicle",
    "WaitingExit",
)

# Unpaid stays that one plate may pile up before lots refuse it. It bounds the document and the
# payments of one exit; sixteen is about three weeks of a commuter who never pays.
ARREARS_MAX = 16
# Paid stays that can still be doubted, kept only for lots that take disputes.
RECEIPTS_MAX = 4
DISPUTES_MAX = 8
# Passes of one plate: home, office, and two to spare. The ones that ended make room first.
PASSES_MAX = 4
# Shops that pay for one stay.
STAMPS_MAX = 3


class Lot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A car park. ``payee`` is its operator's account, which passes the shares on."""

    lot_id: str
    payee: str
    tariff: Tariff
    shares: tuple[LotShare, ...] = ()
    rules: LotRules | None = None
    plans: tuple[PassPlan, ...] = ()

    @property
    def in_force(self) -> LotRules:
        """Return its rules, or those of a lot that has set none."""
        # Made anew: an instance that a module keeps would outlive the unloading of the pack.
        return self.rules or LotRules()


class Occupancy(msgspec.Struct, frozen=True, kw_only=True):
    """How many cars are in a lot: counted by messages, which may come in any order.

    So a count may be below nothing for a moment.
    """

    lot_id: str
    capacity: int | None = None
    casual: int = 0
    passes: int = 0
    is_full: bool = False


class Cover(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pass over a stay: from ``since`` up to ``until``.

    Where plates share places it is ``asked`` for one, has it (``placed``) or waits (``queued``).
    """

    pass_id: str
    state: Literal["placed", "asked", "queued"] = "placed"
    since: datetime
    until: datetime
    shared: bool = False


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """Minutes that a merchant has taken over. ``hold`` keeps the money for its part, if any."""

    merchant_id: str
    minutes: int
    pays_ppm: int
    hold: str
    held_minor: int


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An open stay, with the tariff, payee, shares and rules that were in force at the entry."""

    lot_id: str
    payee: str
    tariff: Tariff
    entered_at: datetime
    shares: tuple[LotShare, ...] = ()
    rules: LotRules | None = None
    cover: Cover | None = None
    stamps: tuple[Stamp, ...] = ()
    prepaid_minor: int = 0
    prepaid_at: datetime | None = None
    prepaid_by: str = ""

    @property
    def in_force(self) -> LotRules:
        """Return its rules, or those of a lot that has set none."""
        # Made anew: an instance that a module keeps would outlive the unloading of the pack.
        return self.rules or LotRules()


class Arrear(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fee that could not be collected; ``since`` is when it fell due.

    Nobody collects it while its dispute is ``open``; once ``decided`` it is not disputed again.
    """

    lot_id: str
    payee: str
    amount_minor: int
    entered_at: datetime
    since: datetime
    reason: Literal["unpaid", "lost_exit", "lost_ticket", "overstay"]
    shares: tuple[LotShare, ...] = ()
    dispute: Literal["", "open", "decided"] = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was paid for a stay: by the bound account at the exit or later, and before it."""

    lot_id: str
    payee: str
    entered_at: datetime
    left_at: datetime
    account_id: str
    paid_minor: int
    prepaid_minor: int = 0
    prepaid_by: str = ""
    shares: tuple[LotShare, ...] = ()
    dispute: Literal["", "open", "decided"] = ""


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A doubt about one charge that is not decided; ``by`` the system it is a review."""

    dispute_id: str
    lot_id: str
    entered_at: datetime
    kind: Literal["paid", "owed"]
    amount_minor: int
    reason: str
    evidence: str
    by: Literal["driver", "system"]
    due_at: datetime


class PassRef(msgspec.Struct, frozen=True, kw_only=True):
    """What a plate knows of a pass. One that ends where it begins was taken away."""

    pass_id: str
    lot_id: str
    shared: bool
    valid_from: datetime
    valid_until: datetime
    revision: int


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What was deducted on one day under a mandate."""

    day: date
    minor: int


class WaitingExit(msgspec.Struct, frozen=True, kw_only=True):
    """An exit whose entry has not been reported yet."""

    lot_id: str
    left_at: datetime


class Vehicle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is kept of one plate. ``arrears`` are in the order in which they fell due."""

    plate: str
    account_id: str | None = None
    session: Session | None = None
    arrears: tuple[Arrear, ...] = ()
    last: Exited | None = None
    mandate: Mandate | None = None
    spent: Spent | None = None
    passes: tuple[PassRef, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    waiting: WaitingExit | None = None

    @property
    def arrears_minor(self) -> int:
        """Return the sum of what the plate owes, what is disputed with it."""
        return sum(arrear.amount_minor for arrear in self.arrears)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A stay of a plate on a shared pass."""

    plate: str
    entered_at: datetime


class SeasonPass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pass (月卡). ``inside`` have its places, ``queue`` wait for one, ``gone`` left early.

    An exit may be heard of before its entry; ``gone`` remembers it until then.
    """

    pass_id: str
    lot_id: str
    account_id: str
    plan: PassPlan
    plates: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    revision: int
    inside: tuple[Place, ...] = ()
    queue: tuple[Place, ...] = ()
    gone: tuple[Place, ...] = ()

    @property
    def shared(self) -> bool:
        """Tell whether there are more plates than places."""
        return len(self.plates) > self.plan.places


class Merchant(msgspec.Struct, frozen=True, kw_only=True):
    """A shop that takes over minutes of its customers' stays, and pays its part of them."""

    merchant_id: str
    account_id: str
    lots: tuple[str, ...]
    minutes_max: int
    pays_ppm: int
