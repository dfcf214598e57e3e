"""How a source takes part in a payment: the port between payments and what pays them.

A payment is one change. Each source contributes a :class:`Leg` to it: what has to happen before
its money can be taken (units redeemed, a coupon used), and the account from which the payment takes
it. The payment itself moves the money on, to the payee or into escrow.
"""

from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from actors.entity import Part
from kernel.randomness import IdFactory
from schemas.funding import FundingSource

__all__ = (
    "Funding",
    "Leg",
    "LegRequest",
    "PaidLeg",
    "RefundLeg",
    "ResendingFunding",
    "ReservingFunding",
)


class LegRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a source; ``amount_minor`` is the most that it may give.

    ``payment_id`` and ``number`` name the leg for good. ``total_minor`` is the whole payment's.
    ``ids`` makes identifiers. ``strict`` tells that the customer named this very amount: then a leg
    of less is of no use.
    """

    app: str
    request_id: str
    payment_id: str
    number: int
    payee: str
    method: str
    source: FundingSource
    amount_minor: int
    total_minor: int
    now: datetime
    ids: IdFactory
    strict: bool = False


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """What a source gives: ``amount_minor``, taken from ``pay_from``, once ``before`` has happened.

    ``owner`` is the app that must own ``pay_from``, empty when it is the bank's own. ``record`` is
    what the source has to know again for a refund, as JSON. ``charged_minor`` is what the customer
    gives in the source's own asset (points, fund units).
    """

    amount_minor: int
    pay_from: str
    owner: str
    before: Part = Part()
    record: str = "{}"
    charged_minor: int = 0
    # What the payment's row calls the payer, such as the customer's account.
    payer: str = ""


class PaidLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A leg of a payment that stands, as the payment's state keeps it; amounts in minor units.

    ``type`` is the tag of its source, ``pay_from`` the account that was debited, ``record`` what
    the source left there. ``account_id`` is where a plain return of the money goes.
    """

    number: int
    type: str
    account_id: str
    amount_minor: int
    refunded_minor: int = 0
    record: str = "{}"
    charged_minor: int = 0
    # What of ``charged_minor`` was given back.
    returned_minor: int = 0
    hold_id: str = ""


class RefundLeg(msgspec.Struct, frozen=True, kw_only=True):
    """How a part of a leg goes back: the payment credits ``credit_to``, ``after`` follows.

    ``returned_minor`` is what the customer gets back in the source's own asset.
    """

    credit_to: str
    after: Part = Part()
    record: str | None = None
    returned_minor: int = 0


class Funding(Protocol):
    """One kind of source. Reads are of what is committed; the change decides what still holds."""

    async def pay(self, wanted: LegRequest) -> Leg:
        """Return the leg; it may give less than asked for, and then the next source has to.

        Raise a :class:`~schemas.errors.Rejected` when the source cannot be used at all.
        """

    async def refund(
        self, leg: PaidLeg, amount_minor: int, *, app: str, payment_id: str, refund_id: str,
        whole: bool, now: datetime, ids: IdFactory,
    ) -> RefundLeg:  # fmt: skip
        """Return how ``amount_minor`` of the leg goes back; ``whole`` ends the payment."""


@runtime_checkable
class ReservingFunding(Funding, Protocol):
    """A source of which an authorisation keeps more than money, such as a customer's consent."""

    async def reserve(self, wanted: LegRequest) -> Leg:
        """Return what is to be held of ``pay_from``, once ``before`` has happened.

        Each capture is paid by :meth:`pay`, with the method ``authorized`` and what it takes.
        """


@runtime_checkable
class ResendingFunding(Funding, Protocol):
    """A source that sends refunds on, which may fail when the money has left the payee already."""

    async def resend(
        self, *, app: str, payment_id: str, refund_id: str, now: datetime, ids: IdFactory
    ) -> Part:
        """Return what sends a refund once more.

        Raise :class:`~schemas.errors.InvalidState` unless it has failed, and nothing sends it now.
        """
